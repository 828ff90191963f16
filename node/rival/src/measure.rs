//! The clock: so many lookups in flight for so long, then percentiles; rounds that take turns, then medians.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::work::{Network, Outcome, Work};

/// One kind of lookup over one stretch of time, or the medians of several such stretches.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) lookups: u64,
    /// Share of right answers.
    pub(crate) success: f64,
    pub(crate) latency_ms_p50: f64,
    pub(crate) latency_ms_p95: f64,
    pub(crate) requests_per_lookup: f64,
    pub(crate) lookups_per_second: f64,
    /// User and system time of the process that all nodes of this side, and only they, live in.
    pub(crate) cpu_us_per_lookup: f64,
}

/// Keeps `in_flight` lookups going for `time`. Checking answers is outside the latency, but inside the CPU time: it
/// costs microseconds, the same for both sides.
pub(crate) async fn stretch(
    network: &Arc<Network>,
    work: Work,
    in_flight: usize,
    time: Duration,
    rng: &mut ChaCha12Rng,
) -> Result<Sample, String> {
    let (cpu, started) = (cpu_seconds(), Instant::now());
    let until = started + time;
    let mut workers = Vec::with_capacity(in_flight);
    for _ in 0..in_flight {
        let network = network.clone();
        let mut rng = ChaCha12Rng::seed_from_u64(rng.next_u64());
        workers.push(tokio::spawn(async move {
            let mut done: Vec<(Duration, Outcome)> = Vec::new();
            while Instant::now() < until {
                let question = network.question(work, &mut rng);
                let asked = Instant::now();
                let answer = network.ask(work, &question).await;
                done.push((asked.elapsed(), network.check(work, &question, answer)));
            }
            done
        }));
    }
    let mut done = Vec::new();
    for worker in workers {
        done.extend(worker.await.map_err(|error| error.to_string())?);
    }
    let (seconds, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    let mut latencies: Vec<Duration> = done.iter().map(|(latency, _)| *latency).collect();
    latencies.sort_unstable();
    let at = |share: f64| latencies[((latencies.len() - 1) as f64 * share).round() as usize].as_secs_f64();
    let count = done.len() as f64;
    Ok(Sample {
        lookups: done.len() as u64,
        success: done.iter().filter(|(_, outcome)| outcome.right).count() as f64 / count,
        latency_ms_p50: at(0.50) * 1e3,
        latency_ms_p95: at(0.95) * 1e3,
        requests_per_lookup: done.iter().map(|(_, outcome)| f64::from(outcome.requests)).sum::<f64>() / count,
        lookups_per_second: count / seconds,
        cpu_us_per_lookup: cpu * 1e6 / count,
    })
}

/// The medians of several stretches, number by number; success is that of all lookups together.
pub(crate) fn summary(rounds: &[Sample]) -> Sample {
    let of = |field: fn(&Sample) -> f64| median(rounds.iter().map(field).collect());
    let lookups: u64 = rounds.iter().map(|round| round.lookups).sum();
    let right: f64 = rounds.iter().map(|round| round.success * round.lookups as f64).sum();
    Sample {
        lookups,
        success: right / lookups as f64,
        latency_ms_p50: of(|s| s.latency_ms_p50),
        latency_ms_p95: of(|s| s.latency_ms_p95),
        requests_per_lookup: of(|s| s.requests_per_lookup),
        lookups_per_second: of(|s| s.lookups_per_second),
        cpu_us_per_lookup: of(|s| s.cpu_us_per_lookup),
    }
}

/// The middle one; of an even number the upper of the two.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// CPU time of this process so far.
pub(crate) fn cpu_seconds() -> f64 {
    // Fields 14 and 15, counted after the command's name, which ends at the last ')'.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}
