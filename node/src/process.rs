//! What the operating system says about this process. Zero where it does not say.

use chordage_api::types::ProcessStatus;

/// Memory and CPU time that it uses now.
pub(crate) fn status() -> ProcessStatus {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kib = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse::<u64>().ok())
            .map_or(0, |kib| kib << 10)
    };
    ProcessStatus { rss_bytes: kib("VmRSS:"), rss_peak_bytes: kib("VmHWM:"), cpu_seconds: cpu_seconds() }
}

fn cpu_seconds() -> f64 {
    // Fields 14 and 15, counted after the command's name, which may contain anything but ends at the last ')'.
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(')') else { return 0.0 };
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    #[test]
    fn a_running_process_uses_memory() {
        let usage = super::status();
        assert!(usage.rss_bytes > 0 && usage.rss_peak_bytes >= usage.rss_bytes, "{usage:?}");
    }
}
