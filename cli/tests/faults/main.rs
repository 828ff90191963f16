//! Stories of faults on real daemons: who is killed, absent, slow or cut off, and what is damaged or lost. Nothing kept
//! is lost, nothing forgotten stays, and nobody waits without a word.

#![allow(clippy::unwrap_used)]

mod addresses;
mod books;
mod clocks;
mod descriptors;
mod disk;
#[allow(dead_code, reason = "shared with the other stories, of which each uses a part")]
#[path = "../daemons/harness.rs"]
mod harness;
mod leases;
mod logs;
mod names;
mod recovered;
mod services;
mod slept;
mod slow;
mod tasks;
mod threads;
mod twins;
