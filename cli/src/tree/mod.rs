//! Directories as archives and back, with modes, times and symlinks.

pub(crate) mod datadir;
mod dirs;
pub(crate) mod pack;
pub(crate) mod selection;
pub(crate) mod steady;
pub(crate) mod unpack;
pub(crate) mod walk;
