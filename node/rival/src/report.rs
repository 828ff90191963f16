//! What a run prints: a table for people, JSON for programs.

use std::fmt;

use serde::Serialize;

use crate::measure::{Sample, median, summary};
use crate::work::{ALL, PAIRS, Work};

/// All of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) cores: usize,
    pub(crate) threads: usize,
    pub(crate) metric: String,
    pub(crate) rounds: usize,
    pub(crate) seconds_per_stretch: f64,
    pub(crate) seed: u64,
    /// Load average over the last minute, before and after: what else the machine had to do.
    pub(crate) load_before: f64,
    pub(crate) load_after: f64,
    pub(crate) parts: Vec<Part>,
}

/// One size of network and one number of lookups in flight.
#[derive(Debug, Serialize)]
pub(crate) struct Part {
    pub(crate) nodes: usize,
    pub(crate) in_flight: usize,
    /// CPU time per second while a network is asked nothing; it is part of what its lookups are said to cost.
    pub(crate) idle: Idle,
    pub(crate) rows: Vec<Row>,
    pub(crate) ratios: Vec<Ratio>,
}

/// What upkeep costs.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Idle {
    pub(crate) kad_cpu_ms_per_second: f64,
    pub(crate) chordage_cpu_ms_per_second: f64,
}

/// Medians over the rounds.
#[derive(Debug, Serialize)]
pub(crate) struct Row {
    pub(crate) work: Work,
    #[serde(flatten)]
    pub(crate) sample: Sample,
}

/// How many times better than kad, round by round, then the median. Above 1 is better, whatever is compared.
#[derive(Debug, Serialize)]
pub(crate) struct Ratio {
    pub(crate) ours: Work,
    pub(crate) kad: Work,
    pub(crate) latency_p50: f64,
    pub(crate) latency_p95: f64,
    pub(crate) requests: f64,
    pub(crate) throughput: f64,
    pub(crate) cpu: f64,
}

impl Part {
    /// `rounds` holds, per round, a sample for each of [`ALL`] in that order.
    pub(crate) fn new(nodes: usize, in_flight: usize, idle: Idle, rounds: &[Vec<Sample>]) -> Part {
        let of = |work: Work| {
            let index = ALL.iter().position(|other| *other == work).expect("all kinds are in ALL");
            rounds.iter().map(|round| round[index].clone()).collect::<Vec<_>>()
        };
        let rows = ALL.iter().map(|work| Row { work: *work, sample: summary(&of(*work)) }).collect();
        let ratios = PAIRS.iter().map(|(ours, kad)| Ratio::new(*ours, *kad, &of(*ours), &of(*kad))).collect();
        Part { nodes, in_flight, idle, rows, ratios }
    }
}

impl Ratio {
    fn new(ours: Work, kad: Work, a: &[Sample], b: &[Sample]) -> Ratio {
        let times =
            |field: fn(&Sample) -> f64| median(a.iter().zip(b).map(|(a, b)| field(b) / field(a)).collect());
        Ratio {
            ours,
            kad,
            latency_p50: times(|s| s.latency_ms_p50),
            latency_p95: times(|s| s.latency_ms_p95),
            requests: times(|s| s.requests_per_lookup),
            throughput: times(|s| 1.0 / s.lookups_per_second),
            cpu: times(|s| s.cpu_us_per_lookup),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} cores, {} runtime threads, metric {}, medians of {} rounds of {} s; load {:.1} before, {:.1} after",
            self.cores,
            self.threads,
            self.metric,
            self.rounds,
            self.seconds_per_stretch,
            self.load_before,
            self.load_after,
        )?;
        for part in &self.parts {
            writeln!(
                f,
                "\n{} nodes, {} in flight (idle: kad {:.0}, chordage {:.0} ms CPU per second)\n",
                part.nodes,
                part.in_flight,
                part.idle.kad_cpu_ms_per_second,
                part.idle.chordage_cpu_ms_per_second,
            )?;
            writeln!(f, "| lookup | p50 ms | p95 ms | requests | lookups/s | CPU µs | right |")?;
            writeln!(f, "|---|---|---|---|---|---|---|")?;
            for Row { work, sample } in &part.rows {
                writeln!(
                    f,
                    "| {} | {:.3} | {:.3} | {:.2} | {:.0} | {:.0} | {:.2} % of {} |",
                    work.title(),
                    sample.latency_ms_p50,
                    sample.latency_ms_p95,
                    sample.requests_per_lookup,
                    sample.lookups_per_second,
                    sample.cpu_us_per_lookup,
                    sample.success * 100.0,
                    sample.lookups,
                )?;
            }
            for ratio in &part.ratios {
                writeln!(
                    f,
                    "| × better: {} | {:.1} | {:.1} | {:.1} | {:.1} | {:.1} | |",
                    ratio.ours.title(),
                    ratio.latency_p50,
                    ratio.latency_p95,
                    ratio.requests,
                    ratio.throughput,
                    ratio.cpu,
                )?;
            }
        }
        Ok(())
    }
}
