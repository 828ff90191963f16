//! One request and its answer.

use std::io;
use std::time::Duration;

use chordage_dht::Peer;
use tokio::time::timeout;

use super::frames::{FRAME_MAX, Malformed, Reply, Request};
use crate::driver::DriverHandle;
use crate::wire::{Class, OpenError, read_once, write_once};

/// Why there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum AskError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error("no answer: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("no answer in time")]
    TimedOut,
}

/// Asks a peer, dialling where needed.
pub(super) async fn ask(
    driver: &DriverHandle,
    peer: Peer,
    request: &Request,
    patience: Duration,
) -> Result<Reply, AskError> {
    let asked = async {
        let mut stream = driver.open_stream(peer, Class::Reach).await?.stream;
        write_once(&mut stream, &request.encode()).await?;
        Ok(Reply::decode(&read_once(&mut stream, FRAME_MAX).await?)?)
    };
    timeout(patience, asked).await.unwrap_or(Err(AskError::TimedOut))
}
