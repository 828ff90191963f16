//! From the errors of names to what the API says.

use chordage_api::types::{Problem, ProblemCode};

use super::{NOTHING_CHANGED, not_joined, shutting_down};
use crate::names::{AnchorError, KeyringError, NamesError};
use crate::resolver::ResolverError;

impl From<&NamesError> for Problem {
    fn from(error: &NamesError) -> Self {
        let problem = |code, state: &str, hint: &str| Problem::new(code, error, state, hint);
        let nothing = NOTHING_CHANGED;
        match error {
            NamesError::BadName(_) => problem(
                ProblemCode::BadName,
                nothing,
                "a name is a petname (see `chordage name list`) or a key (@ and 56 characters), and a path behind a /",
            ),
            NamesError::BadTarget(_) => problem(
                ProblemCode::BadRequest,
                nothing,
                "give a link, the key of another name with or without a path, or a text of one line",
            ),
            NamesError::Keyring(error) => keyring(error),
            NamesError::Sealed(_) => problem(
                ProblemCode::BadRequest,
                nothing,
                "give the text that `chordage name export` printed, and the passphrase it was given",
            ),
            NamesError::NotOwned(_) => problem(
                ProblemCode::NotOwned,
                nothing,
                "publish through the daemon that has the key, or have its owner delegate a path to a key of yours",
            ),
            NamesError::Anchor(error) => anchor(error),
            NamesError::NoSuchName(_) => problem(
                ProblemCode::NoSuchName,
                nothing,
                "ask its owner whether it was published in this network",
            ),
            NamesError::NoSuchPath { .. } => problem(
                ProblemCode::NoSuchPath,
                nothing,
                "resolve the name without the path, or ask its owner",
            ),
            NamesError::NotUnderstood(_) => {
                problem(ProblemCode::NoSuchName, nothing, "try with a newer version of chordage")
            }
            NamesError::TooDeep { .. } => {
                problem(ProblemCode::NoSuchName, nothing, "its owners have to make the way shorter")
            }
            NamesError::Expired { .. } => problem(
                ProblemCode::NoSuchName,
                nothing,
                "if the clock of this machine is right, its owner has to publish it again; if not, set the clock",
            ),
            NamesError::RolledBack { .. } => problem(
                ProblemCode::RolledBack,
                "what was seen before is remembered",
                "try again in a minute; if it stays so, those who keep the name have lost it, or lie",
            ),
            NamesError::Conflict { .. } | NamesError::Overtaken { .. } => problem(
                ProblemCode::Conflict,
                nothing,
                "resolve the name, look at what it says, and publish again",
            ),
            NamesError::TooLarge(_) => problem(
                ProblemCode::BadRequest,
                nothing,
                "remove paths that are not needed, or delegate some",
            ),
            NamesError::NoMajority(_) => problem(
                ProblemCode::NoMajority,
                nothing,
                "see with `chordage status` who is in the network, then retry",
            ),
            NamesError::Refused(_) => problem(ProblemCode::NotDurable, nothing, "try again later"),
            NamesError::Busy => problem(ProblemCode::Busy, nothing, "try again in a moment"),
            NamesError::NotJoined => not_joined(nothing),
            NamesError::Stopped => shutting_down(),
        }
    }
}

fn anchor(error: &AnchorError) -> Problem {
    let problem = |code, hint: &str| Problem::new(code, error, NOTHING_CHANGED, hint);
    match error {
        AnchorError::Missing { domain } => problem(
            ProblemCode::NoSuchName,
            &format!("its owner makes it one in DNS: _chordage.{domain} TXT \"pk=KEY\""),
        ),
        AnchorError::Different { .. } => problem(
            ProblemCode::Ambiguous,
            "ask its owner for the right key, and give that: @KEY, with the path if there is one",
        ),
        AnchorError::Wrong { .. } => {
            problem(ProblemCode::NoSuchName, "its owner has to mend it: pk= and the 56 characters of a key")
        }
        AnchorError::Unanswered { problem: why, .. } => {
            let code = match why {
                ResolverError::Timeout | ResolverError::Io(..) => ProblemCode::TimedOut,
                _ => ProblemCode::Unavailable,
            };
            problem(
                code,
                "see whether this machine finds other domains (/etc/resolv.conf, and dns.resolvers in config.toml), then retry",
            )
        }
    }
}

fn keyring(error: &KeyringError) -> Problem {
    let problem = |code, state: &str, hint: &str| Problem::new(code, error, state, hint);
    let nothing = NOTHING_CHANGED;
    match error {
        KeyringError::Known(_) => problem(ProblemCode::Conflict, nothing, "`chordage name list` shows it"),
        KeyringError::Exists(_) => {
            problem(ProblemCode::Conflict, nothing, "take another petname; `chordage name list` shows them")
        }
        KeyringError::Unknown(_) => problem(
            ProblemCode::NoSuchName,
            nothing,
            "`chordage name list` shows the petnames; names of others begin with @ and their key",
        ),
        KeyringError::Full => problem(
            ProblemCode::Conflict,
            nothing,
            "use paths below a name, or delete names that are not needed",
        ),
        KeyringError::Io(_) => {
            problem(ProblemCode::DiskFailed, nothing, "look at the daemon's log and its disk")
        }
    }
}
