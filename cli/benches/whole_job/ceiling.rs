//! What the stages add up to: no implementation on this machine can be faster as long as it does these things, each
//! byte as often as said here, at the speed of the primitives.
//!
//! All ends are on one machine, so every stage takes its share of the same cores: seconds per byte add up. The disk
//! works beside them and is a limit of its own.

use crate::options::Options;
use crate::stages::Stages;
use crate::{Failure, meter::Step};

/// MB/s of user data.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    pub(crate) put: f64,
    pub(crate) get: f64,
}

/// Of random bytes, which do not compress.
pub(crate) fn of(stages: &Stages, options: &Options) -> Result<Ceiling, Failure> {
    let (k, n) = options.code()?;
    let expansion = n as f64 / k as f64;
    // One holder in so many is the daemon that was asked.
    let remote = 1.0 - 1.0 / options.nodes as f64;
    let put = 1.0 / stages.cut
        // Pieces for dedup, shards for the descriptor, and shards again at their holders.
        + (1.0 + 2.0 * expansion) / stages.hash
        + 1.0 / stages.cipher
        + 1.0 / stages.code
        + expansion * remote / stages.wire
        + expansion / stages.disk_cpu;
    // Holders check what they read, and the reader what it gets; the shards come out of the cache.
    let get = 2.0 / stages.hash + 1.0 / stages.cipher + remote / stages.wire;
    Ok(Ceiling { put: (1.0 / put).min(stages.disk / expansion), get: 1.0 / get })
}

/// MB/s of a step.
pub(crate) fn rate(step: &Step) -> Option<f64> {
    step.figure("seconds").map(|seconds| step.bytes as f64 / 1e6 / seconds)
}
