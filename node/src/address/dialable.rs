//! Which addresses lead anywhere. What this program cannot dial is refused at the start: otherwise it would be tried
//! for ever without a word.

use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::peer::{public_key, split};

/// What an address is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// Somebody is to be dialled there.
    Join,
    /// This daemon listens there.
    Listen,
    /// Others are told to dial this daemon there.
    Announce,
}

/// Why an address cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// It begins with something else.
    #[error(
        "it has to begin with an address or a name, as in /ip4/192.0.2.7/tcp/4700 or /dns4/home.example/tcp/4700"
    )]
    NoHost,
    /// A record of the DNS that lists whole addresses.
    #[error(
        "lists of addresses in the DNS are not looked up; name the host itself, as in /dns4/home.example/tcp/4700"
    )]
    DnsAddr,
    /// A name, where an address of this machine is needed.
    #[error("one can only listen on an address of this machine, as in /ip4/0.0.0.0/tcp/4700")]
    ListenOnName,
    /// Nothing behind the host.
    #[error("the port is missing, as in /ip4/192.0.2.7/tcp/4700 or /ip4/192.0.2.7/udp/4700/quic-v1")]
    NoPort,
    /// The system would choose the port.
    #[error("port 0 leads nowhere; give the port itself, as in /ip4/192.0.2.7/tcp/4700")]
    PortZero,
    /// UDP without QUIC.
    #[error("over UDP only QUIC is spoken, as in /ip4/192.0.2.7/udp/4700/quic-v1")]
    NotQuic,
    /// More behind it than is understood.
    #[error("only TCP and QUIC are spoken, as in /ip4/192.0.2.7/tcp/4700 or /ip4/192.0.2.7/udp/4700/quic-v1")]
    Unknown,
    /// A peer id, where none belongs.
    #[error("an address to listen on has no /p2p/ID at its end, as in /ip4/0.0.0.0/tcp/4700")]
    ListenAsPeer,
    /// A peer id that is not one of ours.
    #[error(
        "its /p2p/ID is not that of a daemon; take the address from `chordage status` there, or leave /p2p/ID out"
    )]
    ForeignPeer,
    /// All interfaces.
    #[error(
        "it stands for all interfaces, which others cannot dial; announce one that they can, as in /ip4/192.0.2.7/tcp/4700"
    )]
    Wildcard,
}

/// Checks an address.
pub(crate) fn check(addr: &Multiaddr, used: Use) -> Result<(), AddressError> {
    let (addr, peer) = split(addr.clone());
    let mut parts = addr.iter();
    match (parts.next(), used) {
        (Some(Protocol::Ip4(ip)), Use::Announce) if ip.is_unspecified() => {
            return Err(AddressError::Wildcard);
        }
        (Some(Protocol::Ip6(ip)), Use::Announce) if ip.is_unspecified() => {
            return Err(AddressError::Wildcard);
        }
        (Some(Protocol::Ip4(_) | Protocol::Ip6(_)), _) => {}
        (Some(Protocol::Dns(_) | Protocol::Dns4(_) | Protocol::Dns6(_)), Use::Listen) => {
            return Err(AddressError::ListenOnName);
        }
        (Some(Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name)), _) if !name.is_empty() => {}
        (Some(Protocol::Dnsaddr(_)), _) => return Err(AddressError::DnsAddr),
        _ => return Err(AddressError::NoHost),
    }
    let port = match (parts.next(), parts.next(), parts.next()) {
        (None, ..) => return Err(AddressError::NoPort),
        (Some(Protocol::Tcp(port)), None, _) | (Some(Protocol::Udp(port)), Some(Protocol::QuicV1), None) => {
            port
        }
        (Some(Protocol::Udp(_)), None | Some(Protocol::Quic), _) => return Err(AddressError::NotQuic),
        _ => return Err(AddressError::Unknown),
    };
    match peer {
        Some(_) if used == Use::Listen => Err(AddressError::ListenAsPeer),
        Some(peer) if public_key(&peer).is_none() => Err(AddressError::ForeignPeer),
        _ if port == 0 && used != Use::Listen => Err(AddressError::PortZero),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_nowhere_is_refused_with_the_reason() {
        use AddressError as E;
        let cases = [
            ("/ip4/192.0.2.7/tcp/4700", [None, None, None]),
            ("/ip6/2001:db8::1/udp/4700/quic-v1", [None, None, None]),
            ("/ip4/0.0.0.0/tcp/4700", [None, None, Some(E::Wildcard)]),
            ("/ip4/127.0.0.1/tcp/0", [Some(E::PortZero), None, Some(E::PortZero)]),
            ("/dns4/home.example/tcp/4700", [None, Some(E::ListenOnName), None]),
            ("/dns/home.example/udp/4700/quic-v1", [None, Some(E::ListenOnName), None]),
            ("/dnsaddr/home.example", [Some(E::DnsAddr); 3]),
            ("/ip4/192.0.2.7", [Some(E::NoPort); 3]),
            ("/ip4/192.0.2.7/udp/4700", [Some(E::NotQuic); 3]),
            ("/ip4/192.0.2.7/udp/4700/quic", [Some(E::NotQuic); 3]),
            ("/ip4/192.0.2.7/tcp/4700/ws", [Some(E::Unknown); 3]),
            ("/ip4/192.0.2.7/sctp/4700", [Some(E::Unknown); 3]),
            ("/unix/run%2Fsocket", [Some(E::NoHost); 3]),
            ("/tcp/4700", [Some(E::NoHost); 3]),
        ];
        for (addr, expected) in cases {
            let addr: Multiaddr = addr.parse().expect("valid");
            for (used, expected) in [Use::Join, Use::Listen, Use::Announce].into_iter().zip(expected) {
                assert_eq!(check(&addr, used).err(), expected, "{addr} to {used:?}");
            }
        }
    }

    #[test]
    fn a_peer_id_is_that_of_a_daemon_and_belongs_to_an_address_of_others() {
        let key = libp2p::identity::ed25519::Keypair::generate().public();
        let ours = libp2p::identity::PublicKey::from(key).to_peer_id();
        let named =
            |peer: libp2p::PeerId| format!("/ip4/192.0.2.7/tcp/4700/p2p/{peer}").parse().expect("valid");
        assert_eq!(check(&named(ours), Use::Join), Ok(()));
        assert_eq!(check(&named(ours), Use::Listen), Err(AddressError::ListenAsPeer));
        let foreign = libp2p::PeerId::random();
        assert_eq!(check(&named(foreign), Use::Join), Err(AddressError::ForeignPeer));
    }
}
