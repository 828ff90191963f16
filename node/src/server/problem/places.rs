//! From the errors of services and topics to what the API says.

use std::fmt::Display;

use chordage_api::types::{Problem, ProblemCode};

use super::{NOTHING_CHANGED, bad_request, disk, not_joined, shutting_down};
use crate::place::PlaceError;
use crate::services::ServicesError;
use crate::topics::TopicsError;

impl From<&ServicesError> for Problem {
    fn from(error: &ServicesError) -> Self {
        let problem = |code, hint: &str| Problem::new(code, error, NOTHING_CHANGED, hint);
        match error {
            ServicesError::BadName(_) => problem(
                ProblemCode::BadName,
                "give a name of 1 to 200 of the characters a-z 0-9 - _ . / , for example team/db",
            ),
            ServicesError::BadService(_) => bad_request(
                error,
                "give --addr as 10.0.0.5:5432, [2001:db8::1]:80 or db.example.org:5432, and each attribute as --attr KEY=VALUE",
            ),
            ServicesError::Full | ServicesError::FullName(_) => problem(
                ProblemCode::Conflict,
                "withdraw what is not needed: `chordage service list` shows it; or register through another daemon",
            ),
            ServicesError::NotRegistered { .. } => problem(
                ProblemCode::NoSuchName,
                "`chordage service list` shows what it registers; what another daemon registers is withdrawn there: --api",
            ),
            ServicesError::Io(source) => disk(error, source, "it is not known whether anything was changed"),
            ServicesError::Place(inner) => place(inner, error, NOTHING_CHANGED),
        }
    }
}

impl From<&TopicsError> for Problem {
    fn from(error: &TopicsError) -> Self {
        match error {
            TopicsError::BadName(_) => Problem::new(
                ProblemCode::BadName,
                error,
                NOTHING_CHANGED,
                "give a topic of 1 to 200 of the characters a-z 0-9 - _ . / , for example team/news",
            ),
            TopicsError::TooLarge => {
                bad_request(error, "store what is longer with `chordage put`, and publish its link")
            }
            TopicsError::TooSlow => Problem::new(
                ProblemCode::Busy,
                error,
                "what was told until now is in order; the subscription has ended",
                "subscribe again with --last, and take messages faster",
            ),
            TopicsError::Place(inner) => place(inner, error, "nothing was published"),
        }
    }
}

/// `state`: what is true if nothing has happened.
fn place(inner: &PlaceError, error: &impl Display, state: &str) -> Problem {
    match inner {
        PlaceError::NotJoined => not_joined(state),
        PlaceError::Busy => Problem::new(ProblemCode::Busy, error, state, "try again in a moment"),
        PlaceError::NoMajority { .. } => Problem::new(
            ProblemCode::NoMajority,
            error,
            state,
            "see with `chordage members` who is in the network, then retry",
        ),
        PlaceError::Unknown { .. } => Problem::new(
            ProblemCode::NoMajority,
            error,
            "those that have stored it pass it on, so that some see it and others may not",
            "see with `chordage members` who is in the network, and retry; some may then see it twice",
        ),
        PlaceError::Refused(_) => Problem::new(
            ProblemCode::Conflict,
            error,
            state,
            "if it is the time, see that the clock of this machine is right; if there are too many, take another name or \
             try again later",
        ),
        PlaceError::Stopped => Problem { state: state.to_owned(), ..shutting_down() },
    }
}
