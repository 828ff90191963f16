//! Requests about the network of the daemon.

use chordage_api::types::{Problem, ProblemCode};

use super::NOTHING_CHANGED;
use crate::access::{IssuingError, NewKeyError, RevokingError, WithdrawingError};
use crate::handle::NetworkError;
use crate::network::invites::{OfferError, WithdrawError};

impl From<&NetworkError> for Problem {
    fn from(error: &NetworkError) -> Self {
        let (code, hint) = match error {
            NetworkError::NotPrivate => (
                ProblemCode::Conflict,
                "`chordage network create NAME --data-dir DIR` founds a private one in an empty directory",
            ),
            NetworkError::NoGenesis => (
                ProblemCode::Conflict,
                "others start with `chordage daemon --network NAME --bootstrap ADDRESS`; `chordage network create NAME \
                 --data-dir DIR`, with --open or without, founds a network that has invites in an empty directory",
            ),
            NetworkError::Terms => (
                ProblemCode::BadRequest,
                "run `chordage invite` without --uses, --expires, --role and --delegate",
            ),
            NetworkError::Issuing(error) => issuing(error),
            NetworkError::Withdrawing(error) => withdrawing(error),
            NetworkError::Revoking(error) => revoking(error),
            NetworkError::NewKey(error) => new_key(error),
            NetworkError::NotRenewed => (
                ProblemCode::Busy,
                "the founder's daemon can, and those that joined with `invite --delegate`: see with `chordage network \
                 members` who is there",
            ),
            NetworkError::Stopped => (ProblemCode::ShuttingDown, "start the daemon again, then retry"),
        };
        Problem::new(code, error, NOTHING_CHANGED, hint)
    }
}

fn issuing(error: &IssuingError) -> (ProblemCode, &'static str) {
    match error {
        IssuingError::MayNot | IssuingError::DelegateByDelegate => {
            (ProblemCode::NotOwned, "ask whoever runs the founder's daemon")
        }
        IssuingError::NoAddress => {
            (ProblemCode::Conflict, "give it one with `chordage daemon --listen`, or `--announce`")
        }
        IssuingError::Offer(OfferError::Full) => {
            (ProblemCode::Busy, "withdraw one with `chordage invite --withdraw ID`, or wait until one ends")
        }
        IssuingError::Offer(_) => (ProblemCode::BadRequest, "ask for less"),
        IssuingError::Dir(_) => (ProblemCode::DiskFailed, "see that its disk is there and has room"),
        IssuingError::NoRandomness(_) => (ProblemCode::Internal, "try again"),
    }
}

fn withdrawing(error: &WithdrawingError) -> (ProblemCode, &'static str) {
    let show = "`chordage network show` lists the invites that are still good, with their ids";
    let revoke = "whoever joined with it can be revoked: see with `chordage network members` who is there";
    match error {
        WithdrawingError::Book(WithdrawError::Unknown) => (ProblemCode::NoSuchInvite, show),
        WithdrawingError::Book(WithdrawError::Several) => (ProblemCode::Ambiguous, show),
        WithdrawingError::Book(WithdrawError::UsedUp | WithdrawError::Expired) => {
            (ProblemCode::Conflict, revoke)
        }
        WithdrawingError::Dir(_) => (ProblemCode::DiskFailed, "see that its disk is there and has room"),
    }
}

fn new_key(error: &NewKeyError) -> (ProblemCode, &'static str) {
    match error {
        NewKeyError::MayNot => (ProblemCode::NotOwned, "ask whoever runs the founder's daemon"),
        NewKeyError::Overlap => {
            (ProblemCode::BadRequest, "90 days are usual: chordage network new-key --overlap 90d")
        }
        NewKeyError::TooSoon { .. } => {
            (ProblemCode::Conflict, "wait until it has ended: `chordage network show`")
        }
        NewKeyError::Succession(_) => {
            (ProblemCode::Conflict, "found another network, and invite everybody to it")
        }
        NewKeyError::Dir(_) => (ProblemCode::DiskFailed, "see that its disk is there and has room"),
    }
}

fn revoking(error: &RevokingError) -> (ProblemCode, &'static str) {
    match error {
        RevokingError::MayNot | RevokingError::Delegate => {
            (ProblemCode::NotOwned, "ask whoever runs the founder's daemon")
        }
        RevokingError::Itself => (ProblemCode::BadRequest, "stop the daemon instead"),
        RevokingError::Unknown => (ProblemCode::BadRequest, "see the ids with `chordage network members`"),
        RevokingError::Several => (ProblemCode::BadRequest, "see the ids with `chordage network members`"),
        RevokingError::Statement(_) => (ProblemCode::BadRequest, "give a shorter reason, in one line"),
        RevokingError::Dir(_) => (ProblemCode::DiskFailed, "see that its disk is there and has room"),
    }
}
