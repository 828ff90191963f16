//! What views keep their things in: a volume as a map from keys to values, and objects beside it.

mod volume;

use std::pin::Pin;

use bytes::Bytes;
use futures::Stream;
use tokio::sync::mpsc;

pub(crate) use self::volume::{Volume, not_ours};

/// A change of one key, whose values are such.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Change<T> {
    pub(crate) key: String,
    /// `None` takes the key out.
    pub(crate) new: Option<T>,
    pub(crate) expect: Expect,
}

impl<T> Change<T> {
    /// Enters a value.
    pub(crate) fn enter(key: &str, new: T, expect: Expect) -> Self {
        Change { key: key.to_owned(), new: Some(new), expect }
    }

    /// Takes a key out.
    pub(crate) fn take_out(key: &str, expect: Expect) -> Self {
        Change { key: key.to_owned(), new: None, expect }
    }
}

/// Moving all keys that begin with one prefix to where they begin with another and nothing does before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Move {
    pub(crate) from: String,
    pub(crate) to: String,
    /// They stay where they are too.
    pub(crate) copy: bool,
    /// Bytes that no key may exceed then.
    pub(crate) longest: u32,
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
    /// This daemon may only read the volume.
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
