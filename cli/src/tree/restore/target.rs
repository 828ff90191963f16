//! The directory that is restored into.

use std::fs::DirBuilder;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use chordage_node::archive::XATTR_VALUE_BYTES_MAX;
use rustix::fs::{Dir, XattrFlags};
use rustix::io::Errno;

use super::RestoreError;
use crate::tree::dirs::Dirs;

/// What a directory has made in it inherit.
const DEFAULT_ACL: &str = "system.posix_acl_default";

/// Makes or opens it. It is without a default ACL then, which all that is made in it would inherit; the one that it had is
/// returned too.
pub(super) fn prepare(dir: &Path) -> Result<(Dirs, Option<Vec<u8>>), RestoreError> {
    let failed = |doing| move |error: io::Error| RestoreError::Target { doing, path: dir.to_owned(), error };
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed("create")(error)),
        _ => {}
    }
    // Whoever names it may name it through a symlink.
    let tree = Dirs::below(dir, true).map_err(|error| failed("open")(error.into()))?;
    if !is_empty(tree.root()).map_err(|error| failed("read")(error.into()))? {
        return Err(RestoreError::NotEmpty { path: dir.to_owned() });
    }
    let mut acl = vec![0; XATTR_VALUE_BYTES_MAX];
    let inherited = rustix::fs::fgetxattr(tree.root(), DEFAULT_ACL, &mut acl[..]).ok();
    let inherited = inherited.map(|length| acl[..length].to_vec());
    if inherited.is_some() {
        rustix::fs::fremovexattr(tree.root(), DEFAULT_ACL).map_err(|error| failed("change")(error.into()))?;
    }
    Ok((tree, inherited))
}

/// Gives it the ACL back that it had, if the archive does not say what it is to have.
pub(super) fn give_back(dir: &OwnedFd, acl: &[u8]) {
    // It could be removed a moment ago.
    let _ = rustix::fs::fsetxattr(dir, DEFAULT_ACL, acl, XattrFlags::empty());
}

fn is_empty(dir: &OwnedFd) -> Result<bool, Errno> {
    for entry in Dir::read_from(dir)? {
        if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
            return Ok(false);
        }
    }
    Ok(true)
}
