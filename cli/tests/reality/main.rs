//! Simulation says how a network behaves; these are networks of real daemons that have to behave so.
//!
//! A program of its own, because what is measured here must not share the machine with other tests.

#![allow(clippy::unwrap_used)]

mod connections;
mod cut_off;
#[allow(dead_code, reason = "shared with the other stories, of which each uses a part")]
#[path = "../daemons/harness.rs"]
mod harness;
mod partition;
mod paths;
mod prediction;

use std::time::Duration;

use tokio::sync::{Mutex, MutexGuard};

/// The program under test.
const PROGRAM: &str = env!("CARGO_BIN_EXE_chordage");
/// How long a network may take to settle on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// One network at a time.
async fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::const_new(());
    ONE.lock().await
}
