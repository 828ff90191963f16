//! Repositories in volumes.
//!
//! A value begins with a byte that says what it is: 0 the content itself, 1 an object: its size (8 bytes, little
//! endian) and its link.

use std::ops::Range;

use bytes::Bytes;
use chordage_api::client::Client;

use super::path::RepositoryName;
use super::repository::{Change, Repositories, Repository, Stored};
use crate::kept::{self, Changed, Error, Forgotten, ObjectBody, ObjectBytes, not_ours};

const INLINE: u8 = 0;
const OBJECT: u8 = 1;

/// The repositories of a daemon: each is a volume, whose petname says which.
pub(crate) struct Volumes {
    client: Client,
}

/// One of them.
pub(crate) struct Volume(kept::Volume);

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
        Ok(kept::Volume::open(&self.client, &petname).await?.map(Volume))
    }

    async fn create(&self, name: &RepositoryName) -> Result<(), Error> {
        let too_long = || Error::Other(format!("the name {name} is too long"));
        kept::Volume::create(&self.client, &name.petname().ok_or_else(too_long)?).await
    }

    async fn names(&self) -> Result<Vec<RepositoryName>, Error> {
        let known = self.client.volumes().await?;
        Ok(known.iter().filter_map(|volume| RepositoryName::of_petname(&volume.petname)).collect())
    }
}

impl Repository for Volume {
    async fn get(&self, key: &str) -> Result<Option<Stored>, Error> {
        self.0.get(key).await?.map(|value| decoded(key, &value)).transpose()
    }

    async fn list(&self, prefix: &str) -> Result<Vec<(String, u64)>, Error> {
        let found = self.0.list(prefix, usize::MAX).await?;
        found
            .into_iter()
            .map(|(key, value)| decoded(&key, &value).map(|stored| (key, stored.size())))
            .collect()
    }

    async fn change(&self, changes: Vec<Change>) -> Result<Changed, Error> {
        let encoded =
            |Change { key, new, expect }| kept::Change { key, new: new.as_ref().map(encode), expect };
        self.0.change(changes.into_iter().map(encoded).collect()).await
    }

    async fn put_object(&self, body: ObjectBody, _length: u64) -> Result<String, Error> {
        self.0.put_object(body).await
    }

    async fn read_object(&self, link: &str, range: Range<u64>) -> Result<ObjectBytes, Error> {
        self.0.read_object(link, range).await
    }

    async fn forget_object(&self, link: &str) -> Result<Forgotten, Error> {
        self.0.forget_object(link).await
    }
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

fn decoded(key: &str, value: &[u8]) -> Result<Stored, Error> {
    decode(value).ok_or_else(|| not_ours(key))
}

#[cfg(test)]
mod tests {
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
    }
}
