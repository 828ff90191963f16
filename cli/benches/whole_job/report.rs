//! Medians, as a table or as JSON.

use serde_json::{Map, Value, json};

use crate::ceiling::{self, Ceiling, rate};
use crate::meter::{Step, median};
use crate::options::Options;
use crate::stages::Stages;

/// Prints everything.
pub(crate) fn print(options: &Options, steps: &[Step], stages: Option<&Stages>) {
    let medians = medians(steps);
    let ceiling = stages.and_then(|stages| ceiling::of(stages, options).ok());
    if options.json {
        println!("{}", as_json(options, &medians, stages, ceiling));
    } else {
        as_table(options, &medians, stages, ceiling);
    }
}

/// One step for all runs of the same step, in order of first appearance.
fn medians(steps: &[Step]) -> Vec<Step> {
    let mut medians: Vec<Step> = Vec::new();
    for step in steps {
        let same =
            |other: &&Step| (other.system, other.job, other.step) == (step.system, step.job, step.step);
        if medians.iter().any(|known| same(&known)) {
            continue;
        }
        let mut all = step.clone();
        for (name, value) in &mut all.figures {
            let values = steps.iter().filter(same).filter_map(|other| other.figure(name));
            *value = median(values).unwrap_or(f64::NAN);
        }
        medians.push(all);
    }
    medians
}

fn as_json(options: &Options, medians: &[Step], stages: Option<&Stages>, ceiling: Option<Ceiling>) -> Value {
    let step = |step: &Step| {
        let mut object = Map::new();
        object.insert("system".into(), step.system.into());
        object.insert("job".into(), step.job.into());
        object.insert("step".into(), step.step.into());
        object.insert("bytes".into(), step.bytes.into());
        object.insert("mb_per_second".into(), json!(rate(step)));
        object.extend(step.figures.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
        Value::Object(object)
    };
    json!({
        "nodes": options.nodes,
        "redundancy": options.redundancy,
        "runs": options.runs,
        "killed": options.kill,
        "steps": medians.iter().map(step).collect::<Vec<_>>(),
        "stages_mb_per_second": stages.map(|stages| json!({
            "cores": stages.cores, "hash": stages.hash, "cut": stages.cut, "cipher": stages.cipher, "code": stages.code,
            "wire": stages.wire, "disk": stages.disk, "disk_by_cpu_time": stages.disk_cpu,
        })),
        "ceiling_mb_per_second": ceiling.map(|ceiling| json!({ "put": ceiling.put, "get": ceiling.get })),
    })
}

fn as_table(options: &Options, medians: &[Step], stages: Option<&Stages>, ceiling: Option<Ceiling>) {
    println!(
        "{} daemons, {}, medians of {} runs; CPU in seconds per GiB",
        options.nodes, options.redundancy, options.runs
    );
    println!(
        "{:<9} {:<6} {:<22} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
        "", "job", "step", "seconds", "MB/s", "CPU", "CPU", "RSS MB", "RSS MB", "disk MB", "wire MB", "syncs"
    );
    println!(
        "{:<46} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8}",
        "", "", "", "client", "servers", "client", "server"
    );
    for step in medians {
        let show =
            |value: Option<f64>, digits: usize| value.map_or("-".to_owned(), |v| format!("{v:.digits$}"));
        let per_gib =
            |name| step.figure(name).map(|seconds| seconds / step.bytes as f64 * (1u64 << 30) as f64);
        let mega = |name| step.figure(name).map(|bytes| bytes / 1e6);
        println!(
            "{:<9} {:<6} {:<22} {:>8} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>8} {:>6}",
            step.system,
            step.job,
            step.step,
            show(step.figure("seconds"), 3),
            show(rate(step), 0),
            show(per_gib("client_cpu_seconds"), 2),
            show(per_gib("servers_cpu_seconds"), 2),
            show(mega("client_rss_peak_bytes"), 0),
            show(mega("server_rss_peak_bytes"), 0),
            show(mega("disk_bytes"), 0),
            show(mega("wire_bytes"), 1),
            show(step.figure("syncs"), 0),
        );
    }
    reads(medians);
    ratios(medians);
    if let (Some(stages), Some(ceiling)) = (stages, ceiling) {
        println!(
            "stages alone, {} cores, MB/s: hash {:.0}, cut {:.0}, cipher {:.0}, code {:.0}, wire {:.0}, disk {:.0} (by CPU time {:.0})",
            stages.cores,
            stages.hash,
            stages.cut,
            stages.cipher,
            stages.code,
            stages.wire,
            stages.disk,
            stages.disk_cpu
        );
        for (name, limit) in [("put", ceiling.put), ("get", ceiling.get)] {
            let ours = medians.iter().find(|s| (s.system, s.job, s.step) == ("chordage", "w1", name));
            let share =
                ours.and_then(rate).map_or("-".to_owned(), |rate| format!("{:.0} %", 100.0 * rate / limit));
            println!("ceiling of {name}: {limit:.0} MB/s, reached: {share}");
        }
    }
}

/// What reading took from others.
fn reads(medians: &[Step]) {
    for step in medians.iter().filter(|step| step.figure("lookups").is_some_and(|lookups| lookups > 0.0)) {
        let figure = |name| step.figure(name).unwrap_or(0.0);
        println!(
            "{} {}: {} lookups, {} chunks, {} shards asked for, {:.2} MB of them received, {} late",
            step.job,
            step.step,
            figure("lookups"),
            figure("chunks_read"),
            figure("shards_asked"),
            figure("shard_bytes_read") / 1e6,
            figure("shards_late")
        );
    }
}

/// How others compare: their time over ours.
fn ratios(medians: &[Step]) {
    for other in medians.iter().filter(|step| step.system != "chordage") {
        let ours = medians
            .iter()
            .find(|step| (step.system, step.job, step.step) == ("chordage", other.job, other.step));
        if let (Some(ours), Some(theirs)) = (ours.and_then(|s| s.figure("seconds")), other.figure("seconds"))
        {
            println!(
                "{} {}: {} takes {:.2} times as long",
                other.job,
                other.step,
                other.system,
                theirs / ours
            );
        }
    }
}
