//! Requests about the home of a person.

use chordage_api::phrase::PhraseError;
use chordage_api::types::{Problem, ProblemCode};

use super::NOTHING_CHANGED;
use crate::home::HomeError;

impl From<&HomeError> for Problem {
    fn from(error: &HomeError) -> Self {
        let problem = |code, hint: &str| Problem::new(code, error, NOTHING_CHANGED, hint);
        match error {
            HomeError::Phrase(PhraseError::WrongCount(_) | PhraseError::UnknownWord { .. }) => {
                problem(ProblemCode::BadPhrase, "compare it with what `chordage home create` printed")
            }
            HomeError::Phrase(PhraseError::Checksum) => {
                problem(ProblemCode::BadPhrase, "compare each word, and their order, with what was printed")
            }
            HomeError::Exists => problem(
                ProblemCode::Conflict,
                "see it with `chordage home status`; `chordage volume remove home --yes` leaves it",
            ),
            HomeError::None => problem(ProblemCode::NoSuchHome, "make one with `chordage home create`"),
            HomeError::NotFound => problem(
                ProblemCode::NoSuchHome,
                "see with `chordage status` whether this is the network in which it was made",
            ),
            HomeError::Newer(_) => problem(ProblemCode::Internal, "use a newer version of chordage"),
            HomeError::Unknown => problem(
                ProblemCode::NoMajority,
                "see with `chordage status` who is in the network, then retry",
            ),
            HomeError::NoRandomness | HomeError::NoMemory => problem(ProblemCode::Internal, "try again"),
            HomeError::Volumes(error) => Problem::from(&**error),
            HomeError::Names(error) => Problem::from(&**error),
        }
    }
}
