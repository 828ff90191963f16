//! Names as people see them: one way of escaping for everything that is printed.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use chordage_node::archive::Quoted;
pub(crate) use chordage_node::archive::escaped as shown;

/// A path for a message: in quotes, with anything escaped that a terminal could stumble over or an eye be misled by.
pub(crate) fn quoted(path: &Path) -> String {
    Quoted(path.as_os_str().as_bytes()).to_string()
}
