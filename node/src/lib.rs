//! The Chordage daemon.

pub mod api;
pub mod archive;
