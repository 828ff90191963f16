//! Looking for routers: the search that is sent to everybody on the LAN, and what one of them answers. Pure.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::location::Location;

/// Where searches are sent (UPnP Device Architecture, section 1.3.2).
pub(crate) const EVERYBODY: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(239, 255, 255, 250), 1900);
/// Longest answer that is read, bytes.
pub(super) const ANSWER_MAX: usize = 2048;
/// What is looked for, without its version: a router of the second version answers whoever asks for the first.
const DEVICE: &str = "urn:schemas-upnp-org:device:InternetGatewayDevice:";

/// The search. Whoever answers does so within a second.
pub(super) fn search() -> String {
    format!(
        "M-SEARCH * HTTP/1.1\r\nHOST: {EVERYBODY}\r\nMAN: \"ssdp:discover\"\r\nMX: 1\r\nST: {DEVICE}1\r\n\r\n"
    )
}

/// Where a router that answers from `from` has its description; `None` of whatever is no such answer, or names another
/// host: nothing is fetched on behalf of others.
pub(crate) fn location(answer: &[u8], from: Ipv4Addr) -> Option<Location> {
    let text = std::str::from_utf8(&answer[..answer.len().min(ANSWER_MAX)]).ok()?;
    let mut lines = text.lines();
    let mut status = lines.next()?.split_ascii_whitespace();
    if !status.next()?.starts_with("HTTP/1.") || status.next()? != "200" {
        return None;
    }
    let (mut location, mut is_router) = (None, false);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        match name.trim().to_ascii_lowercase().as_str() {
            "location" => location = location.or(Some(value)),
            "st" => is_router = value.starts_with(DEVICE),
            _ => {}
        }
    }
    Location::parse(location.filter(|_| is_router)?, from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
    const ANSWER: &str = "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age=120\r\nST: \
                          urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\nUSN: uuid:1::urn:x\r\nEXT:\r\n\
                          LOCATION: http://192.168.7.1:5000/rootDesc.xml\r\n\r\n";

    fn path(answer: &str) -> Option<String> {
        location(answer.as_bytes(), ROUTER).map(|location| location.path)
    }

    #[test]
    fn an_answer_leads_to_the_description() {
        assert_eq!(path(ANSWER).as_deref(), Some("/rootDesc.xml"));
        let odd =
            ANSWER.replace("\r\n", "\n").replace("LOCATION: ", "Location :").replace("Device:1", "Device:2");
        assert_eq!(path(&odd).as_deref(), Some("/rootDesc.xml"));
        let twice = ANSWER.replace("EXT:", "Location: http://192.168.7.1/first");
        assert_eq!(path(&twice).as_deref(), Some("/first"));
    }

    #[test]
    fn what_is_no_answer_of_a_router_is_ignored() {
        for (old, new) in [
            ("192.168.7.1", "192.168.7.2"),
            ("http://192.168.7.1", "http://router"),
            ("HTTP/1.1 200 OK", "HTTP/1.1 404 Not Found"),
            ("HTTP/1.1 200 OK", "NOTIFY * HTTP/1.1"),
            ("HTTP/1.1 200 OK", ""),
            ("device:InternetGatewayDevice", "device:MediaServer"),
            ("LOCATION", "AL"),
            ("EXT:", ""),
            ("\r\nLOCATION", "\r\n\r\nLOCATION"),
        ] {
            let answer = ANSWER.replace(old, new);
            assert!(answer != ANSWER && (path(&answer).is_none() || new.is_empty()), "{answer}");
        }
        assert_eq!(path(""), None);
        assert_eq!(location(b"\xff", ROUTER), None);
        let long = ANSWER.replace("EXT:", &format!("EXT: {}", "x".repeat(ANSWER_MAX)));
        assert_eq!(path(&long), None);
    }

    #[test]
    fn the_search_ends_and_says_where_it_goes() {
        assert!(search().starts_with("M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n"));
        assert!(search().ends_with("InternetGatewayDevice:1\r\n\r\n"));
    }
}
