//! Why a request failed.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a request failed: the body of every answer that is not 2xx.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of failure, from a closed list.
    pub code: ProblemCode,
    /// What is wrong.
    pub message: String,
    /// What is true now (nothing stored, partly stored, ...).
    pub state: String,
    /// What to do next.
    pub hint: String,
}

impl Problem {
    /// A failure of this kind: what is wrong, what is true now, and what to do next.
    #[expect(clippy::needless_pass_by_value, reason = "callers hand over errors, texts and literals alike")]
    pub fn new(code: ProblemCode, message: impl ToString, state: &str, hint: impl ToString) -> Self {
        Problem { code, message: message.to_string(), state: state.to_owned(), hint: hint.to_string() }
    }
}

/// The closed list of failures of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// The request itself is wrong (bad query, bad range, bad archive).
    BadRequest,
    /// The link is not a link, or damaged.
    BadLink,
    /// The object's data is not in the network now (too few live shards).
    Unavailable,
    /// The object has no such path.
    NoSuchPath,
    /// The link names an object but may not read it (verify link).
    NotReadable,
    /// The range lies outside the object.
    RangeNotSatisfiable,
    /// Fewer live nodes than shards.
    TooFewNodes,
    /// Holders refused or failed: fewer acknowledgements than the write quorum.
    NotDurable,
    /// A file that was said to be unchanged is not known, or not stored well enough any more: its content is needed.
    Forgotten,
    /// This daemon does not keep the object.
    NotKept,
    /// The object cannot be forgotten before its date.
    Retained,
    /// Too many requests at a time.
    Busy,
    /// A deadline passed.
    TimedOut,
    /// The daemon has not joined the network (yet).
    NotJoined,
    /// The daemon is leaving.
    ShuttingDown,
    /// No such operation, route or token.
    NotFound,
    /// The token is missing or wrong (TCP only).
    Unauthorized,
    /// The text is not a name, or a key in it is mistyped.
    BadName,
    /// The name does not exist, or its record has ended or leads nowhere.
    NoSuchName,
    /// DNS names several keys for a domain, or several invites have ids that begin so.
    Ambiguous,
    /// The key of the name is not one of this daemon's.
    NotOwned,
    /// This daemon knows no volume of that name.
    NoSuchVolume,
    /// The text is not a recovery phrase: words are missing, or wrong.
    BadPhrase,
    /// Nobody in the network knows a home of that phrase, or this daemon has none.
    NoSuchHome,
    /// The volume has no such snapshot, or several whose ids begin so.
    NoSuchSnapshot,
    /// This daemon has made no such invite.
    NoSuchInvite,
    /// Another version is held than the one that was expected, or there is such a thing already.
    Conflict,
    /// Only an older version can be had than was seen before.
    RolledBack,
    /// Too few of the nodes that keep a record could be reached.
    NoMajority,
    /// The disk of this daemon is full, so that it could not write down what it was told.
    DiskFull,
    /// The disk of this daemon failed, or its data directory was removed.
    DiskFailed,
    /// Something that should not happen; the daemon's log says more.
    Internal,
}
