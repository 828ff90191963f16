//! The Chordage daemon.

pub mod api;
