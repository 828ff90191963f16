//! Questions put to a world, one per file.

pub mod adversaries;
pub mod churn;
pub mod eclipse;
pub mod idle;
pub mod lookups;
pub mod partition;
