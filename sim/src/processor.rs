//! How long this thread has been computing.

use std::time::Duration;

/// Time this thread has had a processor for, if the system says: on a busy machine much less than has passed.
pub(crate) fn used() -> Option<Duration> {
    // See proc(5): the first number is the time spent on the processor, in nanoseconds.
    let line = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    line.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}
