//! A volume, through the API of a daemon.

use std::ops::Range;

use bytes::Bytes;
use chordage_api::client::{BodyFormat, Client, ClientError, Download};
use chordage_api::range::ByteRange;
use chordage_api::types::{
    ProblemCode, PublishState, PutQuery, VolumeChange, VolumeChanges, VolumeExpectation, VolumeMove,
    VolumeValue,
};
use chordage_api::upload::{UploadWriter, upload};
use data_encoding::BASE64;
use futures::stream;

use super::{Change, Changed, Error, Expect, Forgotten, Move, ObjectBody, ObjectBytes};

/// How often a list is begun anew because the volume changed while it was read.
const LISTED_AGAIN_MAX: usize = 20;

/// A volume of a daemon, and the objects of its network.
#[derive(Clone)]
pub(crate) struct Volume {
    client: Client,
    petname: String,
    writable: bool,
}

impl Volume {
    /// The volume of this petname; `None` if it is certain that there is none.
    pub(crate) async fn open(client: &Client, petname: &str) -> Result<Option<Self>, Error> {
        let known = client.volumes().await?;
        let volume = known.into_iter().find(|volume| volume.petname == petname);
        Ok(volume.map(|volume| Volume {
            client: client.clone(),
            petname: volume.petname,
            writable: volume.writable,
        }))
    }

    /// Makes it, unless there is one of this petname.
    pub(crate) async fn create(client: &Client, petname: &str) -> Result<(), Error> {
        match client.create_volume(petname).await {
            Ok(_) => Ok(()),
            // Somebody else has made it meanwhile, or there are too many.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Conflict => {
                let there = Volume::open(client, petname).await?;
                there.map(|_| ()).ok_or(Error::Full(problem.message))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The value of a key.
    pub(crate) async fn get(&self, key: &str) -> Result<Option<Vec<u8>>, Error> {
        // The key itself is the first of all that begin with it.
        let found = self.client.volume_values(&self.petname, key, None, Some(1)).await?;
        found.values.first().filter(|value| value.key == key).map(bytes_of).transpose()
    }

    /// All keys that begin so with their values, in their order. Complete and of one state, or an error; so is one with
    /// more than `most`.
    pub(crate) async fn list(&self, prefix: &str, most: usize) -> Result<Vec<(String, Vec<u8>)>, Error> {
        for _ in 0..LISTED_AGAIN_MAX {
            if let Some(found) = self.list_once(prefix, most).await? {
                return Ok(found);
            }
        }
        Err(Error::Incomplete("the volume changes faster than it can be listed".to_owned()))
    }

    /// The same, of one state of the volume; `None` if it changed meanwhile.
    async fn list_once(&self, prefix: &str, most: usize) -> Result<Option<Vec<(String, Vec<u8>)>>, Error> {
        let (mut found, mut seq) = (Vec::new(), None);
        loop {
            let after = found.last().map(|(key, _): &(String, Vec<u8>)| key.as_str());
            let page = self.client.volume_values(&self.petname, prefix, after, None).await?;
            if *seq.get_or_insert(page.seq) != page.seq {
                return Ok(None);
            }
            if page.more && page.values.is_empty() {
                return Err(Error::Other("the daemon says that there is more, and shows none".to_owned()));
            }
            for value in &page.values {
                found.push((value.key.clone(), bytes_of(value)?));
            }
            if found.len() > most {
                return Err(Error::Full(format!("there are more than {most} of them, too many at once")));
            }
            if !page.more {
                return Ok(Some(found));
            }
        }
    }

    /// Makes all of these changes if what each expects is so, and else none.
    pub(crate) async fn change(&self, changes: Vec<Change<Vec<u8>>>) -> Result<Changed, Error> {
        self.change_and_move(changes, Vec::new()).await
    }

    /// The same, and moves keys afterwards: all of it or nothing.
    pub(crate) async fn change_and_move(
        &self,
        changes: Vec<Change<Vec<u8>>>,
        moves: Vec<Move>,
    ) -> Result<Changed, Error> {
        if !self.writable {
            return Err(Error::ReadOnly(format!(
                "this daemon may only read the volume {}: it was imported without the right to write",
                self.petname
            )));
        }
        let changes = changes.into_iter().map(asked).collect();
        let moving = !moves.is_empty();
        let moves = moves.into_iter().map(asked_move).collect();
        let request = VolumeChanges { volume: self.petname.clone(), changes, moves };
        match self.client.change_volume(&request).await {
            Ok(changed) if changed.state == PublishState::Stored => Ok(Changed::Done),
            Ok(_) => Err(Error::Incomplete(
                "fewer than a majority of those who keep the volume have stored a change of it".to_owned(),
            )),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Conflict => Ok(Changed::Unmet),
            // Only the daemon sees how many keys there are, and how long they would be.
            Err(ClientError::Problem(problem)) if moving && problem.code == ProblemCode::BadRequest => {
                Err(Error::Full(problem.message))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Stores a body and returns its link once it is durable. A body that is cut leaves nothing.
    pub(crate) async fn put_object(&self, body: ObjectBody) -> Result<String, Error> {
        let (writer, sent) = upload();
        // What was put before may be gone when the end of a body refers to it, and no body can be asked for twice. Who
        // holds a shard already is not sent it again all the same.
        let query = PutQuery { reread: true, ..PutQuery::default() };
        // Whatever ends the request drops what is sent, and that ends the feeding.
        let (report, ()) = tokio::join!(self.client.put(sent, BodyFormat::File, &query), feed(body, writer));
        Ok(report?.link)
    }

    /// A part of an object, which it is known to have.
    pub(crate) async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        let range = ByteRange::Between { start: range.start, last: range.end.saturating_sub(1) };
        let content = self.client.content(link, None, Some(range)).await?;
        Ok(Box::pin(stream::unfold(Some(content), next_piece)))
    }

    /// Keeps an object no longer.
    pub(crate) async fn forget_object(&self, link: &str) -> Result<Forgotten, Error> {
        match self.client.forget(link).await {
            Ok(_) => Ok(Forgotten::Done),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotKept => {
                Ok(Forgotten::KeptElsewhere)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn asked(Change { key, new, expect }: Change<Vec<u8>>) -> VolumeChange {
    let expect = match expect {
        Expect::Any => VolumeExpectation::Any,
        Expect::Absent => VolumeExpectation::Absent,
        Expect::Present => VolumeExpectation::Present,
    };
    VolumeChange { key, value: new.map(|value| BASE64.encode(&value)), expect }
}

fn asked_move(Move { from, to, copy, longest }: Move) -> VolumeMove {
    VolumeMove { from, to, copy, longest: Some(longest) }
}

fn bytes_of(value: &VolumeValue) -> Result<Vec<u8>, Error> {
    BASE64.decode(value.value.as_bytes()).map_err(|_| not_ours(&value.key))
}

/// What stands under a key is nothing that can be understood.
pub(crate) fn not_ours(key: &str) -> Error {
    Error::Other(format!("what stands under the key {key:?} is nothing that this version wrote"))
}

/// Hands a body over. One that is cut leaves the request without its end, so that nothing is stored.
async fn feed(mut body: ObjectBody, mut writer: UploadWriter) {
    loop {
        match body.next().await {
            Ok(Some(bytes)) => {
                if writer.send(bytes).await.is_err() {
                    return;
                }
            }
            Ok(None) => {
                // If nobody takes it, the request says why.
                let _ = writer.end().await;
                return;
            }
            Err(_) => return,
        }
    }
}

async fn next_piece(content: Option<Download>) -> Option<(Result<Bytes, Error>, Option<Download>)> {
    let mut content = content?;
    match content.chunk().await {
        Ok(piece) => piece.map(|bytes| (Ok(bytes), Some(content))),
        Err(error) => Some((Err(error.into()), None)),
    }
}

impl From<ClientError> for Error {
    /// What the daemon cannot do now it may be able to do in a moment. Only what makes no sense is said to be something
    /// else.
    fn from(error: ClientError) -> Self {
        let message = error.to_string();
        let ClientError::Problem(problem) = error else {
            return match error {
                ClientError::Unexpected(_) | ClientError::Unsendable(_) => Error::Other(message),
                _ => Error::Incomplete(message),
            };
        };
        match problem.code {
            ProblemCode::TooFewNodes => Error::TooFewNodes(message),
            ProblemCode::DiskFull => Error::Full(message),
            ProblemCode::NotOwned => Error::ReadOnly(message),
            ProblemCode::Unavailable
            | ProblemCode::NotDurable
            | ProblemCode::Forgotten
            | ProblemCode::Busy
            | ProblemCode::TimedOut
            | ProblemCode::NotJoined
            | ProblemCode::ShuttingDown
            | ProblemCode::RolledBack
            | ProblemCode::NoMajority
            | ProblemCode::DiskFailed => Error::Incomplete(message),
            _ => Error::Other(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use chordage_api::types::Problem;

    use super::*;

    #[test]
    fn a_damaged_value_is_an_error() {
        let damaged = VolumeValue { key: "restic/config".to_owned(), value: "!".to_owned() };
        assert!(matches!(bytes_of(&damaged), Err(Error::Other(_))));
    }

    #[test]
    fn trouble_of_the_network_is_told_apart_from_nonsense() {
        let of = |code| Error::from(ClientError::Problem(Problem::new(code, "m", "s", "h")));
        assert_eq!(of(ProblemCode::NoMajority), Error::Incomplete("m".to_owned()));
        assert_eq!(of(ProblemCode::TooFewNodes), Error::TooFewNodes("m".to_owned()));
        assert_eq!(of(ProblemCode::DiskFull), Error::Full("m".to_owned()));
        assert_eq!(of(ProblemCode::NotOwned), Error::ReadOnly("m".to_owned()));
        assert_eq!(of(ProblemCode::Internal), Error::Other("m".to_owned()));
        assert!(matches!(Error::from(ClientError::Lost("x".to_owned())), Error::Incomplete(_)));
    }
}
