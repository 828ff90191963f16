//! Time, as it is written down.

use std::time::Duration;

/// A point in time in milliseconds since an epoch that the caller chooses. A daemon counts from 1970, so that what it
/// wrote down before a restart still means something afterwards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// How long `earlier` is ago; nothing if it lies ahead, as after a clock was set back.
    pub fn since(self, earlier: Moment) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// So much later.
    pub fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)))
    }
}
