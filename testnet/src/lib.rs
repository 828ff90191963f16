//! Networks of real Chordage daemons on one machine.
//!
//! [`Testnet`] starts daemons as processes with directories of their own, on ports that the system picks,
//! and waits for conditions through their APIs, never for a fixed time. It kills, freezes, restarts and adds
//! daemons, and it cleans up: what a handle has started ends when the handle is dropped, also in a panic,
//! and daemons tied to this process end with it even when it is killed (they watch a pipe). Signals go only
//! to processes that are certainly ours ([`ProcessId`]).
//!
//! The tests of the `chordage` command and its `testnet` and `demo` commands use the same handle.

pub mod chaos;
mod launch;
mod logs;
mod network;
mod plan;
mod process;
mod select;
mod settle;
mod state;
mod survey;
mod wait;

pub use launch::{LaunchError, Lifetime};
pub use logs::tail;
pub use network::{StartError, StatusError, Testnet};
pub use plan::Plan;
pub use process::{Activity, ProcessId, SignalError};
pub use select::{SelectError, select};
pub use state::StateError;
pub use survey::{NodeSurvey, Survey};
pub use wait::{WaitError, wait_until};
