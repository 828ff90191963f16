//! What a step cost: wall time, CPU time, memory.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;

/// One step of one job of one run.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) system: &'static str,
    pub(crate) job: &'static str,
    pub(crate) step: &'static str,
    /// Bytes of user data.
    pub(crate) bytes: u64,
    pub(crate) figures: Vec<(&'static str, f64)>,
}

impl Step {
    pub(crate) fn new(system: &'static str, job: &'static str, step: &'static str, bytes: u64) -> Self {
        Step { system, job, step, bytes, figures: Vec::new() }
    }

    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.figures.push((name, value));
        self
    }

    pub(crate) fn with_cost(self, cost: &Cost) -> Self {
        self.with("seconds", cost.seconds)
            .with("client_cpu_seconds", cost.cpu)
            .with("client_rss_peak_bytes", cost.rss_peak as f64)
    }

    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }
}

/// What a command cost, and what it printed.
pub(crate) struct Cost {
    pub(crate) seconds: f64,
    pub(crate) cpu: f64,
    pub(crate) rss_peak: u64,
    pub(crate) stdout: Vec<u8>,
}

/// Runs a command to its end. What was written before it is on disk before it starts, so that it does not pay for
/// others.
pub(crate) fn timed(command: &mut Command) -> Result<Cost, Failure> {
    rustix::fs::sync();
    let cpu = children_cpu();
    let started = Instant::now();
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let pid = child.id();
    let watching = std::thread::spawn(move || peak_rss_until_end(pid));
    let output = child.wait_with_output()?;
    let seconds = started.elapsed().as_secs_f64();
    let rss_peak = watching.join().unwrap_or(0);
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("{command:?} ended with {}: {said}", output.status).into());
    }
    Ok(Cost { seconds, cpu: children_cpu() - cpu, rss_peak, stdout: output.stdout })
}

/// Runs a command that is not measured.
pub(crate) fn quietly<S: AsRef<OsStr>>(
    program: &Path,
    args: impl IntoIterator<Item = S>,
) -> Result<(), Failure> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output()?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(format!("{} ended with {}: {said}", program.display(), output.status).into())
}

/// Fails unless both are the same files with the same bytes.
pub(crate) fn expect_same(left: &Path, right: &Path) -> Result<(), Failure> {
    let same = Command::new("diff").arg("-rq").arg(left).arg(right).stdout(Stdio::null()).status()?;
    if same.success() {
        return Ok(());
    }
    Err(format!("{} and {} differ: what came back is not what was put", left.display(), right.display())
        .into())
}

/// CPU time of children that have been waited for, seconds.
fn children_cpu() -> f64 {
    cpu_fields(std::process::id(), 13)
}

/// CPU time of a process, seconds.
pub(crate) fn cpu_of(pid: u32) -> f64 {
    cpu_fields(pid, 11)
}

/// Two fields of `/proc/PID/stat`, counted behind the command's name.
fn cpu_fields(pid: u32, first: usize) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, fields)| fields);
    let ticks: u64 =
        fields.split_whitespace().skip(first).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// The highest resident set of a process so far, bytes.
pub(crate) fn peak_rss_of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

fn peak_rss_until_end(pid: u32) -> u64 {
    let mut peak = 0;
    while let Some(rss) = peak_rss_of(pid) {
        peak = peak.max(rss);
        std::thread::sleep(Duration::from_millis(10));
    }
    peak
}

/// Bytes that the files below a path take on disk.
pub(crate) fn disk_use(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return 0 };
    let below = std::fs::read_dir(path).into_iter().flatten().flatten();
    metadata.blocks() * 512 + below.map(|entry| disk_use(&entry.path())).sum::<u64>()
}

/// The middle value; of two the higher.
pub(crate) fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
