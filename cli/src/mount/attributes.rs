//! What stat(2) says of an entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_api::types::{VolumeDevice, VolumeEntry, VolumeEntryKind};
use chordage_api::unhex;
use fuser::{FileAttr, FileType, INodeNo};

/// What stat(2) counts in.
const BLOCK: u64 = 512;
/// What file systems allocate, mostly: du(1) says of a file here what it said of the original.
const PAGE: u64 = 4096;
/// Bits of a mode that are not the kind.
const PERMISSIONS: u32 = 0o7777;

/// What is known of an entry of a snapshot, without its name: a directory may have a hundred thousand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) kind: FileType,
    /// Of a file, holes included; of a symbolic link, of its target.
    pub(super) size: u64,
    /// Bytes of data of a file that has holes.
    pub(super) data_bytes: Option<u64>,
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) mtime_nanos: u32,
    pub(super) device: Option<VolumeDevice>,
    pub(super) target: Option<Box<[u8]>>,
    /// Entries with the same number are one file.
    pub(super) group: Option<u64>,
    pub(super) has_xattrs: bool,
}

impl Item {
    /// What the daemon says of an entry; `None` if it is of a kind that this program does not know.
    pub(super) fn of(entry: &VolumeEntry) -> Option<Self> {
        let hex = entry.target_hex.as_deref().and_then(unhex);
        let target = hex.or_else(|| entry.target.as_ref().map(|target| target.as_bytes().to_vec()));
        let kind = match entry.kind {
            VolumeEntryKind::Directory => FileType::Directory,
            VolumeEntryKind::File => FileType::RegularFile,
            VolumeEntryKind::Symlink => FileType::Symlink,
            VolumeEntryKind::Fifo => FileType::NamedPipe,
            VolumeEntryKind::CharDevice => FileType::CharDevice,
            VolumeEntryKind::BlockDevice => FileType::BlockDevice,
            VolumeEntryKind::Unknown => return None,
        };
        Some(Item {
            kind,
            size: target.as_ref().map_or(entry.size, |target| target.len() as u64),
            data_bytes: entry.data_bytes,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            mtime_nanos: entry.mtime_nanos,
            device: entry.device,
            target: target.map(Vec::into_boxed_slice),
            group: entry.link_group,
            has_xattrs: entry.xattrs > 0,
        })
    }

    /// A directory of `owner` that is in no snapshot.
    pub(super) fn above(owner: Owner, mtime: i64) -> Self {
        Item {
            kind: FileType::Directory,
            size: 0,
            data_bytes: None,
            mode: 0o555,
            uid: owner.uid,
            gid: owner.gid,
            mtime,
            mtime_nanos: 0,
            device: None,
            target: None,
            group: None,
            has_xattrs: false,
        }
    }

    /// A symbolic link that is in no snapshot.
    pub(super) fn link(owner: Owner, mtime: i64, target: &[u8]) -> Self {
        let (kind, size) = (FileType::Symlink, target.len() as u64);
        Item { kind, size, mode: 0o777, target: Some(target.into()), ..Item::above(owner, mtime) }
    }

    /// Whether names can be below it.
    pub(super) fn is_directory(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// What stat(2) says. `names`: how many the file has.
    pub(super) fn attributes(&self, number: u64, names: u32, owner: Option<Owner>) -> FileAttr {
        let mtime = time(self.mtime, self.mtime_nanos);
        let data = match self.kind {
            FileType::RegularFile => self.data_bytes.unwrap_or(self.size),
            _ => 0,
        };
        let owner = owner.unwrap_or(Owner { uid: self.uid, gid: self.gid });
        FileAttr {
            ino: INodeNo(number),
            size: self.size,
            blocks: data.div_ceil(PAGE).saturating_mul(PAGE / BLOCK),
            atime: mtime,
            mtime,
            ctime: mtime,
            crtime: mtime,
            kind: self.kind,
            perm: (self.mode & PERMISSIONS) as u16,
            nlink: names,
            uid: owner.uid,
            gid: owner.gid,
            rdev: self.device.map_or(0, device_number),
            blksize: PAGE as u32,
            flags: 0,
        }
    }
}

/// Whom something belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

/// A moment of a snapshot, also before 1970.
fn time(seconds: i64, nanos: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let second = if seconds < 0 { UNIX_EPOCH.checked_sub(whole) } else { UNIX_EPOCH.checked_add(whole) };
    let moment = second.and_then(|second| second.checked_add(Duration::from_nanos(nanos.into())));
    // A moment that the system cannot name.
    moment.unwrap_or(UNIX_EPOCH)
}

/// As the kernel takes it from file systems: twelve bits of the driver, with those of the device around them.
fn device_number(device: VolumeDevice) -> u32 {
    let VolumeDevice { major, minor } = device;
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & 0xf_ff00) << 12)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: Owner = Owner { uid: 0, gid: 0 };

    #[test]
    fn moments_before_1970_have_their_nanoseconds() {
        assert_eq!(time(-2, 250_000_000), UNIX_EPOCH - Duration::from_millis(1750));
        assert_eq!(time(3, 1), UNIX_EPOCH + Duration::new(3, 1));
        let _ = (time(i64::MIN, 999_999_999), time(i64::MAX, u32::MAX));
    }

    #[test]
    fn devices_have_the_numbers_that_the_kernel_gives_them() {
        assert_eq!(device_number(VolumeDevice { major: 1, minor: 3 }), 0x103);
        assert_eq!(device_number(VolumeDevice { major: 0xabc, minor: 0x1_2345 }), 0x123a_bc45);
    }

    #[test]
    fn blocks_are_those_of_the_data() {
        let file =
            |size, data_bytes| Item { kind: FileType::RegularFile, size, data_bytes, ..Item::above(ROOT, 0) };
        let blocks = |item: Item| item.attributes(7, 1, None).blocks;
        assert_eq!(blocks(file(1, None)), 8);
        assert_eq!(blocks(file(0, None)), 0);
        assert_eq!(blocks(file(1 << 40, Some(4096))), 8);
        assert_eq!(blocks(file(u64::MAX, None)) % 8, 0);
    }
}
