//! Names as DNS shows them: a server for the zone `chord.alt` (RFC 9476 keeps `alt` free of the DNS of the world).
//!
//! ```text
//!  team/notes        notes.team.chord.alt        labels stand the other way round
//!  @KEY/notes        notes.KEY.chord.alt         the key's 56 characters, with or without the @
//!  service web       _web._tcp.chord.alt         and web.svc.chord.alt
//! ```
//!
//! It answers with what is known rather than late: while a name is looked for, what this daemon saw last of it is told
//! after a second. Everything that strangers can make it do is bounded: questions and connections at a time, their
//! length, and how long they take.

mod answer;
mod cache;
mod lookup;
mod question;
mod serve;
mod services;
#[cfg(test)]
mod tests;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use chordage_api::types::DnsStatus;
use tokio::net::{TcpListener, UdpSocket};

use self::lookup::Lookup;
use crate::names::Names;
use crate::services::Services;
use crate::tasks::Tasks;

/// The zone that is answered for.
pub(crate) const ZONE: &str = "chord.alt.";
/// How often a port that the system chose for TCP may be taken for UDP.
const PORTS_TRIED: usize = 8;

/// Why it does not listen.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// Somebody else has the port.
    #[error("cannot answer DNS at {0}: the port is in use by another program")]
    InUse(SocketAddr),
    /// The system refused.
    #[error("cannot answer DNS at {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What was asked and answered.
#[derive(Default)]
struct Counters {
    questions: AtomicU64,
    stale: AtomicU64,
    failed: AtomicU64,
    turned_away: AtomicU64,
}

/// A server that runs until the daemon leaves.
pub(crate) struct DnsServer {
    address: SocketAddr,
    counters: Arc<Counters>,
}

impl DnsServer {
    /// Listens on an address, over UDP and TCP, with so many connections at a time.
    pub(crate) async fn start(
        address: SocketAddr,
        connections_max: usize,
        names: Names,
        services: Services,
        tasks: &Tasks,
    ) -> Result<Self, DnsError> {
        let (socket, listener, address) = bind(address).await.map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => DnsError::InUse(address),
            _ => DnsError::Refused { address, source },
        })?;
        let counters = Arc::new(Counters::default());
        let lookup = Arc::new(Lookup::new(names, services, counters.clone()));
        let places = serve::Places::new(connections_max, counters.clone());
        let (socket, for_udp, at) = (Arc::new(socket), lookup.clone(), places.clone());
        tasks.background("dns over udp", move || serve::udp(socket.clone(), for_udp.clone(), at.clone()));
        let listener = Arc::new(listener);
        tasks
            .background("dns over tcp", move || serve::tcp(listener.clone(), lookup.clone(), places.clone()));
        Ok(DnsServer { address, counters })
    }

    /// What it has done since it started.
    pub(crate) fn status(&self) -> DnsStatus {
        DnsStatus {
            listen: self.address.to_string(),
            zone: ZONE.trim_end_matches('.').to_owned(),
            questions: self.counters.questions.load(Relaxed),
            stale: self.counters.stale.load(Relaxed),
            failed: self.counters.failed.load(Relaxed),
            turned_away: self.counters.turned_away.load(Relaxed),
        }
    }
}

/// Takes one port for both. If the system chooses it, it may be taken for UDP alone, and another one has to do.
async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut tries = if address.port() == 0 { PORTS_TRIED } else { 1 };
    loop {
        let listener = TcpListener::bind(address).await?;
        let bound = listener.local_addr()?;
        tries -= 1;
        match UdpSocket::bind(bound).await {
            Ok(socket) => return Ok((socket, listener, bound)),
            Err(error) if tries == 0 || error.kind() != io::ErrorKind::AddrInUse => return Err(error),
            Err(_) => {}
        }
    }
}
