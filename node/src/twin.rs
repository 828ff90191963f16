//! Another daemon with this one's key: what is said about it.

use chordage_api::types::TwinStatus;

/// What to do about it.
pub(crate) const NEXT_STEP: &str = "stop one of the two; if both are to run, stop the copy, remove `key` from its data \
     directory and start it again: then it is a daemon of its own";

/// A daemon that has this one's key and runs elsewhere, as its own answer proves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Twin {
    /// The name that both have.
    pub(crate) name: String,
    /// Where it answers, first, and where else it says that it can be reached.
    pub(crate) addresses: Vec<String>,
    /// When it was found, seconds since 1970.
    pub(crate) since: u64,
    /// Whether all others know that one and not this one, and it can neither store nor fetch.
    pub(crate) has_place: bool,
}

impl Twin {
    /// What is true now, in a sentence or two.
    pub(crate) fn message(&self) -> String {
        let address = self.addresses.first().map_or("an unknown address", String::as_str);
        let consequence = if self.has_place {
            "All others speak with that one, and no longer with this one."
        } else {
            "All others speak with this one, and no longer with that one."
        };
        format!(
            "A second daemon with the same key, {}, runs at {address}: the data directory of one is a copy of the \
             other's. {consequence}",
            self.name
        )
    }

    pub(crate) fn status(&self) -> TwinStatus {
        TwinStatus {
            addresses: self.addresses.clone(),
            since: self.since,
            has_place: self.has_place,
            message: format!("{} What to do: {NEXT_STEP}.", self.message()),
        }
    }
}
