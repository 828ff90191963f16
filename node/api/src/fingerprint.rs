//! Knowing a file without reading it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_storage::Fingerprint;

/// Files that may be asked about at a time.
pub const FILES_MAX: usize = 1 << 16;

/// A file that was changed so lately may be changed again without its times showing it: file systems count time in
/// steps, of 2 s at worst (FAT). Git calls such files "racily clean".
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// The fingerprint of a file of which the system says this: a hash of machine, device, inode, size and times of
/// modification and of change. The time of change cannot be set by programs, and every write moves it; so equal
/// fingerprints mean equal content, if the file was [settled](is_settled) when its content was read.
///
/// Take `metadata` of the open file, before the first byte is read.
pub fn fingerprint(metadata: &Metadata) -> Fingerprint {
    let mut hasher = blake3::Hasher::new_derive_key("chordage v1 file fingerprint");
    hasher.update(machine());
    for number in [metadata.dev(), metadata.ino(), metadata.size()] {
        hasher.update(&number.to_le_bytes());
    }
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hasher.update(&number.to_le_bytes());
    }
    Fingerprint(*hasher.finalize().as_bytes())
}

/// Whether content that is read from now on may be remembered under the file's fingerprint: its last change is long
/// enough ago, so that any further one will show.
pub fn is_settled(metadata: &Metadata, now: SystemTime) -> bool {
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as i128;
    let latest = now - SETTLED_AFTER.as_nanos() as i128;
    let time = |seconds: i64, nanos: i64| i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
    let modified = time(metadata.mtime(), metadata.mtime_nsec());
    // Programs may set times of modification, also to the future, where they say nothing.
    time(metadata.ctime(), metadata.ctime_nsec()) <= latest && (modified <= latest || modified > now)
}

/// Device and inode are numbers of one machine, and a daemon may be used from several through a forwarded port.
fn machine() -> &'static [u8; 32] {
    static MACHINE: OnceLock<[u8; 32]> = OnceLock::new();
    MACHINE.get_or_init(|| {
        let id = std::fs::read("/etc/machine-id").unwrap_or_default();
        blake3::derive_key("chordage v1 machine", &id)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_follows_the_file_and_changes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, moved) = (dir.path().join("a"), dir.path().join("b"));
        std::fs::write(&path, "content").unwrap();
        let before = std::fs::metadata(&path).unwrap();
        assert_eq!(fingerprint(&before), fingerprint(&std::fs::metadata(&path).unwrap()));
        std::fs::write(&path, "content that is longer").unwrap();
        let longer = fingerprint(&std::fs::metadata(&path).unwrap());
        assert_ne!(fingerprint(&before), longer);
        std::fs::copy(&path, &moved).unwrap();
        assert_ne!(longer, fingerprint(&std::fs::metadata(&moved).unwrap()));
    }

    #[test]
    fn a_file_settles_two_seconds_after_its_last_change_whatever_its_times_pretend() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let now = SystemTime::now();
        for pretended in [UNIX_EPOCH, now + Duration::from_secs(1000)] {
            file.as_file().set_modified(pretended).unwrap();
            let metadata = file.as_file().metadata().unwrap();
            assert!(!is_settled(&metadata, SystemTime::now()));
            assert!(is_settled(&metadata, SystemTime::now() + SETTLED_AFTER));
        }
    }
}
