//! What a repository is kept in.

use std::ops::Range;

use bytes::Bytes;

use super::path::RepositoryName;
use crate::kept::{self, Changed, Error, Forgotten, ObjectBody, ObjectBytes};

/// Longest content that lies in the map itself, bytes: a value of a volume has 4 KiB, of which a little says what it
/// is.
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
pub(crate) type Change = kept::Change<Stored>;

/// A map from keys to values with conditional changes, and objects beside it. Changes and lists are linearizable over
/// all daemons that serve the repository.
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
