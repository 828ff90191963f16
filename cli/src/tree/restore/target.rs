//! The directory that is restored into.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use chordage_node::archive::XATTR_VALUE_BYTES_MAX;
use rustix::fs::{Mode, XattrFlags};

use super::RestoreError;
use super::unfinished::{Occupied, Unfinished};
use crate::tree::dirs::Dirs;

/// What a directory has made in it inherit.
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// A directory that is ready to be restored into.
pub(super) struct Target {
    pub(super) tree: Dirs,
    pub(super) unfinished: Unfinished,
    /// The default ACL that it had.
    pub(super) inherited: Option<Vec<u8>>,
}

/// Makes or opens it, and marks it as a part of `what`. It is without a default ACL then, which all that is made in it
/// would inherit.
pub(super) fn prepare(dir: &Path, what: &str) -> Result<Target, RestoreError> {
    let failed = |doing| move |error: io::Error| RestoreError::Target { doing, path: dir.to_owned(), error };
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create")(error)),
        _ => {}
    }
    // Whoever names it may name it through a symlink.
    let tree = Dirs::below(dir, true).map_err(|error| failed("open")(error.into()))?;
    let unfinished = Unfinished::begin(tree.root(), what).map_err(failed("prepare"))?;
    let unfinished = unfinished.map_err(|occupied| match occupied {
        Occupied::Others => RestoreError::NotEmpty { path: dir.to_owned() },
        Occupied::AnotherPart => {
            RestoreError::Occupied { path: dir.to_owned(), by: "holds a part of something else" }
        }
        Occupied::AnotherProcess => {
            RestoreError::Occupied { path: dir.to_owned(), by: "is being restored into by another command" }
        }
    })?;
    if unfinished.goes_on {
        open_up(tree.root());
    }
    let mut acl = vec![0; XATTR_VALUE_BYTES_MAX];
    let inherited = rustix::fs::fgetxattr(tree.root(), DEFAULT_ACL, &mut acl[..]).ok();
    let inherited = inherited.map(|length| acl[..length].to_vec());
    if inherited.is_some() {
        rustix::fs::fremovexattr(tree.root(), DEFAULT_ACL).map_err(|error| failed("change")(error.into()))?;
    }
    Ok(Target { tree, unfinished, inherited })
}

/// Gives it the ACL back that it had, if the archive does not say what it is to have.
pub(super) fn give_back(dir: &OwnedFd, acl: &[u8]) {
    // It could be removed a moment ago.
    let _ = rustix::fs::fsetxattr(dir, DEFAULT_ACL, acl, XattrFlags::empty());
}

/// A restore that ended early may have left it closed to whoever goes on.
fn open_up(dir: &OwnedFd) {
    // What cannot be made in it says so.
    let _ = rustix::fs::fstat(dir)
        .and_then(|stat| rustix::fs::fchmod(dir, Mode::from_raw_mode(stat.st_mode) | Mode::RWXU));
}
