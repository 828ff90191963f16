//! What members of a private network ask each other about papers: one request and one reply on a stream of its own.

use std::io;
use std::time::Duration;

use chordage_dht::{LookupOptions, NodeId, Peer, PeerInfo};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{Access, State, now};
use crate::driver::DriverHandle;
use crate::network::certificate::Chain;
use crate::network::frames::{Reply, Request};
use crate::wire::{Class, GuardedStream, read_once, write_once};

/// Longest request or reply: all revocations that there can be.
const FRAME_MAX: u64 = 8 << 20;
/// How long both may take together.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why there was no reply.
#[derive(Debug, thiserror::Error)]
pub(super) enum ExchangeError {
    /// There is no connection to it.
    #[error("it is not connected")]
    NotConnected,
    #[error("no reply: {0}")]
    Io(#[from] io::Error),
    #[error("no reply in time")]
    TimedOut,
    #[error("the reply cannot be read")]
    Malformed,
}

/// Asks a member wherever it is.
pub(super) async fn ask_anywhere(
    driver: &DriverHandle,
    key: [u8; 32],
    request: Vec<u8>,
) -> Result<Reply, ExchangeError> {
    match ask(driver, key, request.clone()).await {
        Err(ExchangeError::NotConnected) => {}
        asked => return asked,
    }
    let id = NodeId::from_public_key(&key);
    let options = LookupOptions { want: 1, ..LookupOptions::default() };
    let found = driver.lookup(*id.key(), options).await.map_err(|_| ExchangeError::NotConnected)?;
    let peer = found.closest.into_iter().find(|peer| peer.id() == id).ok_or(ExchangeError::NotConnected)?;
    ask_peer(driver, peer, request).await
}

/// Asks a member that is connected; nobody is dialled for it.
pub(super) async fn ask(
    driver: &DriverHandle,
    key: [u8; 32],
    request: Vec<u8>,
) -> Result<Reply, ExchangeError> {
    let peer = PeerInfo::new(key, Vec::new(), 0).map_err(|_| ExchangeError::NotConnected)?;
    ask_peer(driver, peer.into(), request).await
}

async fn ask_peer(driver: &DriverHandle, peer: Peer, request: Vec<u8>) -> Result<Reply, ExchangeError> {
    let asked = async {
        let stream = driver.open_stream(peer, Class::Papers).await;
        let mut stream = stream.map_err(|_| ExchangeError::NotConnected)?.stream;
        write_once(&mut stream, &request).await?;
        let reply = read_once(&mut stream, FRAME_MAX).await?;
        Reply::decode(&reply).map_err(|_| ExchangeError::Malformed)
    };
    timeout(PATIENCE, asked).await.unwrap_or(Err(ExchangeError::TimedOut))
}

impl Access {
    /// Answers a member that was let in.
    pub(crate) async fn serve(self, key: [u8; 32], stream: GuardedStream) {
        let (mut stream, _place) = stream.into_parts();
        let served = async {
            let request = read_once(&mut stream, FRAME_MAX).await?;
            let reply = match Request::decode(&request) {
                Ok(request) => self.reply(key, request).await,
                Err(_) => Reply::refused("this is none of the requests there are"),
            };
            write_once(&mut stream, &reply).await
        };
        match timeout(PATIENCE, served).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "a request about papers was not answered"),
            Err(_) => tracing::debug!("a request about papers took too long"),
        }
    }

    async fn reply(&self, key: [u8; 32], request: Request) -> Vec<u8> {
        match request {
            Request::Compare(theirs) => {
                self.learn_off_loop(theirs).await;
                let mut state = self.state();
                // What it is told now is what it knows.
                let digest = state.papers.digest();
                if let Some(known) = state.peers.get_mut(&key) {
                    known.digest = digest;
                }
                Reply::compared(state.papers.revocations())
            }
            Request::Renew => match self.sign_anew(&key) {
                Ok(chain) => Reply::renewed(&chain),
                Err(why) => Reply::refused(&why),
            },
            Request::Succeed(successions) => {
                let access = self.clone();
                match spawn_blocking(move || access.succeed(&successions)).await {
                    Ok(Ok(())) => Reply::seen(),
                    Ok(Err(error)) => Reply::refused(&error.to_string()),
                    Err(_) => Reply::refused("it is ending"),
                }
            }
            Request::Present(chain) => match self.present(&key, chain) {
                Ok(()) => Reply::seen(),
                Err(why) => Reply::refused(&why),
            },
        }
    }

    /// A member has a new certificate.
    fn present(&self, key: &[u8; 32], chain: Chain) -> Result<(), String> {
        let mut state = self.state();
        let State { papers, peers, .. } = &mut *state;
        let known = peers.get_mut(key).ok_or("its certificate has not been shown at the gate")?;
        let now = now();
        let admitted = papers.admit(&chain, key, now).map_err(|error| error.to_string())?;
        // The network key under the old one may have come to an end since it was shown.
        let until = papers.admit(&known.chain, key, now).map_or(0, |known| known.until);
        if admitted.until > until {
            self.has_role(&admitted);
            (known.chain, known.admitted) = (chain, admitted);
        }
        Ok(())
    }

    /// Takes in revocations; the disk is waited for elsewhere.
    pub(super) async fn learn_off_loop(&self, revocations: Vec<crate::network::revocation::Revocation>) {
        if revocations.is_empty() {
            return;
        }
        let access = self.clone();
        if let Ok(Err(error)) = spawn_blocking(move || access.learn(revocations)).await {
            tracing::warn!(%error, "what was revoked cannot be written down; it counts until the next start");
        }
    }
}
