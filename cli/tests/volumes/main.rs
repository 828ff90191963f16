//! Stories of volumes on real daemons: what is acknowledged stays, whoever else writes, and whatever is killed
//! meanwhile.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "shared with the other stories, of which each uses a part")]
#[path = "../daemons/harness.rs"]
mod harness;
mod killed;
mod locks;
mod machines;
mod million;
mod states;
mod trees;
#[allow(dead_code, reason = "shared with the other stories, of which each uses a part")]
#[path = "../daemons/walked.rs"]
mod walked;
