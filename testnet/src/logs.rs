//! The end of a log file, for error messages.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// How far back a tail may reach. Enough for a panic message with its backtrace.
const TAIL_BYTES_MAX: u64 = 16 * 1024;

/// The last lines of a file, at most `lines` of them; empty when there is no such file.
pub fn tail(path: &Path, lines: usize) -> String {
    let Ok(mut file) = File::open(path) else { return String::new() };
    let len = file.metadata().map_or(0, |meta| meta.len());
    let from = len.saturating_sub(TAIL_BYTES_MAX);
    let mut bytes = Vec::new();
    if file.seek(SeekFrom::Start(from)).is_err() || file.take(TAIL_BYTES_MAX).read_to_end(&mut bytes).is_err()
    {
        return String::new();
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut all: Vec<&str> = text.lines().collect();
    if from > 0 && all.len() > 1 {
        // The first line was cut somewhere in the middle.
        all.remove(0);
    }
    all[all.len().saturating_sub(lines)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tail_is_the_end_and_never_half_a_line() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = dir.path().join("log");
        let text: String = (0..5_000).map(|line| format!("line number {line}\n")).collect();
        std::fs::write(&path, text).expect("write");
        assert_eq!(tail(&path, 2), "line number 4998\nline number 4999");
        let all = tail(&path, usize::MAX);
        assert!(all.len() as u64 <= TAIL_BYTES_MAX);
        assert!(all.lines().all(|line| line.starts_with("line number ")));
        assert_eq!(tail(&dir.path().join("absent"), 3), "");
    }
}
