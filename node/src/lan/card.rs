//! What a daemon says of itself on the LAN, and how others read it.
//!
//! In the TXT record of its service: the version of this, the fingerprint of its network, its peer id, and the ports on
//! which it listens. The addresses are in records of their own, and differ from one interface to the next.

use std::collections::BTreeSet;
use std::net::IpAddr;

use data_encoding::HEXLOWER;
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

use crate::address::{in_dial_order, ip, public_key};
use crate::network::NetworkFingerprint;

/// The form of the TXT record. What says another is not understood.
const VERSION: &str = "1";
/// Addresses that are read of one card. Design: eight interfaces with two transports each.
const ADDRESSES_MAX: usize = 16;

/// The ports of a daemon, by the family of addresses they belong to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Ports {
    tcp4: Option<u16>,
    tcp6: Option<u16>,
    quic4: Option<u16>,
    quic6: Option<u16>,
}

impl Ports {
    /// Those of the addresses that others can reach; of several of a kind, the first.
    fn of(bound: &[Multiaddr]) -> Self {
        let mut ports = Ports::default();
        for addr in bound {
            let is_v6 = ip(addr).is_some_and(|ip| ip.is_ipv6());
            let (place, port) = match addr.iter().nth(1) {
                Some(Protocol::Tcp(port)) if is_v6 => (&mut ports.tcp6, port),
                Some(Protocol::Tcp(port)) => (&mut ports.tcp4, port),
                Some(Protocol::Udp(port)) if is_v6 => (&mut ports.quic6, port),
                Some(Protocol::Udp(port)) => (&mut ports.quic4, port),
                _ => continue,
            };
            place.get_or_insert(port);
        }
        ports
    }

    /// With their names in the TXT record.
    fn named(&self) -> [(&'static str, Option<u16>); 4] {
        [("tcp4", self.tcp4), ("tcp6", self.tcp6), ("quic4", self.quic4), ("quic6", self.quic6)]
    }

    /// The one that stands in the SRV record, which has room for one.
    fn first(&self) -> Option<u16> {
        self.named().into_iter().find_map(|(_, port)| port)
    }

    /// The addresses at which a daemon with these ports listens on an interface.
    fn at(&self, ip: IpAddr) -> impl Iterator<Item = Multiaddr> + use<> {
        let (tcp, quic) = if ip.is_ipv4() { (self.tcp4, self.quic4) } else { (self.tcp6, self.quic6) };
        let tcp = tcp.map(|port| Multiaddr::from(ip).with(Protocol::Tcp(port)));
        let quic = quic.map(|port| Multiaddr::from(ip).with(Protocol::Udp(port)).with(Protocol::QuicV1));
        tcp.into_iter().chain(quic)
    }
}

/// What this daemon says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Card {
    network: NetworkFingerprint,
    peer: PeerId,
    ports: Ports,
    /// The addresses it listens on; none if it does so on all.
    pub(super) only: Vec<IpAddr>,
}

impl Card {
    /// The card of a daemon that listens on these. None if others could not reach any of them.
    pub(super) fn of(network: NetworkFingerprint, peer: PeerId, bound: &[Multiaddr]) -> Option<Self> {
        let is_reachable = |addr: &&Multiaddr| ip(addr).is_some_and(|ip| !ip.is_loopback());
        let reachable: Vec<Multiaddr> = bound.iter().filter(is_reachable).cloned().collect();
        let ips: BTreeSet<IpAddr> = reachable.iter().filter_map(ip).collect();
        let everywhere = ips.iter().any(IpAddr::is_unspecified);
        let only = if everywhere { Vec::new() } else { ips.into_iter().collect() };
        let ports = Ports::of(&reachable);
        ports.first().map(|_| Card { network, peer, ports, only })
    }

    /// The name of the service, which no other daemon has.
    pub(super) fn name(&self) -> String {
        self.peer.to_string()
    }

    /// The name of the host, for the addresses of this daemon alone: others on the machine have other ones.
    pub(super) fn host(&self) -> String {
        format!("chordage-{}.local.", self.peer)
    }

    pub(super) fn port(&self) -> u16 {
        self.ports.first().unwrap_or_default()
    }

    /// Whether it listens on addresses of the family.
    pub(super) fn has_family(&self, is_v4: bool) -> bool {
        match is_v4 {
            true => self.ports.tcp4.or(self.ports.quic4).is_some(),
            false => self.ports.tcp6.or(self.ports.quic6).is_some(),
        }
    }

    /// What stands in the TXT record.
    pub(super) fn properties(&self) -> Vec<(&'static str, String)> {
        let mut properties = vec![
            ("v", VERSION.to_owned()),
            ("net", HEXLOWER.encode(&self.network.0)),
            ("id", self.peer.to_string()),
        ];
        let ports = self.ports.named().into_iter();
        properties.extend(ports.filter_map(|(name, port)| Some((name, port?.to_string()))));
        properties
    }
}

/// A daemon of this network, and where it can be dialled. Whether it is one shows when it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hint {
    pub(crate) peer: PeerId,
    /// In the order in which to dial them.
    pub(crate) addrs: Vec<Multiaddr>,
}

/// What a service on the LAN is to a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Read {
    Daemon(Hint),
    /// A daemon of another network.
    OtherNetwork,
    /// This daemon itself, one without an address, or one that is not understood.
    Nobody,
}

/// Whose cards a daemon reads.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    pub(super) network: NetworkFingerprint,
    /// This daemon.
    pub(super) own: PeerId,
}

impl Reader {
    /// Reads a card: `property` finds what stands in its TXT record. All of it comes from strangers.
    pub(super) fn read<'a>(
        &self,
        property: impl Fn(&str) -> Option<&'a str>,
        ips: &BTreeSet<IpAddr>,
    ) -> Read {
        if property("v") != Some(VERSION) {
            return Read::Nobody;
        }
        let Some(network) = property("net") else { return Read::Nobody };
        if network != HEXLOWER.encode(&self.network.0) {
            return Read::OtherNetwork;
        }
        let peer = property("id").and_then(|id| id.parse::<PeerId>().ok());
        let is_daemon = |peer: &PeerId| *peer != self.own && public_key(peer).is_some();
        let Some(peer) = peer.filter(is_daemon) else { return Read::Nobody };
        let port = |name| property(name)?.parse().ok().filter(|port| *port != 0);
        let ports =
            Ports { tcp4: port("tcp4"), tcp6: port("tcp6"), quic4: port("quic4"), quic6: port("quic6") };
        let addrs = in_dial_order(ips.iter().flat_map(|ip| ports.at(*ip)).take(ADDRESSES_MAX).collect());
        if addrs.is_empty() { Read::Nobody } else { Read::Daemon(Hint { peer, addrs }) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chordage_dht::AnyMetric;
    use libp2p::identity::Keypair;
    use proptest::prelude::*;

    use super::*;

    fn network(name: &str) -> NetworkFingerprint {
        NetworkFingerprint::of(name, AnyMetric::Ring)
    }

    fn peer() -> PeerId {
        Keypair::generate_ed25519().public().to_peer_id()
    }

    fn addrs(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("valid")).collect()
    }

    fn ips(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().expect("valid")).collect()
    }

    fn read(reader: Reader, properties: &BTreeMap<&str, String>, at: &[&str]) -> Read {
        reader.read(|name| properties.get(name).map(String::as_str), &ips(at))
    }

    #[test]
    fn a_card_is_read_as_it_was_meant() {
        let everywhere = ["/ip4/0.0.0.0/tcp/4700", "/ip4/0.0.0.0/udp/4701/quic-v1", "/ip6/::/tcp/4702"];
        let card = Card::of(network("a"), peer(), &addrs(&everywhere)).expect("reachable");
        assert_eq!((card.only.len(), card.port()), (0, 4700));
        let properties: BTreeMap<_, _> = card.properties().into_iter().collect();
        let reader = Reader { network: network("a"), own: peer() };
        let found = read(reader, &properties, &["192.168.1.9", "fd00::9"]);
        let expected = addrs(&[
            "/ip4/192.168.1.9/tcp/4700",
            "/ip6/fd00::9/tcp/4702",
            "/ip4/192.168.1.9/udp/4701/quic-v1",
        ]);
        assert_eq!(found, Read::Daemon(Hint { peer: card.peer, addrs: expected }));
        assert!(card.has_family(true) && card.has_family(false));
        assert!(card.name().len() <= 63 && card.host().split('.').all(|label| label.len() <= 63));
    }

    #[test]
    fn other_networks_this_daemon_itself_and_nonsense_are_no_hints() {
        let card = Card::of(network("a"), peer(), &addrs(&["/ip4/0.0.0.0/tcp/4700"])).expect("reachable");
        let whole: BTreeMap<_, _> = card.properties().into_iter().collect();
        let reader = Reader { network: network("a"), own: peer() };
        let near = ["192.168.1.9"];
        assert!(matches!(read(reader, &whole, &near), Read::Daemon(_)));
        assert_eq!(read(Reader { network: network("b"), ..reader }, &whole, &near), Read::OtherNetwork);
        assert_eq!(read(Reader { own: card.peer, ..reader }, &whole, &near), Read::Nobody);
        assert_eq!(read(reader, &whole, &["fd00::9"]), Read::Nobody, "it has no port of that family");
        for (name, value) in [
            ("v", "2".to_owned()),
            ("id", "somebody".to_owned()),
            ("id", PeerId::random().to_string()),
            ("tcp4", "0".to_owned()),
            ("tcp4", "65536".to_owned()),
        ] {
            let mut other = whole.clone();
            other.insert(name, value.clone());
            assert_eq!(read(reader, &other, &near), Read::Nobody, "{name}={value}");
        }
        for name in ["v", "net", "id", "tcp4"] {
            let mut less = whole.clone();
            less.remove(name);
            assert_eq!(read(reader, &less, &near), Read::Nobody, "without {name}");
        }
    }

    #[test]
    fn who_listens_on_this_machine_only_has_no_card() {
        let of = |texts: &[&str]| Card::of(network("a"), peer(), &addrs(texts));
        assert_eq!(of(&["/ip4/127.0.0.1/tcp/4700", "/ip6/::1/tcp/4700"]), None);
        let card = of(&["/ip4/127.0.0.1/tcp/4700", "/ip4/192.168.1.9/tcp/4701"]).expect("reachable");
        assert_eq!((card.only.as_slice(), card.port()), (&["192.168.1.9".parse().expect("valid")][..], 4701));
        assert!(!card.has_family(false));
    }

    #[test]
    fn so_many_addresses_of_a_card_are_read_at_most() {
        let bound = addrs(&["/ip4/0.0.0.0/tcp/1", "/ip4/0.0.0.0/udp/2/quic-v1"]);
        let card = Card::of(network("a"), peer(), &bound).expect("reachable");
        let properties: BTreeMap<_, _> = card.properties().into_iter().collect();
        let many: Vec<String> = (1..200).map(|host| format!("192.168.1.{host}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let Read::Daemon(hint) = read(Reader { network: network("a"), own: peer() }, &properties, &many)
        else {
            panic!("it has addresses")
        };
        assert_eq!(hint.addrs.len(), ADDRESSES_MAX);
    }

    proptest! {
        #[test]
        fn whatever_strangers_say_is_read(said in proptest::collection::btree_map("v|net|id|tcp4|quic6", ".*", 0..5)) {
            let reader = Reader { network: network("a"), own: peer() };
            let found = reader.read(|name| said.get(name).map(String::as_str), &ips(&["192.168.1.9"]));
            prop_assert!(!matches!(found, Read::Daemon(_)));
        }
    }
}
