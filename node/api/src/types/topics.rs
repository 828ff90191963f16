//! Topics: small messages to whoever listens.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::NodeId;

/// Longest message, bytes.
pub const MESSAGE_BYTES_MAX: usize = 4096;

/// How publishing a message went. Answer of `POST /v1/topics/publish`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopicReport {
    /// The topic.
    pub topic: String,
    /// The node whose daemon published it.
    pub publisher: NodeId,
    /// The number of the message: it rises from message to message of one publisher.
    pub seq: u64,
    /// Nodes that keep it.
    pub stored: u64,
    /// Nodes that are to keep it.
    pub of: u64,
    /// Time taken.
    pub seconds: f64,
}

/// A message of a topic. Data of an event of `GET /v1/topics/subscribe`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TopicMessage {
    /// The topic.
    pub topic: String,
    /// The node whose daemon published it.
    pub publisher: NodeId,
    /// The number of the message: it rises from message to message of one publisher. Publisher and number name it.
    pub seq: u64,
    /// When it was published by the publisher's clock, seconds since 1970.
    pub time: f64,
    /// What it says, if that is UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Otherwise its bytes in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
}

impl TopicMessage {
    /// A message with these bytes.
    pub fn new(topic: &str, publisher: NodeId, seq: u64, bytes: Vec<u8>) -> Self {
        let (text, data) = match String::from_utf8(bytes) {
            Ok(text) => (Some(text), None),
            Err(error) => (None, Some(BASE64.encode(error.as_bytes()))),
        };
        // Microseconds since 1970, as far as the publisher keeps to it.
        let time = seq as f64 / 1e6;
        TopicMessage { topic: topic.to_owned(), publisher, seq, time, text, data }
    }

    /// Its bytes; none if they cannot be read.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        match (&self.text, &self.data) {
            (Some(text), _) => Some(text.clone().into_bytes()),
            (None, Some(data)) => BASE64.decode(data.as_bytes()).ok(),
            (None, None) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_text_where_they_can_be() {
        let message = |bytes: &[u8]| TopicMessage::new("t", NodeId::from([7; 32]), 1_500_000, bytes.to_vec());
        let text = message("caf\u{e9}\n".as_bytes());
        assert_eq!((text.text.as_deref(), text.data.as_deref(), text.time), (Some("caf\u{e9}\n"), None, 1.5));
        assert_eq!(text.bytes().as_deref(), Some("caf\u{e9}\n".as_bytes()));
        let data = message(b"\xff\x00");
        assert_eq!((data.text.as_deref(), data.data.as_deref()), (None, Some("/wA=")));
        assert_eq!(data.bytes().as_deref(), Some(&b"\xff\x00"[..]));
        assert_eq!(message(b"").bytes().as_deref(), Some(&b""[..]));
    }
}
