//! Requests about volumes.

use chordage_api::types::{Problem, ProblemCode};
use chordage_dht::OperationError;

use super::{NOTHING_CHANGED, not_joined, shutting_down};
use crate::volumes::VolumesError;

impl From<&VolumesError> for Problem {
    fn from(error: &VolumesError) -> Self {
        let problem = |code, hint: &str| Problem::new(code, error, NOTHING_CHANGED, hint);
        match error {
            VolumesError::BadPetname(_) => problem(ProblemCode::BadName, "choose another petname"),
            VolumesError::BadCapability(_) => {
                problem(ProblemCode::BadRequest, "give the whole text that `chordage volume export` printed")
            }
            VolumesError::NoSuchVolume(_) => problem(
                ProblemCode::NoSuchVolume,
                "list those there are with `chordage volume list`, or make one with `chordage backup init`",
            ),
            VolumesError::Exists(_) | VolumesError::Known(_) => {
                problem(ProblemCode::Conflict, "use that one, or choose another petname")
            }
            VolumesError::TooMany(_) => problem(
                ProblemCode::Conflict,
                "remove some that are not needed with `chordage volume remove`",
            ),
            VolumesError::ReadOnly => problem(
                ProblemCode::NotOwned,
                "import what `chordage volume export` prints where it can be written to",
            ),
            VolumesError::BadChange(_) => problem(ProblemCode::BadRequest, "see /v1/openapi.json"),
            VolumesError::Conflict(_) => problem(ProblemCode::Conflict, "read the volume, and decide again"),
            VolumesError::Overtaken | VolumesError::Freed => {
                problem(ProblemCode::Conflict, "try again in a moment")
            }
            VolumesError::NoSuchSnapshot(_) => problem(
                ProblemCode::NoSuchSnapshot,
                "list them with `chordage backup list`, and those that can be taken back with `--forgotten`",
            ),
            VolumesError::Locked { .. } => problem(ProblemCode::Retained, "wait until then"),
            VolumesError::NoSuchTree(_) => {
                problem(ProblemCode::NoSuchSnapshot, "store the tree again, and then make the snapshot")
            }
            VolumesError::NotUnderstood | VolumesError::Malformed(_) => {
                problem(ProblemCode::Internal, "try with a newer version of chordage")
            }
            VolumesError::RolledBack { .. } => problem(
                ProblemCode::RolledBack,
                "try again in a minute; if it stays so, those who keep it have lost it, or lie",
            ),
            VolumesError::Read(error) => Problem::from(error),
            VolumesError::Incomplete(_) => problem(ProblemCode::Unavailable, "try again later"),
            VolumesError::Store(error) => Problem::from(&**error),
            VolumesError::Head(error) => of_head(error, &problem),
            VolumesError::Book(_) => {
                problem(ProblemCode::DiskFailed, "see whether the disk is full, or what the log says of it")
            }
            VolumesError::NoRandomness => problem(ProblemCode::Internal, "try again"),
            VolumesError::Stopped => shutting_down(),
        }
    }
}

fn of_head(error: &OperationError, problem: &impl Fn(ProblemCode, &str) -> Problem) -> Problem {
    match error {
        OperationError::Busy => problem(ProblemCode::Busy, "try again in a moment"),
        OperationError::NotJoined => not_joined(NOTHING_CHANGED),
        OperationError::Refused(_) => problem(ProblemCode::NotDurable, "try again later"),
        OperationError::NoMajority { .. } | OperationError::Unknown { .. } => {
            problem(ProblemCode::NoMajority, "see with `chordage status` who is in the network, then retry")
        }
    }
}
