//! Snapshots as a file system (FUSE), which can only be read: a client of the local daemon like any other. See
//! decision 25.
//!
//! ```text
//!  kernel ──▶ session thread ──▶ a task for each request: filesystem ─▶ operations ─▶ answer, or EIO after the deadline
//!                                                                          │
//!            view (names above the snapshots)   listings, details, links   │  contents (runs of bytes, read ahead)
//!                                          └──────────── source: requests to the daemon, a few at a time
//! ```
//!
//! Whoever reads here is stopped by nothing but the daemon, and for no longer than the deadline. The program never
//! looks at its own mount, which would wait for itself.

mod attributes;
mod complaints;
mod contents;
mod details;
mod filesystem;
mod handles;
mod inodes;
mod links;
mod listings;
mod operations;
mod session;
mod snapshots;
mod source;
mod view;

pub(crate) use self::session::{Ended, Options, serve};
