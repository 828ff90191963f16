//! Listening: on the ports of the last run where the system may choose, on the given ones otherwise.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::time::Duration;

use futures::StreamExt;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;

use crate::address::ip;
use crate::datadir::{DataDir, DataDirError};
use crate::wire::NetworkSwarm;

/// How long the system may take to bind.
const BIND_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the ports of this run are kept for the next: the addresses as they were asked for, with the ports that the
/// system chose, one per line. It is written once, at the start.
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

/// Listens on `wanted`, waits until every address is bound, and returns them with the ports that they got. `last` is
/// what the last run returned, one address per line: a daemon that lets the system choose its ports keeps them, so that
/// others find it again.
pub(crate) async fn listen(
    swarm: &mut NetworkSwarm,
    wanted: &[Multiaddr],
    last: &str,
) -> Result<Vec<Multiaddr>, ListenError> {
    let last: Vec<Multiaddr> = last.lines().filter_map(|line| line.parse().ok()).collect();
    let mut taken = Vec::with_capacity(wanted.len());
    let mut waiting = Vec::new();
    for addr in wanted {
        let addr = kept(addr, &last, &taken).unwrap_or_else(|| addr.clone());
        is_free(&addr).map_err(|error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUse(addr.clone()),
            _ => ListenError::Refused { addr: addr.clone(), problem: error.to_string() },
        })?;
        let id = swarm
            .listen_on(addr.clone())
            .map_err(|error| ListenError::Refused { addr: addr.clone(), problem: error.to_string() })?;
        waiting.push((id, taken.len()));
        taken.push(addr);
    }
    let bound = tokio::time::timeout(BIND_TIMEOUT, async {
        while !waiting.is_empty() {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { listener_id, address } => waiting.retain(|(id, position)| {
                    if *id == listener_id {
                        taken[*position] = with_port_of(&taken[*position], &address);
                    }
                    *id != listener_id
                }),
                SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                    if let Some((_, position)) = waiting.iter().find(|(id, _)| *id == listener_id) {
                        let problem = format!("{reason:?}");
                        return Err(ListenError::Refused { addr: taken[*position].clone(), problem });
                    }
                }
                _ => {}
            }
        }
        Ok(())
    });
    match bound.await {
        Ok(result) => result.map(|()| taken),
        Err(_) => {
            let addr =
                waiting.first().map_or_else(Multiaddr::empty, |(_, position)| taken[*position].clone());
            Err(ListenError::Refused { addr, problem: "the system did not bind it in time".to_owned() })
        }
    }
}

/// The address `wanted` with the port that it had in the last run, if the system may choose the port, and it is free
/// and not among `taken`.
fn kept(wanted: &Multiaddr, last: &[Multiaddr], taken: &[Multiaddr]) -> Option<Multiaddr> {
    if !asks_for_any_port(wanted) {
        return None;
    }
    let exact = last.iter().filter(|last| same_but_port(wanted, last));
    // Earlier versions wrote down the interfaces that a wildcard stood for.
    let wildcard = ip(wanted).is_some_and(|ip| ip.is_unspecified());
    let expanded = last.iter().filter(|last| wildcard && same_but_port(wanted, &on_any_interface(last)));
    exact
        .chain(expanded)
        .map(|last| with_port_of(wanted, last))
        .find(|addr| !taken.contains(addr) && !asks_for_any_port(addr) && is_free(addr).is_ok())
}

/// Writes down what [`listen`] returned, so that the next run can have the same ports.
pub(crate) fn remember<'a>(
    dir: &DataDir,
    addrs: impl Iterator<Item = &'a Multiaddr>,
) -> Result<(), DataDirError> {
    let lines: String = addrs.map(|addr| format!("{addr}\n")).collect();
    dir.write(LISTEN_FILE, lines.as_bytes())
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

/// An address with the port of another one.
fn with_port_of(addr: &Multiaddr, other: &Multiaddr) -> Multiaddr {
    let port = other.iter().find_map(|part| match part {
        Protocol::Tcp(port) | Protocol::Udp(port) => Some(port),
        _ => None,
    });
    let replaced = |part| match (part, port) {
        (Protocol::Tcp(_), Some(port)) => Protocol::Tcp(port),
        (Protocol::Udp(_), Some(port)) => Protocol::Udp(port),
        (other, _) => other,
    };
    addr.iter().map(replaced).collect()
}

/// An address with the wildcard of its family in place of its interface.
fn on_any_interface(addr: &Multiaddr) -> Multiaddr {
    addr.iter()
        .map(|part| match part {
            Protocol::Ip4(_) => Protocol::Ip4(Ipv4Addr::UNSPECIFIED),
            Protocol::Ip6(_) => Protocol::Ip6(Ipv6Addr::UNSPECIFIED),
            other => other,
        })
        .collect()
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

    fn free_port() -> u16 {
        let socket = TcpListener::bind("0.0.0.0:0").expect("a free port");
        socket.local_addr().expect("bound").port()
    }

    #[test]
    fn a_wildcard_gets_its_own_port_again() {
        let (own, others) = (free_port(), free_port());
        let wanted = addr("/ip4/0.0.0.0/tcp/0");
        let own = addr(&format!("/ip4/0.0.0.0/tcp/{own}"));
        let loopback = addr(&format!("/ip4/127.0.0.1/tcp/{others}"));
        let last = [addr("/ip6/::/tcp/4001"), loopback.clone(), own.clone()];
        assert_eq!(kept(&wanted, &last, &[]), Some(own));
        assert_eq!(kept(&addr("/ip4/127.0.0.1/tcp/0"), &last, &[]), Some(loopback));
        assert_eq!(kept(&addr("/ip4/0.0.0.0/tcp/4700"), &last, &[]), None, "a given port is never replaced");
        assert_eq!(kept(&addr("/ip4/0.0.0.0/udp/0/quic-v1"), &last, &[]), None);
    }

    #[test]
    fn what_earlier_versions_wrote_down_of_a_wildcard_is_understood() {
        let port = free_port();
        let last = [addr(&format!("/ip4/127.0.0.1/tcp/{port}")), addr(&format!("/ip4/10.0.0.7/tcp/{port}"))];
        let wanted = addr("/ip4/0.0.0.0/tcp/0");
        let own = addr(&format!("/ip4/0.0.0.0/tcp/{port}"));
        assert_eq!(kept(&wanted, &last, &[]), Some(own.clone()));
        assert_eq!(kept(&wanted, &last, &[own]), None, "another address of this run has it");
    }

    #[test]
    fn a_taken_port_is_noticed() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = taken.local_addr().expect("bound").port();
        let error = is_free(&addr(&format!("/ip4/127.0.0.1/tcp/{port}"))).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }
}
