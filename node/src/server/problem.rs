//! From the errors of the daemon's operations to what the API says: which kind, what is true now, what to do next.

mod home;
mod names;
mod network;
mod places;
mod volumes;

use std::io;

use chordage_api::range::Unsatisfiable;
use chordage_api::types::{Problem, ProblemCode};
use chordage_dht::LookupError;
use chordage_storage::store::is_removed;
use hyper::StatusCode;

use crate::driver::FindError;
use crate::get::GetError;
use crate::handle::KeepObjectError;
use crate::leases::{ForgetError, KeepError};
use crate::put::PutError;
use crate::shards::Refusal;
use crate::twin::NEXT_STEP;

/// No link exists. Chunks that did get stored are found again by the next attempt.
const NOT_STORED: &str =
    "the object is not stored and has no link; a retry reuses the chunks that were stored";
const NOTHING_STORED: &str = "nothing was stored";
const NOTHING_CHANGED: &str = "nothing was changed";

pub(super) fn bad_request(message: impl ToString, hint: impl ToString) -> Problem {
    Problem::new(ProblemCode::BadRequest, message, NOTHING_CHANGED, hint)
}

pub(super) fn shutting_down() -> Problem {
    let message = "the daemon is shutting down";
    Problem::new(
        ProblemCode::ShuttingDown,
        message,
        "the request did not finish",
        "start it again, then retry",
    )
}

pub(super) fn busy(what: &str, limit: usize) -> Problem {
    let message =
        format!("{limit} {what} are under way already, which is the most this daemon takes at a time");
    Problem::new(ProblemCode::Busy, message, NOTHING_CHANGED, "try again in a moment")
}

/// What a file of this size has no byte of.
pub(super) fn unsatisfiable(error: &Unsatisfiable) -> Problem {
    let hint = match error.size {
        0 => "there is nothing in it; without a range it is what it is".to_owned(),
        1 => "ask for byte 0, or without a range".to_owned(),
        size => format!("ask for bytes between 0 and {}", size - 1),
    };
    Problem::new(ProblemCode::RangeNotSatisfiable, error, NOTHING_CHANGED, hint)
}

/// The HTTP status that stands for a kind of failure.
pub(super) fn status(code: ProblemCode) -> StatusCode {
    match code {
        ProblemCode::BadRequest | ProblemCode::BadLink | ProblemCode::BadName | ProblemCode::BadPhrase => {
            StatusCode::BAD_REQUEST
        }
        ProblemCode::Unauthorized => StatusCode::UNAUTHORIZED,
        ProblemCode::NotReadable | ProblemCode::NotOwned => StatusCode::FORBIDDEN,
        ProblemCode::Unavailable
        | ProblemCode::NoSuchName
        | ProblemCode::NoSuchPath
        | ProblemCode::NoSuchHome
        | ProblemCode::NoSuchVolume
        | ProblemCode::NoSuchSnapshot
        | ProblemCode::NoSuchInvite
        | ProblemCode::NotKept
        | ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ProblemCode::NoMajority
        | ProblemCode::TooFewNodes
        | ProblemCode::NotJoined
        | ProblemCode::Busy
        | ProblemCode::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        ProblemCode::NotDurable | ProblemCode::DiskFull => StatusCode::INSUFFICIENT_STORAGE,
        ProblemCode::Ambiguous
        | ProblemCode::Conflict
        | ProblemCode::RolledBack
        | ProblemCode::Forgotten
        | ProblemCode::Retained => StatusCode::CONFLICT,
        ProblemCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ProblemCode::DiskFailed | ProblemCode::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn not_joined(state: &str) -> Problem {
    Problem::new(
        ProblemCode::NotJoined,
        "the daemon has not joined its network yet",
        state,
        "see with `chordage status` why, and try again when its state is `joined`",
    )
}

impl From<&PutError> for Problem {
    fn from(error: &PutError) -> Self {
        match error {
            PutError::NotJoined => not_joined(NOTHING_STORED),
            PutError::Twin(_) => Problem::new(ProblemCode::NotJoined, error, NOTHING_STORED, NEXT_STEP),
            PutError::BesideTwin { error: inner, .. } => {
                let problem = Problem::from(&**inner);
                let hint = format!("{}; and {NEXT_STEP}", problem.hint);
                Problem { message: error.to_string(), hint, ..problem }
            }
            PutError::TooFewNodes { possible, .. } => Problem::new(
                ProblemCode::TooFewNodes,
                error,
                NOTHING_STORED,
                format!(
                    "start more daemons, or store with less: --redundancy {possible}, or --allow-degraded to get \
                     {possible} whenever there are too few"
                ),
            ),
            PutError::NotDurable { refusal: Some(Refusal::Full), .. } => Problem::new(
                ProblemCode::NotDurable,
                error,
                NOT_STORED,
                "a daemon's quota or disk is used up: add a daemon, free space where they run, or start them with a \
                 larger --quota; `chordage status --api DAEMON` says what each holds",
            ),
            PutError::NotDurable { .. } => Problem::new(
                ProblemCode::NotDurable,
                error,
                NOT_STORED,
                "see with `chordage peers` who answers, then try again; --allow-degraded accepts fewer holders",
            ),
            PutError::Find(error) => find(error, NOT_STORED),
            PutError::Input(_) => {
                Problem::new(ProblemCode::BadRequest, error, NOT_STORED, "send the whole body again")
            }
            PutError::Archive(_) => Problem::new(
                ProblemCode::BadRequest,
                error,
                NOT_STORED,
                "send a tar archive in which directories come before what is in them, names are in byte order, and no file is \
                 a hard link: `tar --sort=name --hard-dereference -cf - DIR` (GNU tar) makes one, and `chordage put DIR` \
                 stores the directory without one",
            ),
            PutError::Limit(_) => {
                Problem::new(ProblemCode::BadRequest, error, NOT_STORED, "store it in several parts")
            }
            PutError::Forgotten(_) => Problem::new(
                ProblemCode::Forgotten,
                error,
                NOT_STORED,
                "send the content of all files: `chordage put --reread` does",
            ),
            PutError::NotKept(source) => disk(error, source, NOT_STORED),
            PutError::Read(error) => Problem { state: NOT_STORED.to_owned(), ..Problem::from(error) },
            PutError::Interrupted => Problem { state: NOT_STORED.to_owned(), ..shutting_down() },
        }
    }
}

impl From<&GetError> for Problem {
    fn from(error: &GetError) -> Self {
        let problem = |code, hint: &str| Problem::new(code, error, NOTHING_CHANGED, hint);
        match error {
            GetError::NotJoined => not_joined(NOTHING_CHANGED),
            GetError::Twin(_) => problem(ProblemCode::NotJoined, NEXT_STEP),
            GetError::NotReadable => problem(
                ProblemCode::NotReadable,
                "ask its owner for the read link, which begins with chord1r",
            ),
            GetError::Unavailable { .. } => problem(
                ProblemCode::Unavailable,
                "it comes back when enough of its holders do; `chordage stat --check LINK` says who holds what",
            ),
            GetError::Forgotten { .. } => problem(
                ProblemCode::Unavailable,
                "it does not come back by itself: store it again, or `chordage keep LINK` while another daemon keeps it",
            ),
            GetError::Decode { .. } | GetError::Manifest(_) | GetError::Volume(_) => problem(
                ProblemCode::Internal,
                "what is stored does not fit this link; a newer version of chordage may be needed to read it",
            ),
            GetError::NoSuchPath(_) => {
                problem(ProblemCode::NoSuchPath, "list what there is with `chordage ls -r LINK`")
            }
            GetError::NotAFile(path) if path.is_empty() => problem_with_message(
                "the link stands for a directory, not for a file",
                "name a file in it with --path, or get all of it with `chordage get LINK -o DIR`",
            ),
            GetError::NotAFile(_) => {
                problem(ProblemCode::NoSuchPath, "list what there is with `chordage ls -r LINK`")
            }
            GetError::Range { .. } => {
                problem(ProblemCode::RangeNotSatisfiable, "ask for bytes inside the file")
            }
            GetError::Find(error) => find(error, NOTHING_CHANGED),
            GetError::TimedOut { .. } => {
                problem(ProblemCode::TimedOut, "try again; `chordage stat --check LINK` says who holds what")
            }
            GetError::NoMemory => problem(ProblemCode::Busy, "try again in a moment"),
            GetError::Interrupted => shutting_down(),
        }
    }
}

impl From<&ForgetError> for Problem {
    fn from(error: &ForgetError) -> Self {
        match error {
            ForgetError::NotKept => Problem::new(
                ProblemCode::NotKept,
                error,
                NOTHING_CHANGED,
                "see with `chordage keeps` what it keeps, and name the daemon that does with --api",
            ),
            ForgetError::Retained { .. } => Problem::new(
                ProblemCode::Retained,
                error,
                NOTHING_CHANGED,
                "forget it after that; until then its holders would not let go of it",
            ),
            ForgetError::Book(source) => book(error, source),
        }
    }
}

impl From<&KeepError> for Problem {
    fn from(error: &KeepError) -> Self {
        match error {
            KeepError::Missing { .. } => Problem::new(
                ProblemCode::Unavailable,
                error,
                "the object is not kept by this daemon; chunks that were claimed for it are let go in time",
                "`chordage stat --check LINK` says who holds what; if it cannot be read any more, store it again",
            ),
            KeepError::NobodyToAsk => Problem::new(
                ProblemCode::TimedOut,
                error,
                NOTHING_CHANGED,
                "see with `chordage peers` who answers, then try again",
            ),
            KeepError::Book(source) => book(error, source),
        }
    }
}

impl From<&KeepObjectError> for Problem {
    fn from(error: &KeepObjectError) -> Self {
        match error {
            KeepObjectError::Sealed => Problem::new(
                ProblemCode::NotReadable,
                error,
                NOTHING_CHANGED,
                "give the read link, which begins with chord1r: the list of its chunks is inside the object",
            ),
            KeepObjectError::Open(error) => Problem::from(error),
            KeepObjectError::Keep(error) => Problem::from(error),
            KeepObjectError::Kept(error) => Problem::from(error),
        }
    }
}

fn book(error: impl ToString, source: &io::Error) -> Problem {
    disk(error, source, "it is not known whether anything was changed")
}

/// What this daemon could not read or write on its own disk.
fn disk(error: impl ToString, source: &io::Error, state: &str) -> Problem {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Problem::new(
            ProblemCode::DiskFull,
            error,
            state,
            "free some space on the disk of the daemon's data directory, then try again",
        ),
        _ if is_removed(source) => Problem::new(
            ProblemCode::DiskFailed,
            error,
            state,
            "stop the daemon and start it again: it begins with an empty data directory, unless you put the old one back",
        ),
        _ => Problem::new(
            ProblemCode::DiskFailed,
            error,
            state,
            "see that the daemon can read and write its data directory, then try again; its log and `chordage status` \
             say more",
        ),
    }
}

fn problem_with_message(message: &str, hint: &str) -> Problem {
    Problem::new(ProblemCode::NoSuchPath, message, NOTHING_CHANGED, hint)
}

impl From<&FindError> for Problem {
    fn from(error: &FindError) -> Self {
        find(error, NOTHING_CHANGED)
    }
}

fn find(error: &FindError, state: &str) -> Problem {
    match error {
        FindError::Stopped => Problem { state: state.to_owned(), ..shutting_down() },
        FindError::Lookup(LookupError::NotJoined) => not_joined(state),
        FindError::Lookup(LookupError::Busy) => {
            Problem::new(ProblemCode::Busy, error, state, "try again in a moment")
        }
        FindError::Lookup(LookupError::NoAnswer(_) | LookupError::Deadline(_) | LookupError::Budget(_)) => {
            Problem::new(
                ProblemCode::TimedOut,
                error,
                state,
                "see with `chordage peers` who answers, then try again",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use chordage_storage::store::Removed;

    use super::*;

    #[test]
    fn errors_of_the_own_disk_have_codes_of_their_own() {
        let removed = Removed { directory: "/data/keeps".into() };
        let cases = [
            (io::Error::from(io::ErrorKind::StorageFull), ProblemCode::DiskFull),
            (io::Error::from(io::ErrorKind::QuotaExceeded), ProblemCode::DiskFull),
            (io::Error::from(removed), ProblemCode::DiskFailed),
            (io::Error::other("input/output error"), ProblemCode::DiskFailed),
        ];
        for (error, code) in cases {
            let text = error.to_string();
            let problem = Problem::from(&ForgetError::Book(error));
            assert_eq!(problem.code, code, "{text}");
            assert!(problem.message.contains(&text) && !problem.hint.is_empty(), "{problem:?}");
        }
        let error = PutError::NotKept(io::ErrorKind::StorageFull.into());
        assert_eq!(Problem::from(&error).code, ProblemCode::DiskFull);
    }
}
