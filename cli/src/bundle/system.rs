//! What the operating system gives a daemon.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use serde_json::{Value, json};

/// Lines of `/proc/meminfo` that matter.
const MEMORY: [&str; 4] = ["MemTotal", "MemAvailable", "SwapTotal", "SwapFree"];
/// Lines of `/proc/PID/limits` that matter.
const LIMITS: [&str; 4] = ["Max open files", "Max processes", "Max address space", "Max file size"];

/// The kernel, processors, memory, the disk below `dir`, and limits: those of the daemon's process if there is one.
pub(crate) fn facts(dir: &Path, pid: Option<u32>) -> Value {
    let line = |path: &str| fs::read_to_string(path).ok().map(|text| text.trim().to_owned());
    let open_files = getrlimit(Resource::Nofile);
    json!({
        "system": std::env::consts::OS,
        "machine": std::env::consts::ARCH,
        "kernel": line("/proc/sys/kernel/osrelease"),
        "processors": std::thread::available_parallelism().ok().map(std::num::NonZero::get),
        "load": line("/proc/loadavg"),
        "memory": named("/proc/meminfo", &MEMORY),
        "disk": disk(dir),
        "open_files_here": { "now": open_files.current, "most": open_files.maximum },
        "limits_of_daemon": pid.map(|pid| named(&format!("/proc/{pid}/limits"), &LIMITS)),
    })
}

fn disk(dir: &Path) -> Option<Value> {
    let found = rustix::fs::statvfs(dir).ok()?;
    Some(json!({
        "bytes": found.f_blocks.saturating_mul(found.f_frsize),
        "free_bytes": found.f_bavail.saturating_mul(found.f_frsize),
        "files": found.f_files,
        "free_files": found.f_favail,
    }))
}

/// The lines of a file that begin with one of these names, by name.
fn named(path: &str, names: &[&str]) -> Value {
    let text = fs::read_to_string(path).unwrap_or_default();
    let found = names.iter().filter_map(|name| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
        let words: Vec<&str> = rest.trim_start_matches(':').split_whitespace().collect();
        Some(((*name).to_owned(), Value::from(words.join(" "))))
    });
    found.collect::<serde_json::Map<_, _>>().into()
}
