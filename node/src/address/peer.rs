//! libp2p's names for peers and addresses, and the overlay's.
//!
//! The overlay knows peers by Ed25519 public key (its hash is the place on the ring) and addresses as opaque
//! bytes. Here they meet: a libp2p peer id of an Ed25519 key contains that key.

use std::net::IpAddr;

use chordage_dht::{Address, NetGroup, PeerInfo};
use libp2p::identity::{PublicKey, ed25519};
use libp2p::multiaddr::Protocol;
use libp2p::{Multiaddr, PeerId};

/// The libp2p peer id of a public key; `None` if the bytes are not a point on the curve.
pub(crate) fn peer_id(public_key: &[u8; 32]) -> Option<PeerId> {
    let key = ed25519::PublicKey::try_from_bytes(public_key).ok()?;
    Some(PublicKey::from(key).to_peer_id())
}

/// The public key inside a libp2p peer id; `None` if it is not Ed25519.
pub(crate) fn public_key(peer: &PeerId) -> Option<[u8; 32]> {
    const IDENTITY_HASH: u64 = 0;
    let hash = peer.as_ref();
    if hash.code() != IDENTITY_HASH {
        return None;
    }
    let key = PublicKey::try_decode_protobuf(hash.digest()).ok()?;
    Some(key.try_into_ed25519().ok()?.to_bytes())
}

/// A multiaddr as the overlay carries it; `None` if it is longer than the overlay allows.
pub(crate) fn to_address(addr: &Multiaddr) -> Option<Address> {
    Address::new(&without_peer(addr.clone()).to_vec()).ok()
}

/// The addresses a peer announced, in the order in which to dial them. What does not parse is left out.
pub(crate) fn dial_order(info: &PeerInfo) -> Vec<Multiaddr> {
    in_dial_order(
        info.addrs().iter().filter_map(|a| Multiaddr::try_from(a.as_bytes().to_vec()).ok()).collect(),
    )
}

/// Addresses in the order in which to dial them: the same whatever order they come in.
pub(crate) fn in_dial_order(mut addrs: Vec<Multiaddr>) -> Vec<Multiaddr> {
    addrs.sort_by_cached_key(|addr| (cost(addr), addr.to_vec()));
    addrs
}

/// TCP costs less CPU, QUIC fewer round trips: TCP first to near hosts, QUIC first to far ones. What goes through a
/// relay is a last resort.
fn cost(addr: &Multiaddr) -> (bool, bool, bool) {
    let near = ip(addr).is_some_and(is_near);
    let tcp = addr.iter().any(|p| matches!(p, Protocol::Tcp(_)));
    (is_relayed(addr), !near, tcp != near)
}

/// Whether an address leads through a relay.
pub(crate) fn is_relayed(addr: &Multiaddr) -> bool {
    addr.iter().any(|part| part == Protocol::P2pCircuit)
}

/// Which subnet and provider a peer announces. An attacker gets many addresses in one subnet far more cheaply than
/// many subnets, so the overlay bounds what one of them may take of a table. A peer that announces several is counted
/// by the first that is public; peers on this machine or in private networks are in no group.
pub(crate) fn net_group(info: &PeerInfo) -> NetGroup {
    info.addrs()
        .iter()
        .filter_map(|addr| ip(&Multiaddr::try_from(addr.as_bytes().to_vec()).ok()?))
        .find_map(|ip| match ip {
            ip if is_near(ip) => None,
            IpAddr::V4(ip) => {
                let bits = u32::from(ip);
                // The lowest bit keeps a tag from being 0, which means no group; and it tells IPv4 from IPv6.
                Some(NetGroup { subnet: bits & 0xffff_ff00 | 1, site: bits & 0xffff_0000 | 1 })
            }
            IpAddr::V6(ip) => {
                let tag = |bytes: usize| {
                    let [a, b, c, d, ..] = *blake3::hash(&ip.octets()[..bytes]).as_bytes();
                    u32::from_be_bytes([a, b, c, d]) & !1 | 2
                };
                Some(NetGroup { subnet: tag(6), site: tag(4) })
            }
        })
        .unwrap_or_default()
}

/// Whether an address is this machine's or one of a private network: it says nothing about who is behind it.
pub(crate) fn is_near(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    }
}

/// The IP address a multiaddr begins with. One through a relay has none: it begins with the relay's, which says nothing
/// about who is behind it.
pub(crate) fn ip(addr: &Multiaddr) -> Option<IpAddr> {
    match addr.iter().next()? {
        _ if is_relayed(addr) => None,
        Protocol::Ip4(ip) => Some(IpAddr::V4(ip)),
        Protocol::Ip6(ip) => Some(IpAddr::V6(ip)),
        _ => None,
    }
}

/// Splits `/…/p2p/ID` into address and peer id.
pub(crate) fn split(mut addr: Multiaddr) -> (Multiaddr, Option<PeerId>) {
    match addr.iter().last() {
        Some(Protocol::P2p(peer)) => {
            addr.pop();
            (addr, Some(peer))
        }
        _ => (addr, None),
    }
}

fn without_peer(addr: Multiaddr) -> Multiaddr {
    split(addr).0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_the_way_through_a_peer_id() {
        let key = ed25519::Keypair::generate().public().to_bytes();
        let peer = peer_id(&key).expect("a generated key is valid");
        assert_eq!(public_key(&peer), Some(key));
    }

    #[test]
    fn near_hosts_are_dialled_by_tcp_first_and_far_ones_by_quic() {
        let order = |addrs: &[&str]| {
            let addrs = addrs.iter().map(|a| a.parse().expect("valid")).collect();
            in_dial_order(addrs).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            order(&["/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/127.0.0.1/tcp/1"]),
            ["/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1"]
        );
        assert_eq!(
            order(&["/ip4/198.51.100.7/tcp/1", "/ip4/198.51.100.7/udp/1/quic-v1", "/ip4/10.0.0.1/tcp/1"]),
            ["/ip4/10.0.0.1/tcp/1", "/ip4/198.51.100.7/udp/1/quic-v1", "/ip4/198.51.100.7/tcp/1"]
        );
    }

    #[test]
    fn what_leads_through_a_relay_is_dialled_last_and_says_nothing_about_where_a_peer_is() {
        let relayed: Multiaddr =
            format!("/ip4/127.0.0.1/tcp/1/p2p/{}/p2p-circuit", PeerId::random()).parse().expect("valid");
        let direct: Multiaddr = "/ip4/198.51.100.7/tcp/1".parse().expect("valid");
        assert_eq!(in_dial_order(vec![relayed.clone(), direct.clone()]), [direct.clone(), relayed.clone()]);
        assert_eq!(ip(&relayed), None);
        assert_eq!(ip(&direct), Some(IpAddr::from([198, 51, 100, 7])));
        let public = format!("/ip4/198.51.100.7/tcp/1/p2p/{}/p2p-circuit", PeerId::random());
        let announced = to_address(&public.parse().expect("valid")).expect("short enough for a record");
        let info = PeerInfo::new([1; 32], vec![announced], 1).expect("few addresses");
        assert_eq!(net_group(&info), NetGroup::default(), "it is not in the relay's subnet");
        assert_eq!(dial_order(&info).iter().map(ToString::to_string).collect::<Vec<_>>(), [public]);
    }

    #[test]
    fn neighbours_in_a_subnet_share_a_group_and_this_machine_has_none() {
        let group = |addrs: &[&str]| {
            let addrs = addrs.iter().filter_map(|addr| to_address(&addr.parse().expect("valid"))).collect();
            net_group(&PeerInfo::new([1; 32], addrs, 1).expect("few addresses"))
        };
        assert_eq!(
            group(&["/ip4/127.0.0.1/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1"]),
            NetGroup::default()
        );
        let (a, b) = (
            group(&["/ip4/198.51.100.7/tcp/1"]),
            group(&["/ip4/127.0.0.1/tcp/1", "/ip4/198.51.100.9/tcp/2"]),
        );
        assert_eq!(a, b);
        let far = group(&["/ip4/198.51.7.7/tcp/1"]);
        assert_eq!((far.subnet == a.subnet, far.site == a.site), (false, true));
        let (c, d) = (group(&["/ip6/2001:db8:1::1/tcp/1"]), group(&["/ip6/2001:db8:2::1/tcp/1"]));
        assert_eq!((c.subnet == d.subnet, c.site == d.site), (false, true));
    }

    #[test]
    fn a_peer_suffix_is_split_off() {
        let key = ed25519::Keypair::generate().public().to_bytes();
        let peer = peer_id(&key).expect("valid");
        let addr: Multiaddr = format!("/ip4/127.0.0.1/tcp/9/p2p/{peer}").parse().expect("valid");
        let (bare, found) = split(addr);
        assert_eq!((bare.to_string().as_str(), found), ("/ip4/127.0.0.1/tcp/9", Some(peer)));
    }
}
