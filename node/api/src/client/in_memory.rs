//! Files that fit into memory, stored and read in one call.

use super::{BodyFormat, Client, ClientError};
use crate::types::{PutQuery, PutReport};
use crate::upload::upload;

/// Why [`Client::get_bytes`] returns no bytes.
#[derive(Debug, thiserror::Error)]
pub enum GetBytesError {
    /// The file has more bytes than the caller takes.
    #[error("the file has more than {max} bytes, and no more are taken")]
    TooLong {
        /// How many the caller takes.
        max: usize,
    },
    /// The request failed.
    #[error(transparent)]
    Failed(#[from] ClientError),
}

impl Client {
    /// Stores `bytes` as one file, with the redundancy that the daemon is set to. Dropping the future cancels the put;
    /// no link exists then.
    pub async fn put_bytes(&self, bytes: &[u8]) -> Result<PutReport, ClientError> {
        let (writer, body) = upload();
        let query = PutQuery::default();
        // Whatever ends the request drops the body, and that ends the feeding.
        let (report, ()) = tokio::join!(self.put(body, BodyFormat::File, &query), writer.feed(bytes));
        report
    }

    /// The bytes of the file that `link` stands for, if there are at most `max`. A longer one is not read to its end.
    pub async fn get_bytes(&self, link: &str, max: usize) -> Result<Vec<u8>, GetBytesError> {
        let mut content = self.content(link, None, None).await?;
        // What a body says of its length is a promise; what arrives is counted all the same.
        if content.length().is_some_and(|length| length > max as u64) {
            return Err(GetBytesError::TooLong { max });
        }
        let mut bytes = Vec::new();
        while let Some(piece) = content.chunk().await? {
            if piece.len() > max - bytes.len() {
                return Err(GetBytesError::TooLong { max });
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }
}
