//! A name that is watched: server-sent events, read one after the other.

use bytes::BytesMut;

use crate::client_error::ClientError;
use crate::download::Download;
use crate::types::{Problem, Resolved};

/// Longest event.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// What a watched name stands for, again and again. Dropping it ends the watch.
pub struct NameWatch {
    download: Download,
    partial: BytesMut,
}

impl NameWatch {
    pub(crate) fn new(download: Download) -> Self {
        NameWatch { download, partial: BytesMut::new() }
    }

    /// What it stands for now, or why it stands for nothing; waits until that is something else than last time. `None` when the
    /// daemon ends.
    pub async fn next(&mut self) -> Result<Option<Result<Resolved, Problem>>, ClientError> {
        loop {
            if let Some(end) = self.partial.windows(2).position(|bytes| bytes == b"\n\n") {
                let event = self.partial.split_to(end + 2);
                match read(&event)? {
                    Some(found) => return Ok(Some(found)),
                    None => continue,
                }
            }
            if self.partial.len() > EVENT_BYTES_MAX {
                return Err(ClientError::Unexpected("an event is too long".to_owned()));
            }
            match self.download.chunk().await? {
                Some(bytes) => self.partial.extend_from_slice(&bytes),
                None => return Ok(None),
            }
        }
    }
}

/// One event, as the HTML standard writes it (9.2.6); `None` for what only keeps the connection alive.
fn read(event: &[u8]) -> Result<Option<Result<Resolved, Problem>>, ClientError> {
    let unexpected =
        |error: &dyn std::fmt::Display| ClientError::Unexpected(format!("an event of a watch: {error}"));
    let text = std::str::from_utf8(event).map_err(|error| unexpected(&error))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let Some(data) = field("data:") else { return Ok(None) };
    match field("event:") {
        Some("found") => serde_json::from_str(data).map(|found| Some(Ok(found))),
        Some("problem") => serde_json::from_str(data).map(|problem| Some(Err(problem))),
        // Something that a newer daemon says.
        _ => Ok(None),
    }
    .map_err(|error| unexpected(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_what_is_none_is_passed_over() {
        let problem = r#"{"code":"no_such_name","message":"m","state":"s","hint":"h"}"#;
        let found = read(format!("event: problem\ndata: {problem}\n\n").as_bytes()).unwrap();
        assert_eq!(found.unwrap().unwrap_err().message, "m");
        assert_eq!(read(b":\n\n").unwrap(), None);
        assert_eq!(read(b"event: later\ndata: {}\n\n").unwrap(), None);
        assert!(read(b"event: found\ndata: nonsense\n\n").is_err());
        assert!(read(b"\xff\n\n").is_err());
    }
}
