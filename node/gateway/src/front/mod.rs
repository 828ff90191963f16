//! What stands between a view and those who use it: an address, places for connections, who is let in, and what is
//! counted.

mod answer;
mod connections;
mod counters;
mod gate;
mod limits;
mod listener;
mod patient;
mod user_name;
mod users;
mod wanted;

pub(crate) use self::answer::{Failure, close, discard};
pub(crate) use self::counters::Counters;
pub(crate) use self::gate::{Behind, Gate, host_of, is_this_machine};
pub(crate) use self::limits::{Limits, SHORT_BYTES_MAX, Turns};
pub use self::listener::{ListenError, Server, StatusOf};
pub(crate) use self::listener::{Listener, Running};
pub(crate) use self::user_name::can_be_user;
pub(crate) use self::users::Users;
#[cfg(test)]
pub(crate) use self::users::tests;
pub use self::users::{LineError, UsersError, user_line};

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
