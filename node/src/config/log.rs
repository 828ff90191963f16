//! How a daemon logs.

use serde::{Deserialize, Serialize};

/// What the lines of a log are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Sentences for people.
    #[default]
    Text,
    /// An object in each line: `timestamp`, `level`, `target`, `message`, and what else there is to say.
    Json,
}
