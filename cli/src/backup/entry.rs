//! Entries of snapshots as people see them.

use std::fmt::Write;

use chordage_api::types::{VolumeEntry, VolumeEntryKind};
use chordage_api::unhex;

use super::calendar::Calendar;
use crate::human;
use crate::name::shown;

/// Columns of owners; longer names push the rest to the right.
const OWNER_WIDTH: usize = 8;

/// The path as it is, also when it is not UTF-8.
pub(crate) fn path_of(entry: &VolumeEntry) -> Vec<u8> {
    entry.path_hex.as_deref().and_then(unhex).unwrap_or_else(|| entry.path.as_bytes().to_vec())
}

/// The path for people, from `/`; with a slash behind that of a directory.
pub(crate) fn shown_path(entry: &VolumeEntry) -> String {
    let slash = if entry.kind == VolumeEntryKind::Directory && !entry.path.is_empty() { "/" } else { "" };
    format!("/{}{slash}", shown(&path_of(entry)))
}

/// A line about an entry; `long`: with mode, owners, size and time.
pub(crate) fn row(entry: &VolumeEntry, long: bool, calendar: &Calendar) -> String {
    let mut name = shown_path(entry);
    if !long {
        return name;
    }
    if let Some(target) = &entry.target {
        let _ = write!(name, " -> {}", shown(target.as_bytes()));
    }
    let size = match entry.kind {
        VolumeEntryKind::File => human::bytes(entry.size),
        _ => "-".to_owned(),
    };
    format!(
        "{} {:OWNER_WIDTH$} {:OWNER_WIDTH$} {size:>9}  {}  {name}",
        mode(entry),
        owner(&entry.user, entry.uid),
        owner(&entry.group, entry.gid),
        calendar.show(entry.mtime)
    )
}

/// A name, or the number of somebody who has none.
fn owner(name: &str, number: u32) -> String {
    if name.is_empty() { number.to_string() } else { shown(name.as_bytes()) }
}

/// `drwxr-sr-x`, as ls(1) writes it.
fn mode(entry: &VolumeEntry) -> String {
    let kind = match entry.kind {
        VolumeEntryKind::Directory => 'd',
        VolumeEntryKind::File => '-',
        VolumeEntryKind::Symlink => 'l',
        VolumeEntryKind::Fifo => 'p',
        VolumeEntryKind::CharDevice => 'c',
        VolumeEntryKind::BlockDevice => 'b',
        VolumeEntryKind::Unknown => '?',
    };
    let mut letters = vec![kind];
    // For user, group and others: set-user-id, set-group-id and sticky take the place of the right to execute.
    for (place, special) in [(2, 's'), (1, 's'), (0, 't')] {
        let bits = entry.mode >> (3 * place);
        letters.push(if bits & 4 > 0 { 'r' } else { '-' });
        letters.push(if bits & 2 > 0 { 'w' } else { '-' });
        letters.push(match (bits & 1 > 0, entry.mode >> (9 + place) & 1 == 1) {
            (true, true) => special,
            (false, true) => special.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    letters.into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A file of root, as far as these tests need one.
    pub(crate) fn file(path: &str, size: u64) -> VolumeEntry {
        VolumeEntry {
            path: path.to_owned(),
            path_hex: None,
            kind: VolumeEntryKind::File,
            size,
            mode: 0o644,
            uid: 0,
            gid: 1000,
            user: "root".to_owned(),
            group: String::new(),
            mtime: 1_796_018_709,
            mtime_nanos: 0,
            target: None,
            target_hex: None,
            device: None,
            data_bytes: None,
            xattrs: 0,
            link_group: None,
            content: None,
        }
    }

    #[test]
    fn a_row_is_like_that_of_ls() {
        let utc = Calendar::of("UTC");
        assert_eq!(
            row(&file("etc/passwd", 1024), true, &utc),
            "-rw-r--r-- root     1000      1.00 KiB  2026-11-30 06:05:09  /etc/passwd"
        );
        let link = VolumeEntry {
            kind: VolumeEntryKind::Symlink,
            target: Some("a\nb".to_owned()),
            mode: 0o777,
            ..file("l", 0)
        };
        assert!(row(&link, true, &utc).ends_with(r"/l -> a\nb"));
        let dir = VolumeEntry { kind: VolumeEntryKind::Directory, ..file("etc", 0) };
        assert_eq!(row(&dir, false, &utc), "/etc/");
        assert_eq!(row(&VolumeEntry { path: String::new(), ..dir }, false, &utc), "/");
        let odd = VolumeEntry { path_hex: Some("61ff".to_owned()), ..file("a\u{fffd}", 0) };
        assert_eq!(row(&odd, false, &utc), r"/a\xFF");
    }

    #[test]
    fn modes_show_the_special_bits() {
        let shown = |bits| mode(&VolumeEntry { mode: bits, ..file("a", 0) });
        assert_eq!(shown(0o4755), "-rwsr-xr-x");
        assert_eq!(shown(0o6644), "-rwSr-Sr--");
        assert_eq!(shown(0o1777), "-rwxrwxrwt");
        assert_eq!(shown(0o1666), "-rw-rw-rwT");
        assert_eq!(shown(0o2010), "------s---");
    }
}
