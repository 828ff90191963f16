//! What is deleted or replaced: a note says so for a while before its object is forgotten.

use crate::kept::Error;

/// What the keys of such notes begin with.
pub(crate) const DELETED: &str = "files-deleted/";

/// A new key for what was deleted at this time, seconds since 1970: sorted by time, so that the oldest are found first.
pub(crate) fn key(when: u64) -> Result<String, Error> {
    let mut unique = [0; 8];
    getrandom::fill(&mut unique)
        .map_err(|error| Error::Other(format!("the system gives no randomness: {error}")))?;
    Ok(format!("{DELETED}{when:012x}/{:016x}", u64::from_le_bytes(unique)))
}

/// When what has this key was deleted.
pub(crate) fn when(key: &str) -> Option<u64> {
    let (when, _) = key.strip_prefix(DELETED)?.split_once('/')?;
    u64::from_str_radix(when, 16).ok()
}
