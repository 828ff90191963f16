//! Ways into the network for programs that know nothing of it. Each is a client of a daemon's local API and needs
//! nothing else of the daemon, so that it cannot reach what the API does not give.
//!
//! | module | who is served |
//! |---|---|
//! | [`restic`] | backup programs that speak restic's REST protocol: restic and rustic |
//! | [`webdav`] | programs and desktops that speak WebDAV: rclone, davfs2, Finder, Explorer |
//! | [`web`] | people with a browser |
//!
//! What they have in common: [`front`] stands between a view and those who use it, `kept` is what views keep their
//! things in.

pub mod front;
mod kept;
pub mod restic;
pub mod web;
pub mod webdav;
