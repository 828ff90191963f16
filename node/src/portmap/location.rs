//! Where a router is talked to: `http://`, an IPv4 address, a port and a path. Names are not looked up. Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

/// Longest path, bytes.
const PATH_MAX: usize = 1024;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Location {
    pub(crate) host: SocketAddrV4,
    /// With the query. It begins with a slash and is printable ASCII.
    pub(crate) path: String,
}

impl Location {
    /// Reads a whole address, which has to lead to `host`.
    pub(super) fn parse(text: &str, host: Ipv4Addr) -> Option<Location> {
        let (scheme, rest) = text.trim().split_once("://")?;
        if !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        let (ip, port) = authority.split_once(':').unwrap_or((authority, "80"));
        let is_number = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port != 0)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let host = SocketAddrV4::new(ip.parse().ok().filter(|ip| *ip == host)?, port);
        Location::new(host, &path)
    }

    /// What a reference in a document at this location leads to, if that is on the same host.
    pub(super) fn join(&self, reference: &str) -> Option<Location> {
        let reference = reference.trim();
        if reference.is_empty() || reference.starts_with("//") {
            return None;
        }
        if reference.split(['/', '?', '#']).next().is_some_and(|start| start.contains(':')) {
            return Location::parse(reference, *self.host.ip());
        }
        if reference.starts_with('/') {
            return Location::new(self.host, reference);
        }
        let path = self.path.split('?').next().unwrap_or_default();
        let folder = path.rfind('/').map_or("", |slash| &path[..slash]);
        Location::new(self.host, &format!("{folder}/{reference}"))
    }

    fn new(host: SocketAddrV4, path: &str) -> Option<Location> {
        let path = path.split('#').next().unwrap_or_default();
        let is_sendable = path.len() <= PATH_MAX && path.bytes().all(|byte| byte.is_ascii_graphic());
        (is_sendable && path.starts_with('/')).then(|| Location { host, path: path.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);

    fn shown(location: Option<Location>) -> Option<String> {
        location.map(|location| format!("{}{}", location.host, location.path))
    }

    #[test]
    fn only_addresses_of_the_host_that_named_them_are_taken() {
        for (text, expected) in [
            ("http://192.168.7.1:5000/rootDesc.xml", Some("192.168.7.1:5000/rootDesc.xml")),
            ("HTTP://192.168.7.1/a?b=c#d", Some("192.168.7.1:80/a?b=c")),
            (" http://192.168.7.1 ", Some("192.168.7.1:80/")),
            ("http://192.168.7.1?x", Some("192.168.7.1:80/?x")),
            ("http://192.168.7.2:5000/rootDesc.xml", None),
            ("http://router/rootDesc.xml", None),
            ("http://admin@192.168.7.1/", None),
            ("http://192.168.7.1@192.168.7.2/", None),
            ("http://192.168.7.1:0/", None),
            ("http://192.168.7.1:+80/", None),
            ("http://192.168.7.1:/", None),
            ("http://192.168.7.1:65536/", None),
            ("http://[::1]/", None),
            ("https://192.168.7.1/", None),
            ("ftp://192.168.7.1/", None),
            ("http://192.168.7.1/a b", None),
            ("http://192.168.7.1/a\r\nHost: other", None),
            ("http://192.168.7.1/\u{e4}", None),
            ("/rootDesc.xml", None),
            ("", None),
        ] {
            assert_eq!(shown(Location::parse(text, ROUTER)).as_deref(), expected, "{text:?}");
        }
        assert_eq!(Location::parse(&format!("http://192.168.7.1/{}", "a".repeat(PATH_MAX)), ROUTER), None);
    }

    #[test]
    fn references_stay_on_the_host() {
        let base = Location::parse("http://192.168.7.1:5000/igd/desc.xml?a=/b", ROUTER).expect("valid");
        for (reference, expected) in [
            ("/ctl/IPConn", Some("192.168.7.1:5000/ctl/IPConn")),
            ("ctl/IPConn", Some("192.168.7.1:5000/igd/ctl/IPConn")),
            ("ctl?url=http://other/", Some("192.168.7.1:5000/igd/ctl?url=http://other/")),
            ("http://192.168.7.1:81/ctl", Some("192.168.7.1:81/ctl")),
            ("http://192.168.7.2:5000/ctl", None),
            ("//192.168.7.2/ctl", None),
            ("javascript:alert(1)", None),
            ("#top", Some("192.168.7.1:5000/igd/")),
            ("a b", None),
            ("", None),
        ] {
            assert_eq!(shown(base.join(reference)).as_deref(), expected, "{reference:?}");
        }
    }
}
