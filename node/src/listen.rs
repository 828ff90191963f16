//! Listening: on the ports of the last run where the system may choose, on the given ones otherwise.

use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use futures::StreamExt;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;

use crate::datadir::{DataDir, DataDirError};
use crate::wire::NetworkSwarm;
use crate::wire::peer::ip;

/// How long the system may take to bind.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the addresses of this run are kept for the next.
pub(crate) const LISTEN_FILE: &str = "listen";

/// Why the daemon does not listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has the port.
    #[error("{0} is in use by another program")]
    InUse(Multiaddr),
    /// The system refused.
    #[error("cannot listen on {addr}: {problem}")]
    Refused {
        /// The address.
        addr: Multiaddr,
        /// Why.
        problem: String,
    },
}

/// Listens on `wanted` and waits until every address is bound. `last` are the addresses of the last run, one per
/// line: a daemon that lets the system choose its ports keeps them, so that others find it again.
pub(crate) async fn listen(
    swarm: &mut NetworkSwarm,
    wanted: &[Multiaddr],
    last: &str,
) -> Result<(), ListenError> {
    let last: Vec<Multiaddr> = last.lines().filter_map(|line| line.parse().ok()).collect();
    let mut waiting = Vec::new();
    for addr in wanted {
        let kept = last.iter().filter(|kept| asks_for_any_port(addr) && same_but_port(addr, kept));
        let mut tried = kept.filter(|kept| is_free(kept).is_ok()).chain([addr]);
        let addr = tried.next().unwrap_or(addr);
        is_free(addr).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(addr.clone()),
            _ => ListenError::Refused { addr: addr.clone(), problem: error.to_string() },
        })?;
        let id = swarm
            .listen_on(addr.clone())
            .map_err(|error| ListenError::Refused { addr: addr.clone(), problem: error.to_string() })?;
        waiting.push((id, addr.clone()));
    }
    let bound = tokio::time::timeout(BIND_TIMEOUT, async {
        while !waiting.is_empty() {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, .. } => waiting.retain(|(id, _)| *id != listener_id),
                SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                    if let Some((_, addr)) = waiting.iter().find(|(id, _)| *id == listener_id) {
                        let problem = format!("{reason:?}");
                        return Err(ListenError::Refused { addr: addr.clone(), problem });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    });
    match bound.await {
        Ok(result) => result,
        Err(_) => {
            let addr = waiting.into_iter().next().map_or_else(Multiaddr::empty, |(_, addr)| addr);
            Err(ListenError::Refused { addr, problem: "the system did not bind it in time".to_owned() })
        }
    }
}

/// Writes the addresses of this run down, so that the next one can have them again.
pub(crate) fn remember<'a>(
    dir: &DataDir,
    addrs: impl Iterator<Item = &'a Multiaddr>,
) -> Result<(), DataDirError> {
    let lines: String = addrs.map(|addr| format!("{addr}\n")).collect();
    dir.write(LISTEN_FILE, lines.as_bytes(), 0o644)
}

/// libp2p binds with address sharing, so that a second daemon on the same port would start and steal half of the
/// first one's connections. Binding once without sharing finds that out.
fn is_free(addr: &Multiaddr) -> io::Result<()> {
    let Some(ip) = ip(addr) else { return Ok(()) };
    match addr.iter().nth(1) {
        Some(Protocol::Tcp(port)) if port != 0 => TcpListener::bind(SocketAddr::new(ip, port)).map(drop),
        Some(Protocol::Udp(port)) if port != 0 => UdpSocket::bind(SocketAddr::new(ip, port)).map(drop),
        _ => Ok(()),
    }
}

fn asks_for_any_port(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| matches!(part, Protocol::Tcp(0) | Protocol::Udp(0)))
}

fn same_but_port(a: &Multiaddr, b: &Multiaddr) -> bool {
    let blank = |addr: &Multiaddr| -> Multiaddr {
        addr.iter()
            .map(|part| match part {
                Protocol::Tcp(_) => Protocol::Tcp(0),
                Protocol::Udp(_) => Protocol::Udp(0),
                other => other,
            })
            .collect()
    };
    blank(a) == blank(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().expect("valid")
    }

    #[test]
    fn only_the_port_may_differ() {
        assert!(same_but_port(&addr("/ip4/127.0.0.1/tcp/0"), &addr("/ip4/127.0.0.1/tcp/4001")));
        assert!(!same_but_port(&addr("/ip4/127.0.0.1/tcp/0"), &addr("/ip4/127.0.0.1/udp/1/quic-v1")));
        assert!(asks_for_any_port(&addr("/ip4/127.0.0.1/udp/0/quic-v1")));
        assert!(!asks_for_any_port(&addr("/ip4/127.0.0.1/tcp/4700")));
    }

    #[test]
    fn a_taken_port_is_noticed() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let error = is_free(&addr(&format!("/ip4/127.0.0.1/tcp/{port}"))).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
