//! Bodies on their way in: bounded in time, and what is XML also in its length and depth.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, stream};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};
use xml::reader::{EventReader, XmlEvent};

use super::request::Note;
use crate::front::{Failure, Limits, discard};

/// Longest document, bytes.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// Deepest document, elements. Whoever reads it later does so with a call for each.
const DEPTH_MAX: usize = 64;

/// A body that is read as it comes, and what is left of it when nobody reads on.
#[derive(Clone)]
pub(crate) struct Incoming(Arc<Mutex<Option<BodyDataStream>>>);

impl Incoming {
    pub(crate) fn new(body: Body) -> Self {
        Incoming(Arc::new(Mutex::new(Some(body.into_data_stream()))))
    }

    /// Reads on for a moment, so that the client sees the answer rather than a broken pipe.
    pub(crate) async fn discard(&self) {
        if let Some(rest) = self.0.lock().await.take() {
            discard(Body::from_stream(rest)).await;
        }
    }

    /// The body, which has to come fast enough; whatever ends it early is noted.
    pub(crate) fn timed(&self, limits: Limits, note: Note) -> Body {
        let begun = Instant::now();
        let steps = stream::unfold(Some((self.clone(), 0_u64)), move |state| {
            let note = note.clone();
            async move {
                let (incoming, before) = state?;
                let for_length = Duration::from_secs(before / limits.bytes_per_second_min);
                let deadline = (begun + limits.body + for_length).min(Instant::now() + limits.stall);
                let next = async { incoming.0.lock().await.as_mut()?.next().await };
                match timeout_at(deadline, next).await {
                    Ok(Some(Ok(bytes))) => {
                        let so_far = before + bytes.len() as u64;
                        Some((Ok(bytes), Some((incoming, so_far))))
                    }
                    Ok(None) => None,
                    Ok(Some(Err(error))) => {
                        note.write(Failure::bad_request("the body broke off"));
                        Some((Err(io::Error::other(error)), None))
                    }
                    Err(_) => {
                        note.write(Failure::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly"));
                        Some((Err(io::Error::from(io::ErrorKind::TimedOut)), None))
                    }
                }
            }
        });
        Body::from_stream(steps)
    }
}

/// All of a short body, if it is none or a document that can be read safely.
pub(crate) async fn document(body: &Incoming, limits: Limits) -> Result<Bytes, Failure> {
    let note = Note::default();
    let all = collect(body.timed(limits, note.clone()).into_data_stream());
    let all = all.await.map_err(|error| note.take().unwrap_or(error))?;
    if all.is_empty() || is_shallow(&all) {
        Ok(all)
    } else {
        Err(Failure::bad_request("the body is no XML, or too deep"))
    }
}

async fn collect(mut data: impl Stream<Item = Result<Bytes, axum::Error>> + Unpin) -> Result<Bytes, Failure> {
    let mut all = BytesMut::new();
    while let Some(piece) = data.next().await {
        let piece = piece.map_err(|_| Failure::bad_request("the body broke off"))?;
        if all.len() + piece.len() > DOCUMENT_BYTES_MAX {
            let message = format!("the body has more than {DOCUMENT_BYTES_MAX} bytes");
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        all.extend_from_slice(&piece);
    }
    Ok(all.freeze())
}

fn is_shallow(document: &[u8]) -> bool {
    let mut depth = 0_usize;
    for event in EventReader::new(document) {
        match event {
            Ok(XmlEvent::StartElement { .. }) if depth == DEPTH_MAX => return false,
            Ok(XmlEvent::StartElement { .. }) => depth += 1,
            Ok(XmlEvent::EndElement { .. }) => depth = depth.saturating_sub(1),
            Ok(XmlEvent::Doctype { .. }) | Err(_) => return false,
            Ok(_) => {}
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deep_documents_and_those_with_a_doctype_are_refused() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(is_shallow(nested(64).as_bytes()));
        for bad in [
            nested(65),
            nested(9000),
            "<a>".repeat(20_000),
            "<a".to_owned(),
            "<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>".to_owned(),
        ] {
            assert!(!is_shallow(bad.as_bytes()));
        }
    }
}
