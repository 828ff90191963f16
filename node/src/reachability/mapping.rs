//! Having the router forward the ports on which the daemon listens, for as long as it runs.
//!
//! What comes of it is one more kind of address that others are asked to try: a router says many things.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};

use super::scope::Scope;
use crate::address::ip;
use crate::portmap::{Gateway, LEASE, Mapping, PortmapError, Transport};

/// How long after each failure in a row the next attempt is made, the last one from then on.
const PAUSES: [Duration; 3] =
    [Duration::from_secs(60), Duration::from_secs(10 * 60), Duration::from_secs(60 * 60)];
/// How often the router is asked whether its address is still the same.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How old a mapping gets before it is renewed.
const RENEW_AFTER: Duration = Duration::from_secs(LEASE.as_secs() / 2);
/// How long a daemon that leaves waits for its mappings to be deleted.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);
/// Ports that are forwarded.
const PORTS_MAX: usize = 8;
/// Addresses of this machine from which a router is looked for.
const LOCALS_MAX: usize = 4;
/// Ports of the router that are tried where the same one is taken, besides it.
const OTHERS: usize = 2;
/// Where those are (RFC 6335, section 6: used by nobody in particular).
const FIRST_OTHER: u16 = 49_152;

/// What a router forwards for this daemon.
pub(super) struct Mappings {
    /// Where the search for a router is sent.
    search_at: SocketAddrV4,
    /// Which addresses of this machine are behind a router.
    behind: Scope,
    /// Where the daemon listens.
    listened: watch::Sender<Vec<Multiaddr>>,
    /// Where the router says that others reach it. None before the first attempt has ended.
    mapped: watch::Sender<Option<Vec<Multiaddr>>>,
    held: Mutex<Option<Held>>,
}

/// Mappings of one router.
#[derive(Clone)]
struct Held {
    gateway: Gateway,
    forwarded: Vec<(Port, Mapping)>,
    /// All that it was asked to forward.
    asked: Vec<Port>,
    /// When it was asked to for the first time, or to renew it.
    since: Instant,
}

/// A port of this machine that is to be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Port {
    local: Ipv4Addr,
    transport: Transport,
    number: u16,
    listened: Multiaddr,
}

impl Mappings {
    /// None yet. They are kept where `keep` runs.
    pub(super) fn new(search_at: SocketAddrV4, behind: Scope) -> Self {
        Mappings {
            search_at,
            behind,
            listened: watch::Sender::default(),
            mapped: watch::Sender::default(),
            held: Mutex::default(),
        }
    }

    /// Takes over where the daemon listens now.
    pub(super) fn listens_at(&self, addrs: &[Multiaddr]) {
        self.listened.send_if_modified(|listened| {
            let is_new = *listened != addrs;
            *listened = addrs.to_vec();
            is_new
        });
    }

    /// Where the router says that others reach it.
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        self.mapped.borrow().clone().unwrap_or_default()
    }

    /// Waits until the first attempt has ended, but no longer than `patience`.
    pub(super) async fn attempted(&self, patience: Duration) {
        let _ = timeout(patience, self.mapped.subscribe().wait_for(Option::is_some)).await;
    }

    /// Asks for mappings and renews them. Never ends.
    pub(super) async fn keep(&self) {
        let mut listened = self.listened.subscribe();
        let (mut ports, mut failures, mut due) = (Vec::new(), 0, None);
        loop {
            let wanted = ports_of(&listened.borrow_and_update(), self.behind);
            if wanted != ports {
                (ports, failures) = (wanted, 0);
                due = Some(Instant::now());
            }
            if ports.is_empty() && !listened.borrow().is_empty() {
                self.tell();
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = Some(match self.refresh(&ports).await {
                    Ok(()) => {
                        failures = 0;
                        Instant::now() + ASK_EVERY
                    }
                    Err(error) => {
                        let pause = match self.current() {
                            // What was forwarded may still be, until its time is over.
                            Some(held) if held.since.elapsed() < LEASE => ASK_EVERY,
                            _ => PAUSES[failures.min(PAUSES.len() - 1)],
                        };
                        tracing::debug!(%error, ?pause, "the router forwards nothing");
                        failures += 1;
                        self.held().take_if(|held| held.since.elapsed() >= LEASE);
                        Instant::now() + pause
                    }
                });
                self.tell();
            }
            tokio::select! {
                () = async { sleep_until(due.unwrap_or_else(Instant::now)).await }, if due.is_some() => {}
                changed = listened.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Looks after the mappings that there are, and asks for those that are missing.
    async fn refresh(&self, ports: &[Port]) -> Result<(), PortmapError> {
        self.give_back_all_but(ports).await;
        if ports.is_empty() {
            return Ok(());
        }
        if let Some(held) = self.current()
            && held.gateway.is_same().await
        {
            let is_young = held.since.elapsed() < RENEW_AFTER;
            let since = if is_young { held.since } else { Instant::now() };
            // What works is left alone as long as it lasts.
            let is_due = |port: &&Port| !(is_young && held.asked.contains(port));
            let due: Vec<Port> = ports.iter().filter(is_due).cloned().collect();
            if self.map(held.gateway, &due, since).await.is_ok() {
                return Ok(());
            }
        }
        self.map(self.find(ports).await?, ports, Instant::now()).await
    }

    /// The first router that answers, whichever way it is reached.
    async fn find(&self, ports: &[Port]) -> Result<Gateway, PortmapError> {
        let locals: BTreeSet<Ipv4Addr> = ports.iter().map(|port| port.local).collect();
        let is_of_world = |ip: Ipv4Addr| Scope::of(ip.into()) == Scope::World;
        let mut searches: FuturesUnordered<_> = locals
            .into_iter()
            .take(LOCALS_MAX)
            .map(|local| Gateway::find(local, self.search_at, is_of_world))
            .collect();
        let mut last = PortmapError::NoRouter;
        while let Some(found) = searches.next().await {
            match found {
                Ok(gateway) => return Ok(gateway),
                Err(PortmapError::NoRouter) => {}
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Has the router forward those of the ports at which it reaches this machine, or as many as it gives.
    async fn map(&self, gateway: Gateway, ports: &[Port], since: Instant) -> Result<(), PortmapError> {
        let (before, asked) = self.current().map(|held| (held.forwarded, held.asked)).unwrap_or_default();
        let asked = asked.into_iter().filter(|port| !ports.contains(port)).chain(ports.to_vec()).collect();
        let (local, forwarded) = (gateway.local(), before.clone());
        *self.held() = Some(Held { gateway: gateway.clone(), forwarded, asked, since });
        let mut last = None;
        for port in ports.iter().filter(|port| port.local == local) {
            let kept = before.iter().find(|(other, _)| other == port).map(|(_, mapping)| mapping.external);
            let externals: Vec<u16> = kept.into_iter().chain([port.number]).chain(others()).collect();
            let mapped = gateway.map(port.transport, port.number, &externals).await;
            // Taken down at once: a daemon that is told to leave meanwhile deletes it.
            if let Some(held) = self.held().as_mut() {
                held.forwarded.retain(|(other, _)| other != port);
                held.forwarded.extend(mapped.as_ref().ok().map(|mapping| (port.clone(), *mapping)));
            }
            match mapped {
                Ok(mapping) => {
                    tracing::debug!(?mapping, external = %gateway.external(), "the router forwards a port");
                }
                Err(error) => {
                    tracing::debug!(%error, ?port, "the router does not forward a port");
                    last = Some(error);
                }
            }
        }
        match last {
            Some(error) if self.current().is_none_or(|held| held.forwarded.is_empty()) => {
                *self.held() = None;
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// Has the rest of the daemon know what there is now.
    fn tell(&self) {
        let addrs = self.current().map_or_else(Vec::new, |held| held.addresses());
        self.mapped.send_if_modified(|mapped| {
            let is_new = mapped.as_ref() != Some(&addrs);
            if is_new && !(addrs.is_empty() && mapped.is_none()) {
                tracing::info!(?addrs, "what the router forwards has changed");
            }
            *mapped = Some(addrs);
            is_new
        });
    }

    /// Has the router forward nothing any more; what does not answer in time forgets by itself.
    pub(super) async fn delete(&self) {
        self.give_back_all_but(&[]).await;
    }

    /// Has it forward these alone.
    async fn give_back_all_but(&self, ports: &[Port]) {
        let (gateway, given_back): (Gateway, Vec<Mapping>) = {
            let mut held = self.held();
            let Some(now) = held.as_mut() else { return };
            let is_gone = |(port, _): &mut (Port, Mapping)| !ports.contains(port);
            let gone = now.forwarded.extract_if(.., is_gone).map(|(_, mapping)| mapping).collect();
            now.asked.retain(|port| ports.contains(port));
            let gateway = now.gateway.clone();
            held.take_if(|held| held.asked.is_empty());
            (gateway, gone)
        };
        if given_back.is_empty() {
            return;
        }
        self.tell();
        let deleted = join_all(given_back.iter().map(|mapping| gateway.unmap(*mapping)));
        match timeout(LEAVE_WITHIN, deleted).await {
            Ok(deleted) => {
                for error in deleted.into_iter().filter_map(Result::err) {
                    tracing::debug!(%error, "the router does not delete a mapping");
                }
            }
            Err(_) => tracing::debug!("the router does not delete its mappings in time"),
        }
    }

    fn current(&self) -> Option<Held> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Where others reach what is forwarded.
    fn addresses(&self) -> Vec<Multiaddr> {
        let at = |(port, mapping): &(Port, Mapping)| {
            let rewritten = port.listened.iter().map(|part| match part {
                Protocol::Ip4(_) => Protocol::Ip4(self.gateway.external()),
                Protocol::Tcp(_) => Protocol::Tcp(mapping.external),
                Protocol::Udp(_) => Protocol::Udp(mapping.external),
                part => part,
            });
            rewritten.collect()
        };
        self.forwarded.iter().map(at).collect()
    }
}

/// What is worth forwarding of what a daemon listens on: ports at addresses that are behind a router.
fn ports_of(listened: &[Multiaddr], behind: Scope) -> Vec<Port> {
    let port = |addr: &Multiaddr| {
        let Some(IpAddr::V4(local)) = ip(addr) else { return None };
        let (transport, number) = addr.iter().find_map(|part| match part {
            Protocol::Tcp(port) => Some((Transport::Tcp, port)),
            Protocol::Udp(port) => Some((Transport::Udp, port)),
            _ => None,
        })?;
        (Scope::of(local.into()) == behind).then(|| Port { local, transport, number, listened: addr.clone() })
    };
    listened.iter().filter_map(port).take(PORTS_MAX).collect()
}

/// Other ports of the router, by chance: which ones are taken nobody knows.
fn others() -> [u16; OTHERS] {
    let mut bytes = [[0; 2]; OTHERS];
    // Without randomness the first ones are as good as any.
    let _ = getrandom::fill(bytes.as_flattened_mut());
    bytes.map(|bytes| FIRST_OTHER | u16::from_le_bytes(bytes))
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;

    use tokio::time::sleep;
    use tokio_util::task::AbortOnDropHandle;

    use super::*;
    use crate::portmap::tests::router::{Manner, Router};

    const TCP: &str = "/ip4/127.0.0.1/tcp/4700";
    const QUIC: &str = "/ip4/127.0.0.1/udp/4701/quic-v1";

    fn addrs(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("valid")).collect()
    }

    /// Of a daemon behind a router of this machine.
    fn mappings(search_at: SocketAddrV4) -> Arc<Mappings> {
        Arc::new(Mappings::new(search_at, Scope::Machine))
    }

    fn ports(texts: &[&str]) -> Vec<Port> {
        ports_of(&addrs(texts), Scope::Machine)
    }

    #[test]
    fn only_ports_behind_a_router_are_worth_forwarding() {
        let listened = addrs(&[
            "/ip4/127.0.0.1/tcp/4700",
            "/ip4/192.168.7.2/tcp/4700",
            "/ip4/192.168.7.2/udp/4701/quic-v1",
            "/ip4/198.51.100.1/tcp/4700",
            "/ip4/169.254.1.1/tcp/4700",
            "/ip6/fd00::1/tcp/4700",
            "/dns4/router/tcp/4700",
        ]);
        let ports = ports_of(&listened, Scope::Site);
        let numbers: Vec<_> = ports.iter().map(|port| (port.transport, port.number)).collect();
        assert_eq!(numbers, [(Transport::Tcp, 4700), (Transport::Udp, 4701)]);
        let many: Vec<Multiaddr> =
            (1..100).map(|port| format!("/ip4/10.0.0.1/tcp/{port}").parse().expect("valid")).collect();
        assert_eq!(ports_of(&many, Scope::Site).len(), PORTS_MAX);
    }

    #[tokio::test]
    async fn what_is_listened_on_is_forwarded_until_the_daemon_leaves() {
        let router = Router::start().await;
        let mappings = mappings(router.searched_at);
        let kept = mappings.clone();
        let _task = AbortOnDropHandle::new(tokio::spawn(async move { kept.keep().await }));
        mappings.listens_at(&addrs(&[TCP, QUIC]));
        mappings.attempted(Duration::from_secs(20)).await;
        let expected = ["/ip4/198.51.100.7/tcp/4700", "/ip4/198.51.100.7/udp/4701/quic-v1"];
        assert_eq!(mappings.addresses(), addrs(&expected));
        // The daemon listens somewhere else: what there was is given back, and what still is is left alone.
        mappings.listens_at(&addrs(&[QUIC, "/ip4/127.0.0.1/tcp/4800"]));
        let mut mapped = mappings.mapped.subscribe();
        let expected = Some(addrs(&["/ip4/198.51.100.7/udp/4701/quic-v1", "/ip4/198.51.100.7/tcp/4800"]));
        timeout(Duration::from_secs(20), mapped.wait_for(|mapped| *mapped == expected))
            .await
            .unwrap()
            .unwrap();
        let named = |ports: &[(&str, u16)]| -> Vec<(String, u16)> {
            ports.iter().map(|(transport, port)| ((*transport).to_owned(), *port)).collect()
        };
        assert_eq!(router.forwarded(), named(&[("TCP", 4800), ("UDP", 4701)]));
        assert_eq!(router.state().added, named(&[("TCP", 4700), ("UDP", 4701), ("TCP", 4800)]));
        mappings.delete().await;
        assert_eq!((router.forwarded(), mappings.addresses()), (Vec::new(), Vec::new()));
    }

    #[tokio::test]
    async fn who_is_behind_no_router_has_made_its_attempt() {
        let mappings = mappings(crate::portmap::EVERYBODY);
        let kept = mappings.clone();
        let _task = AbortOnDropHandle::new(tokio::spawn(async move { kept.keep().await }));
        mappings.listens_at(&addrs(&["/ip4/198.51.100.1/tcp/4700"]));
        timeout(Duration::from_secs(20), mappings.attempted(Duration::MAX)).await.unwrap();
    }

    #[tokio::test]
    async fn mappings_are_renewed_at_half_time_and_follow_the_router() {
        let router = Router::start().await;
        let (mappings, ports) = (mappings(router.searched_at), ports(&[TCP]));
        router.state().conflicts = 1;
        mappings.refresh(&ports).await.unwrap();
        let [(_, first)] = router.forwarded()[..] else { panic!("one port") };
        assert!(first >= FIRST_OTHER, "the same one was taken");

        let age = |by: Duration| mappings.held().as_mut().unwrap().since -= by;
        router.state().mappings.clear();
        age(RENEW_AFTER - Duration::from_secs(60));
        mappings.refresh(&ports).await.unwrap();
        assert_eq!(router.forwarded(), [], "it is not time yet");
        age(Duration::from_secs(60));
        mappings.refresh(&ports).await.unwrap();
        assert_eq!(router.forwarded(), [("TCP".to_owned(), first)], "the same port again");

        router.state().external = Ipv4Addr::new(198, 51, 100, 8);
        mappings.refresh(&ports).await.unwrap();
        mappings.tell();
        assert_eq!(mappings.addresses(), addrs(&[&format!("/ip4/198.51.100.8/tcp/{first}")]));

        router.state().external = Ipv4Addr::new(192, 168, 1, 8);
        let refused = mappings.refresh(&ports).await.unwrap_err();
        assert!(matches!(refused, PortmapError::Address(_)), "behind another router: {refused}");
    }

    #[tokio::test]
    async fn one_port_is_better_than_none_and_none_is_an_error() {
        let router = Router::start().await;
        let (mappings, ports) = (mappings(router.searched_at), ports(&[TCP, QUIC]));
        router.state().conflicts = 1 + OTHERS;
        mappings.refresh(&ports).await.unwrap();
        assert_eq!(router.forwarded(), [("UDP".to_owned(), 4701)]);
        mappings.refresh(&ports).await.unwrap();
        assert_eq!(
            router.forwarded().len(),
            1,
            "what was refused is asked for again when the rest is renewed"
        );
        mappings.delete().await;
        router.state().conflicts = 2 * (1 + OTHERS);
        mappings.refresh(&ports).await.unwrap_err();
        assert!(mappings.current().is_none());
    }

    #[tokio::test]
    async fn a_router_that_is_silent_keeps_nobody_from_leaving() {
        // A loaded machine may take as long as the router would be waited for, but not each time.
        let mut is_soon = false;
        for _ in 0..3 {
            let router = Router::start().await;
            let mappings = mappings(router.searched_at);
            mappings.refresh(&ports(&[TCP, QUIC])).await.unwrap();
            router.state().manner = Manner::Silent;
            let begun = Instant::now();
            mappings.delete().await;
            is_soon |= begun.elapsed() < LEAVE_WITHIN + Duration::from_millis(900);
        }
        assert!(is_soon);
    }

    #[tokio::test(start_paused = true)]
    async fn where_no_router_answers_it_is_looked_for_ever_more_seldom() {
        let ears = UdpSocket::bind("127.0.0.1:0").unwrap();
        ears.set_nonblocking(true).unwrap();
        let std::net::SocketAddr::V4(at) = ears.local_addr().unwrap() else { panic!("IPv4") };
        let mappings = mappings(at);
        let kept = mappings.clone();
        let _task = AbortOnDropHandle::new(tokio::spawn(async move { kept.keep().await }));
        mappings.listens_at(&addrs(&[TCP]));
        // Two datagrams in each search, which takes three seconds.
        let heard = || std::iter::from_fn(|| ears.recv(&mut [0; 2048]).ok()).count() / 2;
        let mut searches = Vec::new();
        for minutes in [1, 1, 10, 60, 60, 60] {
            sleep(Duration::from_secs(minutes * 60 + 2)).await;
            searches.push(heard());
        }
        assert_eq!(searches, [1, 1, 1, 1, 1, 1]);
        assert_eq!(mappings.addresses(), []);
        // Another address is another network.
        mappings.listens_at(&addrs(&[QUIC]));
        sleep(Duration::from_secs(2)).await;
        assert_eq!(heard(), 1);
    }
}
