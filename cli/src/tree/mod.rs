//! Trees as archives and back: with modes, times and symlinks, or with all that POSIX knows.

pub(crate) mod datadir;
pub(crate) mod dirs;
mod extents;
mod links;
mod named;
pub(crate) mod owners;
pub(crate) mod pack;
pub(crate) mod restore;
pub(crate) mod selection;
pub(crate) mod steady;
pub(crate) mod unpack;
pub(crate) mod walk;
mod xattrs;

#[cfg(test)]
mod tests;
