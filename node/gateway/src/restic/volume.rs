//! Repositories in volumes, through the API of a daemon.
//!
//! A value begins with a byte that says what it is: 0 the content itself, 1 an object: its size (8 bytes, little endian) and its link.

use std::ops::Range;

use bytes::Bytes;
use chordage_api::client::{BodyFormat, Client, ClientError, Download};
use chordage_api::range::ByteRange;
use chordage_api::types::{
    ProblemCode, PublishState, PutQuery, VolumeChange, VolumeChanges, VolumeExpectation, VolumeValue,
};
use chordage_api::upload::{UploadWriter, upload};
use data_encoding::BASE64;
use futures::stream;

use super::path::RepositoryName;
use super::repository::{
    Change, Changed, Error, Expect, Forgotten, ObjectBody, ObjectBytes, Repositories, Repository, Stored,
};

/// How often a list is begun anew because the volume changed while it was read.
const LISTED_AGAIN_MAX: usize = 20;
const INLINE: u8 = 0;
const OBJECT: u8 = 1;

/// The repositories of a daemon: each is a volume, whose petname says which.
pub(crate) struct Volumes {
    client: Client,
}

/// One of them.
pub(crate) struct Volume {
    client: Client,
    petname: String,
    writable: bool,
}

impl Volumes {
    /// Those of the daemon that `client` talks to.
    pub(crate) fn new(client: Client) -> Self {
        Volumes { client }
    }
}

impl Repositories for Volumes {
    type Repository = Volume;

    async fn open(&self, name: &RepositoryName) -> Result<Option<Volume>, Error> {
        let Some(petname) = name.petname() else { return Ok(None) };
        let known = self.client.volumes().await?;
        let volume = known.into_iter().find(|volume| volume.petname == petname);
        Ok(volume.map(|volume| Volume { client: self.client.clone(), petname, writable: volume.writable }))
    }

    async fn create(&self, name: &RepositoryName) -> Result<(), Error> {
        let too_long = || Error::Other(format!("the name {name} is too long"));
        match self.client.create_volume(&name.petname().ok_or_else(too_long)?).await {
            Ok(_) => Ok(()),
            // Somebody else has made it meanwhile, or there are too many.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Conflict => {
                let there = self.open(name).await?;
                there.map(|_| ()).ok_or(Error::Full(problem.message))
            }
            Err(error) => Err(error.into()),
        }
    }

    async fn names(&self) -> Result<Vec<RepositoryName>, Error> {
        let known = self.client.volumes().await?;
        Ok(known.iter().filter_map(|volume| RepositoryName::of_petname(&volume.petname)).collect())
    }
}

impl Volume {
    /// All keys that begin so, of one state of the volume; `None` if it changed meanwhile.
    async fn list_once(&self, prefix: &str) -> Result<Option<Vec<(String, u64)>>, Error> {
        let (mut found, mut seq) = (Vec::new(), None);
        loop {
            let after = found.last().map(|(key, _): &(String, u64)| key.as_str());
            let page = self.client.volume_values(&self.petname, prefix, after, None).await?;
            if *seq.get_or_insert(page.seq) != page.seq {
                return Ok(None);
            }
            if page.more && page.values.is_empty() {
                return Err(Error::Other("the daemon says that there is more, and shows none".to_owned()));
            }
            for value in &page.values {
                found.push((value.key.clone(), decoded(value)?.size()));
            }
            if !page.more {
                return Ok(Some(found));
            }
        }
    }
}

impl Repository for Volume {
    async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        // The key itself is the first of all that begin with it.
        let found = self.client.volume_values(&self.petname, key, None, Some(1)).await?;
        found.values.first().filter(|value| value.key == key).map(decoded).transpose()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        for _ in 0..LISTED_AGAIN_MAX {
            if let Some(found) = self.list_once(prefix).await? {
                return Ok(found);
            }
        }
        Err(Error::Incomplete("the repository changes faster than it can be listed".to_owned()))
    }

    async fn change(&self, changes: Vec<Change>) -> Result<Changed, Error> {
        if !self.writable {
            return Err(Error::ReadOnly(format!(
                "this daemon may only read the volume {}: it was imported without the right to write",
                self.petname
            )));
        }
        let changes = changes.into_iter().map(asked).collect();
        match self.client.change_volume(&VolumeChanges { volume: self.petname.clone(), changes }).await {
            Ok(changed) if changed.state == PublishState::Stored => Ok(Changed::Done),
            Ok(_) => Err(Error::Incomplete(
                "fewer than a majority of those who keep the repository have stored a change of it"
                    .to_owned(),
            )),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Conflict => Ok(Changed::Unmet),
            Err(error) => Err(error.into()),
        }
    }

    async fn put_object(&self, body: ObjectBody, _length: u64) -> Result<String, Error> {
        let (writer, sent) = upload();
        let query = PutQuery::default();
        // Whatever ends the request drops what is sent, and that ends the feeding.
        let (report, ()) = tokio::join!(self.client.put(sent, BodyFormat::File, &query), feed(body, writer));
        Ok(report?.link)
    }

    async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        let range = ByteRange::Between { start: range.start, last: range.end.saturating_sub(1) };
        let content = self.client.content(link, None, Some(range)).await?;
        Ok(Box::pin(stream::unfold(Some(content), next_piece)))
    }

    async fn forget_object(&self, link: &str) -> Result<Forgotten, Error> {
        match self.client.forget(link).await {
            Ok(_) => Ok(Forgotten::Done),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotKept => {
                Ok(Forgotten::KeptElsewhere)
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn asked(Change { key, new, expect }: Change) -> VolumeChange {
    let expect = match expect {
        Expect::Any => VolumeExpectation::Any,
        Expect::Absent => VolumeExpectation::Absent,
        Expect::Present => VolumeExpectation::Present,
    };
    VolumeChange { key, value: new.map(|stored| BASE64.encode(&encode(&stored))), expect }
}

fn encode(stored: &Stored) -> Vec<u8> {
    match stored {
        Stored::Inline(content) => [&[INLINE][..], content].concat(),
        Stored::Object { link, size } => [&[OBJECT][..], &size.to_le_bytes(), link.as_bytes()].concat(),
    }
}

fn decode(value: &[u8]) -> Option<Stored> {
    match value.split_first()? {
        (&INLINE, content) => Some(Stored::Inline(Bytes::copy_from_slice(content))),
        (&OBJECT, object) => {
            let (size, link) = object.split_first_chunk()?;
            let link = std::str::from_utf8(link).ok().filter(|link| !link.is_empty())?;
            Some(Stored::Object { link: link.to_owned(), size: u64::from_le_bytes(*size) })
        }
        _ => None,
    }
}

fn decoded(value: &VolumeValue) -> Result<Stored, Error> {
    let stored = BASE64.decode(value.value.as_bytes()).ok().and_then(|bytes| decode(&bytes));
    stored.ok_or_else(|| {
        Error::Other(format!("what stands under the key {:?} is nothing that this version wrote", value.key))
    })
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
    /// What the daemon cannot do now it may be able to do in a moment. Only what makes no sense is said to be something else.
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

    use super::super::repository::INLINE_MAX;
    use super::*;

    #[test]
    fn values_come_back_and_fit_into_a_volume() {
        let longest = Stored::Inline(vec![7; INLINE_MAX as usize].into());
        let object = Stored::Object { link: "x".repeat(116), size: 160 << 20 };
        for stored in [Stored::Inline(Bytes::new()), longest, object] {
            let bytes = encode(&stored);
            assert!(bytes.len() <= 4096);
            assert_eq!(decode(&bytes), Some(stored));
        }
        for bytes in [
            &b""[..],
            &[2, 1],
            &[OBJECT],
            &[OBJECT, 0, 0, 0, 0, 0, 0, 0, 0],
            &[OBJECT, 0, 0, 0, 0, 0, 0, 0, 0, 0xff],
        ] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
        let damaged = VolumeValue { key: "restic/config".to_owned(), value: "!".to_owned() };
        assert!(matches!(decoded(&damaged), Err(Error::Other(_))));
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
