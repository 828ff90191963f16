//! From how far away an address can be dialled at all, and for whom that is done.

use std::net::{IpAddr, Ipv6Addr};

/// See the module's description, the nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Scope {
    /// This machine.
    Machine,
    /// The same link, and with an interface only.
    Link,
    /// The networks of a house, a company or a provider, which use the same addresses as others (RFC 1918, RFC 4193,
    /// RFC 6598).
    Site,
    /// Everywhere.
    World,
}

impl Scope {
    pub(super) fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) if ip.is_loopback() || ip.is_unspecified() => Scope::Machine,
            IpAddr::V4(ip) if ip.is_link_local() || ip.is_multicast() || ip.is_broadcast() => Scope::Link,
            IpAddr::V4(ip) if ip.is_private() || is_shared(ip.octets()) => Scope::Site,
            IpAddr::V4(_) => Scope::World,
            IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => Scope::of(ip.into()),
                None => of_v6(ip),
            },
        }
    }
}

/// 100.64.0.0/10: between a provider's NAT and its customers.
fn is_shared([first, second, ..]: [u8; 4]) -> bool {
    first == 100 && second & 0xc0 == 0x40
}

fn of_v6(ip: Ipv6Addr) -> Scope {
    if ip.is_loopback() || ip.is_unspecified() {
        Scope::Machine
    } else if ip.is_unicast_link_local() || ip.is_multicast() {
        Scope::Link
    } else if ip.is_unique_local() {
        Scope::Site
    } else {
        Scope::World
    }
}

/// Whether somebody at `asker` may have `target` dialled from here. What only this site or this machine reaches is
/// dialled for nobody from outside of it: it would be told which doors are open here.
pub(super) fn may_ask_for(asker: IpAddr, target: IpAddr) -> bool {
    match Scope::of(target) {
        Scope::World => true,
        Scope::Link => false,
        near => Scope::of(asker) <= near && Scope::of(asker) != Scope::Link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("valid")
    }

    #[test]
    fn addresses_reach_as_far_as_their_kind() {
        let cases = [
            ("127.0.0.1", Scope::Machine),
            ("0.0.0.0", Scope::Machine),
            ("::1", Scope::Machine),
            ("169.254.1.1", Scope::Link),
            ("224.0.0.1", Scope::Link),
            ("fe80::1", Scope::Link),
            ("10.1.2.3", Scope::Site),
            ("192.168.0.1", Scope::Site),
            ("100.64.0.1", Scope::Site),
            ("100.127.255.255", Scope::Site),
            ("fd00::1", Scope::Site),
            ("::ffff:10.0.0.1", Scope::Site),
            ("100.128.0.1", Scope::World),
            ("198.51.100.1", Scope::World),
            ("2001:db8::1", Scope::World),
        ];
        for (text, scope) in cases {
            assert_eq!(Scope::of(ip(text)), scope, "{text}");
        }
    }

    #[test]
    fn nobody_learns_of_a_site_from_outside() {
        for (asker, target, may) in [
            ("198.51.100.1", "198.51.100.2", true),
            ("10.0.0.1", "198.51.100.2", true),
            ("10.0.0.1", "10.0.0.2", true),
            ("127.0.0.1", "10.0.0.2", true),
            ("127.0.0.1", "127.0.0.1", true),
            ("198.51.100.1", "10.0.0.2", false),
            ("198.51.100.1", "127.0.0.1", false),
            ("10.0.0.1", "127.0.0.1", false),
            ("10.0.0.1", "169.254.0.1", false),
            ("169.254.0.1", "127.0.0.1", false),
            ("fe80::1", "10.0.0.2", false),
        ] {
            assert_eq!(may_ask_for(ip(asker), ip(target)), may, "{asker} asks for {target}");
        }
    }
}
