//! The volume whose files are shown.

use std::ops::Range;

use chordage_api::client::Client;
use tokio::sync::OnceCell;

use crate::kept::{Change, Changed, Error, Forgotten, Move, ObjectBody, ObjectBytes, Volume};

/// A map with conditional changes, and objects beside it.
pub(crate) trait Store: Send + Sync + 'static {
    /// The value of a key.
    fn get(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, Error>> + Send;

    /// All keys that begin so with their values, in their order: complete and of one state, or an error. So are more
    /// than `most`.
    fn list(
        &self,
        prefix: &str,
        most: usize,
    ) -> impl Future<Output = Result<Vec<(String, Vec<u8>)>, Error>> + Send;

    /// Makes all of these changes if what each expects is so, and moves keys afterwards to where there are none; all of
    /// it or nothing.
    fn change(
        &self,
        changes: Vec<Change<Vec<u8>>>,
        moves: Vec<Move>,
    ) -> impl Future<Output = Result<Changed, Error>> + Send;

    /// Stores a body and returns its link once it is durable. A body that is cut leaves nothing.
    fn put_object(&self, body: ObjectBody) -> impl Future<Output = Result<String, Error>> + Send;

    /// A part of an object, which it is known to have.
    fn read_object(
        &self,
        link: &str,
        range: Range<u64>,
    ) -> impl Future<Output = Result<ObjectBytes, Error>> + Send;

    /// Keeps an object no longer.
    fn forget_object(&self, link: &str) -> impl Future<Output = Result<Forgotten, Error>> + Send;
}

/// A volume of a daemon, which is made when it is used first.
pub(crate) struct Live {
    client: Client,
    petname: String,
    opened: OnceCell<Volume>,
}

impl Live {
    pub(crate) fn new(client: Client, petname: String) -> Self {
        Live { client, petname, opened: OnceCell::new() }
    }

    async fn volume(&self) -> Result<&Volume, Error> {
        let open = || async {
            if let Some(volume) = Volume::open(&self.client, &self.petname).await? {
                return Ok(volume);
            }
            Volume::create(&self.client, &self.petname).await?;
            let gone = || Error::Other(format!("the volume {} has vanished", self.petname));
            Volume::open(&self.client, &self.petname).await?.ok_or_else(gone)
        };
        self.opened.get_or_try_init(open).await
    }
}

impl Store for Live {
    async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        self.volume().await?.get(key).await
    }

    async fn list(&self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, Error> {
        self.volume().await?.list(prefix, most).await
    }

    async fn change(&self, changes: Vec<Change<Vec<u8>>>, moves: Vec<Move>) -> Result<Changed, Error> {
        self.volume().await?.change_and_move(changes, moves).await
    }

    async fn put_object(&self, body: ObjectBody) -> Result<String, Error> {
        self.volume().await?.put_object(body).await
    }

    async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        self.volume().await?.read_object(link, range).await
    }

    async fn forget_object(&self, link: &str) -> Result<Forgotten, Error> {
        self.volume().await?.forget_object(link).await
    }
}
