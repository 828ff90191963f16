//! Whole overlays in one process and in virtual time.

mod failure;
mod join;
mod lookup;
mod replay;
mod world;
