//! What a repository is kept in.

use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

use super::path::RepositoryName;

/// Longest content that lies in the map itself, bytes: a value of a volume has 4 KiB, of which a little says what it is.
pub(crate) const INLINE_MAX: u64 = 4000;

/// A value of the map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// The bytes themselves, at most [`INLINE_MAX`].
    Inline(Bytes),
    /// An object beside the map.
    Object {
        /// Its read link.
        link: String,
        /// Its size, bytes.
        size: u64,
    },
}

impl Stored {
    /// Bytes of content.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Stored::Inline(bytes) => bytes.len() as u64,
            Stored::Object { size, .. } => *size,
        }
    }
}

/// A change of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) key: String,
    /// `None` takes the key out.
    pub(crate) new: Option<Stored>,
    pub(crate) expect: Expect,
}

impl Change {
    /// Enters a value.
    pub(crate) fn enter(key: &str, new: Stored, expect: Expect) -> Self {
        Change { key: key.to_owned(), new: Some(new), expect }
    }

    /// Takes a key out.
    pub(crate) fn take_out(key: &str, expect: Expect) -> Self {
        Change { key: key.to_owned(), new: None, expect }
    }
}

/// What has to be true of a key for it to be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Nothing.
    Any,
    /// It has no value.
    Absent,
    /// It has one.
    Present,
}

/// What came of changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Changed {
    /// All were made, and everybody who asks from now on sees them.
    Done,
    /// What was expected is not so, and nothing was changed.
    Unmet,
}

/// What came of forgetting an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Forgotten {
    /// It is not kept any more.
    Done,
    /// Another daemon keeps it, and only that one can stop.
    KeptElsewhere,
}

/// Why something cannot be had or done. None of them says that something is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Not all that is needed for a certain answer could be reached, or whether a change was made is not known.
    #[error("{0}")]
    Incomplete(String),
    /// Too few nodes are there to keep something.
    #[error("{0}")]
    TooFewNodes(String),
    /// There is no room.
    #[error("{0}")]
    Full(String),
    /// This daemon may only read the repository.
    #[error("{0}")]
    ReadOnly(String),
    /// Something else.
    #[error("{0}")]
    Other(String),
}

/// The bytes of an object on their way to a client. An error means that what came before is a prefix.
pub(crate) type ObjectBytes = Pin<Box<dyn Stream<Item = Result<Bytes, Error>> + Send>>;

/// The bytes of an object on their way from a client.
pub(crate) struct ObjectBody {
    pieces: mpsc::Receiver<Piece>,
}

pub(crate) enum Piece {
    Data(Bytes),
    /// It is whole, and what it says it is.
    End,
}

/// The body was cut short, or is not what it says it is. Nothing of it may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not whole")]
pub(crate) struct Cut;

impl ObjectBody {
    /// A body and what fills it, which so many pieces may wait for.
    pub(crate) fn new(pieces_waiting_max: usize) -> (mpsc::Sender<Piece>, Self) {
        let (sender, pieces) = mpsc::channel(pieces_waiting_max);
        (sender, ObjectBody { pieces })
    }

    /// The next piece; `None` once it is whole and was found to be right.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Cut> {
        match self.pieces.recv().await {
            Some(Piece::Data(bytes)) => Ok(Some(bytes)),
            Some(Piece::End) => Ok(None),
            None => Err(Cut),
        }
    }
}

/// A map from keys to values with conditional changes, and objects beside it. Changes and lists are linearizable over all
/// daemons that serve the repository.
pub(crate) trait Repository: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Stored>, Error>> + Send;

    /// All keys that begin so, in their order, with the sizes of their values. Complete, or an error.
    fn list(&self, prefix: &str) -> impl Future<Output = Result<Vec<(String, u64)>, Error>> + Send;

    /// Makes all of these changes if what each expects is so, and else none.
    fn change(&self, changes: Vec<Change>) -> impl Future<Output = Result<Changed, Error>> + Send;

    /// Stores a body of this length and returns its link once it is durable. A body that is cut leaves nothing.
    fn put_object(&self, body: ObjectBody, length: u64)
    -> impl Future<Output = Result<String, Error>> + Send;

    /// A part of an object, which it is known to have.
    fn read_object(
        &self,
        link: &str,
        range: Range<u64>,
    ) -> impl Future<Output = Result<ObjectBytes, Error>> + Send;

    /// Keeps an object no longer.
    fn forget_object(&self, link: &str) -> impl Future<Output = Result<Forgotten, Error>> + Send;
}

/// The repositories of a daemon.
pub(crate) trait Repositories: Send + Sync + 'static {
    /// One of them.
    type Repository: Repository;

    /// The repository of this name; `None` if it is certain that there is none.
    fn open(
        &self,
        name: &RepositoryName,
    ) -> impl Future<Output = Result<Option<Self::Repository>, Error>> + Send;

    /// Makes an empty repository, unless there is one of this name.
    fn create(&self, name: &RepositoryName) -> impl Future<Output = Result<(), Error>> + Send;

    /// Which there are.
    fn names(&self) -> impl Future<Output = Result<Vec<RepositoryName>, Error>> + Send;
}
