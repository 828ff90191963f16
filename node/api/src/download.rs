//! Bodies that the daemon streams to a client.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderName};
use hyper::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;
use tokio_util::task::AbortOnDropHandle;

use super::client_error::{ClientError, describe};
use super::exchange::{Answer, Exchange};
use super::operation::OperationId;
use super::types::EntryInfo;

/// Longest line of an entry listing: a path of 4 KiB in hexadecimal and text, and a target, fit several times.
const LINE_BYTES_MAX: usize = 256 * 1024;

/// A body on its way. Dropping it cancels the read.
pub struct Download {
    body: Incoming,
    length: Option<u64>,
    total: Option<u64>,
    operation: OperationId,
    exchange: Exchange,
    _connection: AbortOnDropHandle<()>,
}

impl Download {
    pub(crate) fn new(answer: Answer, exchange: Exchange, operation: OperationId) -> Self {
        let Answer { response, connection } = answer;
        let (head, body) = response.into_parts();
        let length = header(&head.headers, CONTENT_LENGTH).and_then(|text| text.parse().ok());
        let total = match head.status {
            StatusCode::PARTIAL_CONTENT => header(&head.headers, CONTENT_RANGE)
                .and_then(|text| text.rsplit_once('/'))
                .and_then(|(_, total)| total.parse().ok()),
            _ => length,
        };
        Download { body, length, total, operation, exchange, _connection: connection }
    }

    /// Bytes in this body, when the daemon knew beforehand.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Bytes of the whole file, of which this may be a range.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The next piece; `None` once the body is whole. An error means that what came before is a prefix.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            let stall = self.exchange.timeouts.stall;
            let frame = tokio::time::timeout(stall, self.body.frame())
                .await
                .map_err(|_| ClientError::Stalled { after: stall })?;
            match frame {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => {
                    let lost = ClientError::Lost(describe(&error));
                    return Err(self.exchange.account_for(lost, self.operation).await);
                }
            }
        }
    }
}

fn header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

/// A listing on its way, one JSON document per line.
pub struct Lines<T> {
    download: Download,
    partial: BytesMut,
    ready: VecDeque<T>,
}

/// Entries of a tree on their way.
pub type Entries = Lines<EntryInfo>;

impl<T: DeserializeOwned> Lines<T> {
    pub(crate) fn new(download: Download) -> Self {
        Lines { download, partial: BytesMut::new(), ready: VecDeque::new() }
    }

    /// The next entry; `None` once the listing is whole.
    pub async fn entry(&mut self) -> Result<Option<T>, ClientError> {
        loop {
            if let Some(entry) = self.ready.pop_front() {
                return Ok(Some(entry));
            }
            match self.download.chunk().await? {
                Some(bytes) => self.take(&bytes)?,
                None if self.partial.is_empty() => return Ok(None),
                None => return Err(ClientError::Unexpected("the listing ends inside a line".to_owned())),
            }
        }
    }

    /// The rest of the listing at once.
    pub async fn collect(mut self) -> Result<Vec<T>, ClientError> {
        let mut entries = Vec::new();
        while let Some(entry) = self.entry().await? {
            entries.push(entry);
        }
        Ok(entries)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), ClientError> {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(line);
            if self.partial.len() > LINE_BYTES_MAX {
                return Err(ClientError::Unexpected("a line of the listing is too long".to_owned()));
            }
            if self.partial.ends_with(b"\n") {
                let entry = serde_json::from_slice(&self.partial)
                    .map_err(|error| ClientError::Unexpected(format!("the listing is not JSON: {error}")))?;
                self.ready.push_back(entry);
                self.partial.clear();
            }
        }
        Ok(())
    }
}
