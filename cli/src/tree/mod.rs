//! Directories as archives and back, with modes, times and symlinks.

mod dirs;
pub(crate) mod pack;
pub(crate) mod steady;
pub(crate) mod unpack;
pub(crate) mod walk;
