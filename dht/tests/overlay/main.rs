//! Whole overlays in one process and in virtual time.

#![allow(clippy::unwrap_used)]

mod clients;
mod exclusion;
mod failure;
mod join;
mod lookup;
mod members;
mod places;
mod preload;
mod records;
mod replay;
mod superpeers;
mod versions;
mod world;
