//! Addresses with names in them: `/dns4/home.example/tcp/4700`. A name is looked up anew for every dial, by the
//! system's own resolver, so that it may lead somewhere else tomorrow.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use libp2p::core::muxing::StreamMuxerBox;
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, TransportError, TransportEvent};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId, Transport};
use tokio::net::lookup_host;
use tokio::time::timeout;

/// How long a look-up may take: there has to be time left to dial.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(4);
/// Addresses of one name that are dialled, one after the other.
const DIALLED_MAX: usize = 4;

type Connection = (PeerId, StreamMuxerBox);

/// The transports below, which know no names.
pub(super) struct Named {
    inner: Arc<Mutex<Boxed<Connection>>>,
}

impl Named {
    pub(super) fn new(inner: Boxed<Connection>) -> Self {
        Named { inner: Arc::new(Mutex::new(inner)) }
    }
}

fn locked(inner: &Mutex<Boxed<Connection>>) -> MutexGuard<'_, Boxed<Connection>> {
    inner.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Transport for Named {
    type Output = Connection;
    type Error = io::Error;
    type ListenerUpgrade = <Boxed<Connection> as Transport>::ListenerUpgrade;
    type Dial = BoxFuture<'static, io::Result<Connection>>;

    fn listen_on(&mut self, id: ListenerId, addr: Multiaddr) -> Result<(), TransportError<io::Error>> {
        locked(&self.inner).listen_on(id, addr)
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        locked(&self.inner).remove_listener(id)
    }

    fn dial(&mut self, addr: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<io::Error>> {
        if name(&addr).is_none() {
            return locked(&self.inner).dial(addr, opts);
        }
        let inner = self.inner.clone();
        Ok(async move {
            let mut failed = None;
            for addr in look_up(&addr).await?.into_iter().take(DIALLED_MAX) {
                let dial = locked(&inner).dial(addr, opts);
                let dialled = match dial {
                    Ok(dial) => dial.await,
                    Err(error) => Err(io::Error::other(error)),
                };
                match dialled {
                    Ok(connection) => return Ok(connection),
                    Err(error) => failed = Some(error),
                }
            }
            Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
        }
        .boxed())
    }

    fn poll(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, io::Error>> {
        Pin::new(&mut *locked(&self.inner)).poll(cx)
    }
}

/// The name that an address begins with.
fn name(addr: &Multiaddr) -> Option<String> {
    match addr.iter().next()? {
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.into_owned()),
        _ => None,
    }
}

/// The addresses with what its name stands for in its place; an error if that is nothing.
async fn look_up(addr: &Multiaddr) -> io::Result<Vec<Multiaddr>> {
    let (Some(name), Some(kind)) = (name(addr), addr.iter().next()) else { return Ok(vec![addr.clone()]) };
    let unknown =
        |why: String| io::Error::new(io::ErrorKind::NotFound, format!("unknown host {name} ({why})"));
    let found = timeout(LOOKUP_TIMEOUT, lookup_host((name.as_str(), 0))).await;
    let found = found.map_err(|_| unknown("nobody answered the question for it in time".to_owned()))?;
    let ips = found.map_err(|error| unknown(error.to_string()))?.map(|found| found.ip());
    let wanted = |ip: &IpAddr| match kind {
        Protocol::Dns4(_) => ip.is_ipv4(),
        Protocol::Dns6(_) => ip.is_ipv6(),
        _ => true,
    };
    let addrs: Vec<Multiaddr> = ips
        .filter(wanted)
        .map(|ip| std::iter::once(Protocol::from(ip)).chain(addr.iter().skip(1)).collect())
        .collect();
    if addrs.is_empty() { Err(unknown("it has no address of this kind".to_owned())) } else { Ok(addrs) }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn found(addr: &str) -> io::Result<Vec<String>> {
        let addrs = look_up(&addr.parse().expect("valid")).await?;
        Ok(addrs.iter().map(ToString::to_string).collect())
    }

    #[tokio::test]
    async fn a_name_stands_for_its_addresses_of_the_kind_asked_for() {
        let local = found("/dns4/localhost/udp/4700/quic-v1").await.expect("every machine has it");
        assert_eq!(local, ["/ip4/127.0.0.1/udp/4700/quic-v1"]);
        let error = found("/dns4/nobody.invalid/tcp/4700").await.expect_err("a name that never exists");
        assert!(error.to_string().contains("unknown host nobody.invalid"), "{error}");
    }
}
