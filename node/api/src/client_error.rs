//! Why a request to the local API failed.

use std::io;
use std::time::Duration;

use super::endpoint::Endpoint;
use super::types::Problem;

/// Why a request to the local API failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens at the endpoint. Nothing was asked.
    #[error("no daemon answers at {endpoint}: {source}")]
    Unreachable {
        /// Where it was tried.
        endpoint: Endpoint,
        /// What the system said.
        source: io::Error,
    },
    /// The daemon answered with a typed failure, which says what is true now.
    #[error("{}", .0.message)]
    Problem(Problem),
    /// The connection broke before the answer was whole and the daemon gives no reason: most likely it was stopped.
    /// What arrived until then is a prefix, never the whole.
    #[error("the connection to the daemon broke: {0}")]
    Lost(String),
    /// The daemon accepted the request and then stayed silent. Whether it still works on it is unknown.
    #[error("the daemon has been silent for {} seconds", .after.as_secs())]
    Stalled {
        /// How long it was silent.
        after: Duration,
    },
    /// The answer is not what this API says: another program listens there, or another version.
    #[error("the answer is not one of this API: {0}")]
    Unexpected(String),
    /// The request could not be put into HTTP (a token with a line break, for example). Nothing was asked.
    #[error("the request cannot be sent: {0}")]
    Unsendable(String),
}

/// An error with its causes, because hyper keeps the useful part in the source.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
