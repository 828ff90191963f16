//! Fetching: a link's manifest, then its chunks, each from whoever answers, verified before a byte is handed out.

mod again;
mod archive;
mod asking;
mod assemble;
mod chunks;
mod fetch;
mod health;
mod object;
mod recent;
mod sealed;
#[cfg(test)]
mod tests;
mod totals;

use std::sync::Arc;
use std::time::Duration;

use chordage_api::operation::OperationId;
use chordage_storage::{ChunkId, DecodeError, ManifestError};

pub use self::object::OpenObject;
pub(crate) use self::{
    archive::{Wanted, emit},
    assemble::{Part, Parts, Unread},
    chunks::Chunks,
    fetch::fetch_plain,
    health::survey,
    object::open,
    recent::RecentManifests,
    sealed::Known,
    totals::Totals,
};
use crate::coding::{Budget, Coders};
use crate::driver::FindError;
use crate::holders::Holders;
use crate::leases::Keeping;
use crate::placement::Placement;

/// What reads objects.
#[derive(Clone)]
pub(crate) struct Reader {
    pub(crate) placement: Placement,
    pub(crate) holders: Arc<Holders>,
    pub(crate) coders: Coders,
    pub(crate) budget: Budget,
    /// Says which objects are kept from here, and which were forgotten.
    pub(crate) keeping: Keeping,
    pub(crate) totals: Arc<Totals>,
    pub(crate) recent: Arc<RecentManifests>,
}

impl Reader {
    /// The same, which names this operation to those it asks.
    pub(crate) fn of(&self, operation: OperationId) -> Arc<Self> {
        Arc::new(Reader { holders: self.holders.of(operation), ..self.clone() })
    }
}

/// How long a get waits for a daemon that has just started to be part of its network.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);

/// Why an object could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GetError {
    /// The daemon is not part of a network.
    #[error("the daemon has not joined its network")]
    NotJoined,
    /// Another daemon with the same key has this one's place in the network, so that few questions of this one are
    /// answered.
    #[error("{0}")]
    Twin(String),
    /// A verify link names an object without the power to read it.
    #[error("this is a verify link: it names the object but cannot decrypt it")]
    NotReadable,
    /// Too few shards of some chunks are on live nodes.
    #[error("{unreadable} of {chunks} chunks have too few shards, best {best} of {k}")]
    Unavailable {
        /// Chunks examined.
        chunks: u64,
        /// Those with fewer than `k` shards.
        unreadable: u64,
        /// The most shards that any unreadable chunk has.
        best: u8,
        /// Shards needed.
        k: u8,
    },
    /// This daemon has forgotten the object, and its holders no longer have enough of it.
    #[error("the object is not in the network now: this daemon {}", forgotten(.ago.as_ref()))]
    Forgotten {
        /// So long ago its holders had been told; `None` while they are being told.
        ago: Option<Duration>,
    },
    /// A chunk was found, and what it holds is not what the link promises.
    #[error("chunk {chunk} cannot be decoded: {source}")]
    Decode {
        /// Which.
        chunk: ChunkId,
        /// In what way.
        source: DecodeError,
    },
    /// The manifest is not one that this program understands.
    #[error("the manifest cannot be read: {0}")]
    Manifest(ManifestError),
    /// A volume is not one that this program understands.
    #[error("the volume cannot be read: {0}")]
    Volume(String),
    /// The object has no file at that path.
    #[error("the object has no file {0:?}")]
    NoSuchPath(String),
    /// The path names a directory or a symbolic link.
    #[error("{0:?} is not a file")]
    NotAFile(String),
    /// The range lies outside the file.
    #[error("the range lies outside the file, which has {bytes} bytes")]
    Range {
        /// Length of the file.
        bytes: u64,
    },
    /// The overlay did not find anybody to ask.
    #[error("nobody to ask could be found: {0}")]
    Find(FindError),
    /// The deadline passed.
    #[error("a chunk did not arrive in time, with {best} of {k} shards received")]
    TimedOut {
        /// Shards received.
        best: u8,
        /// Shards needed.
        k: u8,
    },
    /// Other transfers have all the memory that there is for them.
    #[error("other transfers have all the memory that this daemon gives them")]
    NoMemory,
    /// The daemon is shutting down.
    #[error("the daemon is shutting down")]
    Interrupted,
}

fn forgotten(ago: Option<&Duration>) -> String {
    let Some(ago) = ago else { return "is forgetting it".to_owned() };
    let seconds = ago.as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds / 60, "minute"),
        7200..172_800 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("forgot it {count} {unit}{} ago", if count == 1 { "" } else { "s" })
}
