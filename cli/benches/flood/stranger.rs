//! A peer that follows the protocol only as far as it takes to be heard.

use std::time::{Duration, Instant};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId, Stream, StreamProtocol, SwarmBuilder};
use libp2p_stream::{Behaviour, Control};
use tokio::task::JoinHandle;

use crate::Failure;

/// The version of the overlay's messages.
const WIRE_VERSION: u8 = 7;
/// The protocols of overlay messages and of shards.
const DHT: &str = "dht/1";
const SHARD: &str = "shard/2";
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(10);

/// A connection to one daemon.
pub(crate) struct Stranger {
    control: Control,
    daemon: PeerId,
    network: String,
    key: [u8; 32],
    swarm: JoinHandle<()>,
}

impl Stranger {
    /// Connects to a daemon by its address with `/p2p/…`, over QUIC.
    pub(crate) async fn connect(address: &Multiaddr, network: &str) -> Result<Stranger, Failure> {
        let Some(libp2p::multiaddr::Protocol::P2p(daemon)) = address.iter().last() else {
            return Err(format!("{address} names no peer").into());
        };
        let mut swarm = SwarmBuilder::with_new_identity()
            .with_tokio()
            .with_quic()
            .with_behaviour(|_| Behaviour::new())?
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(600)))
            .build();
        let key = swarm.local_peer_id().to_bytes();
        // The id of an Ed25519 key contains the key.
        let key = key[key.len() - 32..].try_into()?;
        let control = swarm.behaviour().new_control();
        swarm.dial(address.clone())?;
        let connected = async {
            loop {
                match swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
                    SwarmEvent::OutgoingConnectionError { error, .. } => return Err(error),
                    _ => {}
                }
            }
        };
        tokio::time::timeout(CONNECT, connected).await??;
        let swarm = tokio::spawn(async move {
            loop {
                swarm.select_next_some().await;
            }
        });
        Ok(Stranger { control, daemon, network: network.to_owned(), key, swarm })
    }

    /// `class` with its version, as in `dht/1`.
    async fn open(&mut self, class: &str) -> Result<Stream, Failure> {
        let name = StreamProtocol::try_from_owned(format!("/chordage/{}/ring/{class}", self.network))?;
        Ok(self.control.open_stream(self.daemon, name).await?)
    }

    /// Sends pings for a while, so many a second if the daemon takes them; returns how many it or its windows took.
    pub(crate) async fn ping(&mut self, per_second: u32, until: Instant) -> Result<u64, Failure> {
        let mut stream = self.open(DHT).await?;
        // A record without addresses: version, key, number 1, no addresses, no zone.
        let mut record = vec![WIRE_VERSION];
        record.extend(self.key);
        record.extend([1, 0, 0]);
        stream.write_all(&dht_frame(0, &record)).await?;
        let ping = dht_frame(1, &[WIRE_VERSION, 0, 7, 0]);
        let burst: Vec<u8> = ping.repeat(usize::try_from(per_second / 100)?);
        let begun = Instant::now();
        let mut sent = 0;
        while Instant::now() < until {
            let written = async {
                stream.write_all(&burst).await?;
                stream.flush().await
            };
            match tokio::time::timeout_at(until.into(), written).await {
                Ok(written) => written?,
                Err(_) => break,
            }
            sent += u64::from(per_second / 100);
            let due = begun + Duration::from_micros(sent * 1_000_000 / u64::from(per_second));
            tokio::time::sleep_until(due.into()).await;
        }
        Ok(sent)
    }

    /// Claims the largest request on as many streams as it gets, sends half of each, and waits.
    pub(crate) async fn hoard(&mut self, until: Instant) -> Result<u64, Failure> {
        const TOTAL: u32 = 4 << 20;
        let mut streams = Vec::new();
        let mut sent = 0;
        for _ in 0..16 {
            // Once the connection's own windows are full nothing more gets through.
            let Ok(mut stream) = self.open(SHARD).await else { break };
            let mut bytes = TOTAL.to_be_bytes().to_vec();
            bytes.extend(40u16.to_be_bytes());
            bytes.resize(TOTAL as usize / 2, 7);
            let writing = async {
                for part in bytes.chunks(1 << 16) {
                    stream.write_all(part).await?;
                    stream.flush().await?;
                    sent += part.len() as u64;
                }
                std::io::Result::Ok(())
            };
            // Who takes nothing in lets nobody hoard, and who hangs up neither.
            let _ = tokio::time::timeout(Duration::from_secs(1), writing).await;
            streams.push(stream);
        }
        tokio::time::sleep_until(until.into()).await;
        Ok(sent)
    }

    /// Opens streams and sends what is no frame, or one that is too long, until the time is up; how many were ended.
    pub(crate) async fn babble(&mut self, until: Instant) -> Result<u64, Failure> {
        let mut ended = 0;
        while Instant::now() < until {
            for class in [DHT, SHARD] {
                for nonsense in [[0xff; 64], [0x00; 64], [0x55; 64]] {
                    let Ok(mut stream) = self.open(class).await else { return Ok(ended) };
                    let _ = stream.write_all(&nonsense).await;
                    let _ = stream.close().await;
                    let mut answer = [0; 16];
                    // The daemon ends it, or answers something; either is an end.
                    let _ = tokio::time::timeout(Duration::from_secs(1), stream.read(&mut answer)).await;
                    ended += 1;
                }
            }
        }
        Ok(ended)
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.swarm.abort();
    }
}

fn dht_frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap_or(u16::MAX);
    let mut frame = length.to_be_bytes().to_vec();
    frame.push(tag);
    frame.extend(body);
    frame
}
