//! Server-sent events, read one after the other.

use bytes::BytesMut;

use crate::client_error::ClientError;
use crate::download::Download;

/// Longest event.
const EVENT_BYTES_MAX: usize = 256 * 1024;

/// Events of one answer. Dropping it ends the answer.
pub(crate) struct Events {
    download: Download,
    partial: BytesMut,
}

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Event {
    /// What kind of event.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) data: String,
}

impl Events {
    pub(crate) fn new(download: Download) -> Self {
        Events { download, partial: BytesMut::new() }
    }

    /// The next one; `None` when the daemon ends.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(end) = self.partial.windows(2).position(|bytes| bytes == b"\n\n") {
                let event = self.partial.split_to(end + 2);
                match read(&event)? {
                    Some(event) => return Ok(Some(event)),
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

/// An event that does not say what one of its kind does.
pub(crate) fn unexpected(error: &dyn std::fmt::Display) -> ClientError {
    ClientError::Unexpected(format!("an event: {error}"))
}

/// One event, as the HTML standard writes it (9.2.6); `None` for what only keeps the connection alive.
fn read(event: &[u8]) -> Result<Option<Event>, ClientError> {
    let text = std::str::from_utf8(event).map_err(|error| unexpected(&error))?;
    let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim_start);
    let event = field("event:").zip(field("data:"));
    Ok(event.map(|(kind, data)| Event { kind: kind.to_owned(), data: data.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_and_what_is_none_is_passed_over() {
        let event = read(b"event: problem\ndata: {\"a\":1}\n\n").unwrap();
        assert_eq!(event, Some(Event { kind: "problem".to_owned(), data: "{\"a\":1}".to_owned() }));
        assert_eq!(read(b":\n\n").unwrap(), None);
        assert_eq!(read(b"event: x\n\n").unwrap(), None);
        assert!(read(b"\xff\n\n").is_err());
    }
}
