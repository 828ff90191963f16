//! What the commands of `chordage backup` share: snapshots as their users name, group, choose and keep them.

pub(crate) mod calendar;
pub(crate) mod choice;
pub(crate) mod entry;
pub(crate) mod filter;
pub(crate) mod groups;
pub(crate) mod patterns;
pub(crate) mod retention;
pub(crate) mod sieve;
pub(crate) mod verification;
pub(crate) mod volume;
