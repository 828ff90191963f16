//! What the map says of a file or a directory.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::path::Path;
use crate::kept::{Error, not_ours};

/// Longest value of a volume, bytes.
const VALUE_BYTES_MAX: usize = 4096;

/// What a file or a directory is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Directory,
    File,
}

/// A property that a client has given it, which means something to clients alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Property {
    pub(crate) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) namespace: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) prefix: Option<String>,
    pub(crate) xml: String,
}

/// What the map says of a file or a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) kind: Kind,
    /// When it was made and last changed, milliseconds since 1970.
    pub(crate) created: u64,
    pub(crate) modified: u64,
    /// Bytes of content.
    #[serde(default)]
    pub(crate) size: u64,
    /// The read link of its content, if it has any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) properties: Vec<Property>,
}

impl Entry {
    /// A new one without content.
    pub(crate) fn new(kind: Kind) -> Self {
        let now = milliseconds();
        Entry { kind, created: now, modified: now, size: 0, link: None, properties: Vec::new() }
    }

    pub(crate) fn is_directory(&self) -> bool {
        self.kind == Kind::Directory
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, Error> {
        let bytes = serde_json::to_vec(self).map_err(|error| Error::Other(error.to_string()))?;
        if bytes.len() > VALUE_BYTES_MAX {
            let message = "the properties of a file or directory have no room: all of them together have some 3,000 bytes";
            return Err(Error::Full(message.to_owned()));
        }
        Ok(bytes)
    }

    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| not_ours(key))
    }

    /// What is another one whenever the content is.
    pub(crate) fn etag(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.size.to_le_bytes()).update(&self.modified.to_le_bytes());
        hasher.update(self.link.as_deref().unwrap_or_default().as_bytes());
        hasher.finalize().to_hex().as_str()[..32].to_owned()
    }
}

/// What is deleted or replaced: where it was, so that it can be told and found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grave {
    pub(crate) path: String,
    pub(crate) entry: Entry,
}

impl Grave {
    pub(crate) fn encode(path: &Path, entry: &Entry) -> Result<Vec<u8>, Error> {
        // Its path has up to 960 bytes, and properties are of no use any more.
        let entry = Entry { properties: Vec::new(), ..entry.clone() };
        let grave = Grave { path: path.as_str().to_owned(), entry };
        serde_json::to_vec(&grave).map_err(|error| Error::Other(error.to_string()))
    }

    pub(crate) fn decode(key: &str, bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes).map_err(|_| not_ours(key))
    }
}

/// Milliseconds since 1970.
pub(crate) fn milliseconds() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// That time as the system's.
pub(crate) fn time_of(milliseconds: u64) -> SystemTime {
    UNIX_EPOCH.checked_add(Duration::from_millis(milliseconds)).unwrap_or(UNIX_EPOCH)
}
