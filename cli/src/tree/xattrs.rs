//! Extended attributes of what is open. POSIX ACLs are among them: Linux shows them as `system.posix_acl_access` and
//! `system.posix_acl_default`.
//!
//! What is opened for its attributes alone (`O_PATH`), because it is a symlink, a device, or not ours to read, is
//! reached through its entry in `/proc/self/fd`: system calls that would take such a descriptor are younger than the
//! kernels in use.

use std::os::fd::{AsFd, AsRawFd};

use chordage_node::archive::{XATTR_VALUE_BYTES_MAX, Xattr};
use rustix::io::Errno;

/// All of a file's names of attributes together, at most: what Linux gives out (`XATTR_LIST_MAX`).
const LIST_BYTES_MAX: usize = 64 << 10;

/// Attributes, and what the system said if it did not give all of them.
pub(crate) type Found = (Vec<Xattr>, Option<Errno>);

/// The attributes of a file or directory that is open for reading, sorted.
pub(crate) fn of_file(fd: impl AsFd) -> Found {
    read(
        || rustix::fs::flistxattr_query(&fd),
        |list| rustix::fs::flistxattr(&fd, list),
        |name, value| rustix::fs::fgetxattr(&fd, name, value),
    )
}

/// The same of anything that is open in whatever way.
pub(crate) fn of_entry(fd: impl AsFd) -> Found {
    let path = path_of(&fd);
    read(
        || rustix::fs::listxattr_query(&*path),
        |list| rustix::fs::listxattr(&*path, list),
        |name, value| rustix::fs::getxattr(&*path, name, value),
    )
}

/// Where anything that is open can be reached by a path that leads to nothing else.
pub(crate) fn path_of(fd: &impl AsFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

fn read(
    list_bytes: impl Fn() -> Result<usize, Errno>,
    list: impl Fn(&mut [u8]) -> Result<usize, Errno>,
    get: impl Fn(&[u8], &mut [u8]) -> Result<usize, Errno>,
) -> Found {
    // Most have none, which is known without a buffer.
    match list_bytes() {
        Ok(0) | Err(Errno::NOTSUP) => return (Vec::new(), None),
        Ok(_) => {}
        Err(error) => return (Vec::new(), Some(error)),
    }
    let mut names = vec![0; LIST_BYTES_MAX];
    match list(&mut names) {
        Ok(length) => names.truncate(length),
        Err(error) => return (Vec::new(), Some(error)),
    }
    let mut value = vec![0; XATTR_VALUE_BYTES_MAX];
    let mut xattrs = Vec::new();
    let mut refused = None;
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match get(name, &mut value) {
            Ok(length) => xattrs.push(Xattr { name: name.to_vec(), value: value[..length].to_vec() }),
            // It was removed meanwhile.
            Err(Errno::NODATA) => {}
            Err(error) => refused = refused.or(Some(error)),
        }
    }
    xattrs.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    xattrs.dedup_by(|one, other| one.name == other.name);
    (xattrs, refused)
}
