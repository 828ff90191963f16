//! Questions put to a world, one per file.

pub mod lookups;
