//! What a daemon that does not do what it should is judged by, without what it keeps secret: made to be shown to
//! others.

mod scrub;
mod system;

pub(crate) use scrub::Scrubber;
pub(crate) use system::facts;
