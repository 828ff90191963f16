//! How much memory this process uses.

/// Resident memory of this process, bytes; none where the system does not say.
pub fn resident() -> Option<u64> {
    let statm = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
    // Pages are 4 KiB on the systems that have this file and that we run on; a wrong guess only spoils a figure.
    Some(pages * 4096)
}
