//! A directory that follows what a name stands for.
//!
//! ```text
//! listing (what the version has) ─┐
//! state (what was brought) ───────┼─▶ plan ─▶ fetch into the stage ─▶ switch ─▶ state
//! local (what lies there) ────────┘
//! ```
//!
//! Everything that is missing is fetched into the stage first, a directory inside of the one that follows, and waits
//! there until all of it has come. Only then the directory is switched, file by file, each by a rename. Before that,
//! what it will hold is written down beside the state: whoever comes after a crash in the middle knows both versions'
//! files as brought.

mod bring;
mod events;
mod fetch;
mod home;
mod listing;
mod local;
mod news;
mod plan;
mod record;
mod stage;
mod state;
mod stop;
mod switch;

pub(crate) use bring::{Brought, Follower, Options};
pub(crate) use events::Events;
pub(crate) use home::Home;
pub(crate) use news::{Found, News};
pub(crate) use stop::Stop;
