//! Stories of clients and holders that do not do their part: whoever else is there must not suffer from it.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "shared with the other stories, of which each uses a part")]
#[path = "../daemons/harness.rs"]
mod harness;
mod slow;
