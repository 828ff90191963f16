//! The links of this machine. Only what lies on one of them is dialled: a service on the LAN that names addresses
//! elsewhere would have all its daemons knock at doors of others.

use std::net::IpAddr;

/// The networks that this machine's interfaces are part of: an address in each, and the bits that its addresses share.
#[derive(Clone, Debug, Default)]
pub(super) struct Links(Vec<(IpAddr, u8)>);

impl Links {
    /// Those of now. None where the system does not say.
    pub(super) fn now() -> Self {
        let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
        Self::of(interfaces.into_iter().map(|interface| match interface.addr {
            if_addrs::IfAddr::V4(addr) => (addr.ip.into(), addr.prefixlen),
            if_addrs::IfAddr::V6(addr) => (addr.ip.into(), addr.prefixlen),
        }))
    }

    pub(super) fn of(links: impl IntoIterator<Item = (IpAddr, u8)>) -> Self {
        Links(links.into_iter().filter(|(ip, _)| is_dialable(*ip)).collect())
    }

    /// Whether an address can be dialled, and lies on one of them.
    pub(super) fn reach(&self, ip: IpAddr) -> bool {
        is_dialable(ip) && self.0.iter().any(|(link, bits)| share(*link, ip, *bits))
    }
}

/// IPv6 addresses of a link alone need its name to be dialled, which others do not know.
fn is_dialable(ip: IpAddr) -> bool {
    let special = ip.is_loopback() || ip.is_unspecified() || ip.is_multicast();
    !special
        && match ip {
            IpAddr::V4(ip) => !ip.is_broadcast(),
            IpAddr::V6(ip) => !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none(),
        }
}

/// Whether two addresses share their first bits. A link of a single address, or of all, is none.
fn share(one: IpAddr, other: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => {
            (1..32).contains(&bits) && (u32::from(one) ^ u32::from(other)).leading_zeros() >= bits
        }
        (IpAddr::V6(one), IpAddr::V6(other)) => {
            (1..128).contains(&bits) && (u128::from(one) ^ u128::from(other)).leading_zeros() >= bits
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lies_on_a_link_is_reached() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("valid");
        let links = Links::of([
            (ip("192.168.1.2"), 24),
            (ip("10.8.0.2"), 32),
            (ip("169.254.3.4"), 16),
            (ip("fd00::2"), 64),
            (ip("2001:db8:1::2"), 64),
            (ip("127.0.0.1"), 8),
            (ip("fe80::2"), 64),
            (ip("198.51.100.7"), 0),
        ]);
        for near in ["192.168.1.2", "192.168.1.255", "169.254.9.9", "fd00::ff", "2001:db8:1::9"] {
            assert!(links.reach(ip(near)), "{near}");
        }
        let far = [
            "192.168.2.1",
            "10.8.0.3",
            "8.8.8.8",
            "127.0.0.1",
            "0.0.0.0",
            "255.255.255.255",
            "224.0.0.251",
            "fd00:1::1",
            "fe80::9",
            "::1",
            "::ffff:192.168.1.9",
            "ff02::fb",
        ];
        for far in far {
            assert!(!links.reach(ip(far)), "{far}");
        }
        assert!(!Links::now().reach(ip("127.0.0.1")));
    }
}
