//! Services as DNS shows them. Pure.
//!
//! ```text
//!  _web._tcp.chord.alt        SRV     every place at which the service `web` listens (DNS asks for a protocol; we have none)
//!  web.svc.chord.alt          A, AAAA their addresses; TXT their attributes
//!  c0000207.web.svc.chord.alt A, AAAA the one of them that the label says, in hexadecimal
//! ```

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use chordage_api::service::Host;
use chordage_api::{OpenName, hex, unhex};
use hickory_proto::rr::rdata::{A, AAAA, SRV, TXT};
use hickory_proto::rr::{Name as DnsName, RData, Record};

use super::answer::{Found, STRING_MAX};
use crate::services::FoundService;

/// For how many seconds it may be used who offers a service: little of the 20 seconds after which a dead one is gone.
pub(super) const SERVICE_TTL: u32 = 5;
/// Places of one service that are told at most, so that all fit into one answer over TCP.
const TOLD_MAX: usize = 64;
/// Attributes of so many services at most, for the same reason.
const TEXTS_MAX: usize = 32;
/// Who is alive goes before who is suspect.
const ALIVE: u16 = 0;
const SUSPECT: u16 = 10;

/// What is asked of a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// Where it listens.
    Places,
    /// The addresses of the machines, and attributes.
    Hosts,
    /// One of the machines.
    Host(IpAddr),
}

/// The label of an address.
fn label(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => hex(&ip.octets()),
        IpAddr::V6(ip) => hex(&ip.octets()),
    }
}

/// The address of a label.
pub(super) fn address(label: &str) -> Option<IpAddr> {
    let bytes = unhex(label)?;
    let v4 = || <[u8; 4]>::try_from(&bytes[..]).ok().map(|bytes| IpAddr::V4(Ipv4Addr::from(bytes)));
    let v6 = || <[u8; 16]>::try_from(&bytes[..]).ok().map(|bytes| IpAddr::V6(Ipv6Addr::from(bytes)));
    v4().or_else(v6)
}

/// Those who are alive first, and of these the nearest.
pub(super) fn sort(listed: &mut [FoundService]) {
    listed.sort_by_key(|service| (service.suspect, service.rtt.unwrap_or(Duration::MAX)));
}

/// What is at a place of a service that these offer, in this order.
pub(super) fn found(name: &OpenName, view: View, listed: &[FoundService], ttl: u32) -> Found {
    let listed = &listed[..listed.len().min(TOLD_MAX)];
    let mut found = Found { exists: !listed.is_empty(), data: Vec::new(), additionals: Vec::new(), ttl };
    match view {
        View::Places => places(&mut found, name, listed),
        View::Hosts => {
            // Those who take any address are to get one that works.
            let any_alive = listed.iter().any(|service| !service.suspect);
            let worth = listed.iter().filter(|service| !(any_alive && service.suspect));
            worth.filter_map(ip).for_each(|ip| add(&mut found.data, data(ip)));
            found.data.extend(listed.iter().take(TEXTS_MAX).map(attributes));
        }
        View::Host(wanted) => {
            found.exists = listed.iter().filter_map(ip).any(|ip| ip == wanted);
            found.data.extend(found.exists.then(|| data(wanted)));
        }
    }
    found
}

/// Where it listens, with the addresses of those machines, for which nobody has to ask then.
fn places(found: &mut Found, name: &OpenName, listed: &[FoundService]) {
    for service in listed {
        let target = match service.addr.host() {
            Host::Name(host) => DnsName::from_ascii(host).ok().map(|mut host| {
                host.set_fqdn(true);
                host
            }),
            _ => ip(service).and_then(|ip| host(name, ip)),
        };
        let Some(target) = target else { continue };
        if let Some(ip) = ip(service) {
            add(&mut found.additionals, Record::from_rdata(target.clone(), found.ttl, data(ip)));
        }
        let priority = if service.suspect { SUSPECT } else { ALIVE };
        add(&mut found.data, RData::SRV(SRV::new(priority, 0, service.addr.port(), target)));
    }
}

/// The name in DNS of a machine of a service.
fn host(name: &OpenName, ip: IpAddr) -> Option<DnsName> {
    let label = label(ip);
    let labels = [&label, name.as_str(), "svc", "chord", "alt"];
    DnsName::from_labels(labels.map(str::as_bytes)).ok()
}

fn ip(service: &FoundService) -> Option<IpAddr> {
    match service.addr.host() {
        Host::V4(ip) => Some(IpAddr::V4(*ip)),
        Host::V6(ip) => Some(IpAddr::V6(*ip)),
        Host::Name(_) => None,
    }
}

fn data(ip: IpAddr) -> RData {
    match ip {
        IpAddr::V4(ip) => RData::A(A(ip)),
        IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
    }
}

/// One string for each, as RFC 6763 has them; one that is too long for a string goes on in the next.
fn attributes(service: &FoundService) -> RData {
    let pairs: Vec<String> = service.attrs.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut strings: Vec<&[u8]> = pairs.iter().flat_map(|pair| pair.as_bytes().chunks(STRING_MAX)).collect();
    if strings.is_empty() {
        strings.push(b"");
    }
    RData::TXT(TXT::from_bytes(strings))
}

/// The same is not told twice.
fn add<T: PartialEq>(all: &mut Vec<T>, one: T) {
    if !all.contains(&one) {
        all.push(one);
    }
}

#[cfg(test)]
mod tests {
    use chordage_dht::NodeId;

    use super::*;

    fn service(provider: u8, addr: &str, suspect: bool, rtt: Option<u64>) -> FoundService {
        FoundService {
            provider: NodeId::from_public_key(&[provider; 32]),
            addr: addr.parse().expect("an address"),
            attrs: [("k".to_owned(), addr.to_owned())].into(),
            suspect,
            age: Duration::ZERO,
            rtt: rtt.map(Duration::from_millis),
        }
    }

    fn shown(view: View, listed: &[FoundService]) -> Vec<String> {
        let found = found(&"web".parse().expect("a name"), view, listed, 5);
        let data = found.data.iter().filter(|data| !matches!(data, RData::TXT(_))).map(ToString::to_string);
        let additionals = found.additionals.iter().map(|record| format!("+ {} {}", record.name, record.data));
        data.chain(additionals).collect()
    }

    #[test]
    fn the_alive_go_before_the_suspect_and_the_near_before_the_far() {
        let mut listed = vec![
            service(1, "192.0.2.1:80", true, Some(1)),
            service(2, "db.example:80", false, None),
            service(3, "[2001:db8::3]:80", false, Some(9)),
            service(4, "192.0.2.4:8080", false, Some(3)),
            service(5, "192.0.2.4:8080", false, Some(4)),
        ];
        sort(&mut listed);
        let places = shown(View::Places, &listed);
        assert_eq!(
            places,
            [
                "0 0 8080 c0000204.web.svc.chord.alt.",
                "0 0 80 20010db8000000000000000000000003.web.svc.chord.alt.",
                "0 0 80 db.example.",
                "10 0 80 c0000201.web.svc.chord.alt.",
                "+ c0000204.web.svc.chord.alt. 192.0.2.4",
                "+ 20010db8000000000000000000000003.web.svc.chord.alt. 2001:db8::3",
                "+ c0000201.web.svc.chord.alt. 192.0.2.1",
            ]
        );
        assert_eq!(shown(View::Hosts, &listed), ["192.0.2.4", "2001:db8::3"]);
        assert_eq!(shown(View::Hosts, &listed[4..]), ["192.0.2.1"], "rather a suspect one than none");
        let ip = |text: &str| View::Host(text.parse().expect("an address"));
        assert_eq!(shown(ip("192.0.2.1"), &listed), ["192.0.2.1"]);
        assert!(shown(ip("192.0.2.9"), &listed).is_empty());
    }

    #[test]
    fn labels_lead_back_to_addresses() {
        for text in ["192.0.2.7", "::1", "2001:db8::7"] {
            let ip: IpAddr = text.parse().expect("an address");
            assert_eq!(address(&label(ip)), Some(ip));
        }
        for wrong in ["", "c000020", "c00002", "c000020700", "x0000207", "1"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn as_many_as_can_be_listed_fit_into_one_answer() {
        let text = "x".repeat(200);
        let listed: Vec<FoundService> = (0..1024_u32)
            .map(|n| {
                let mut service = service(1, &format!("[2001:db8::{n:x}]:{}", n + 1), false, None);
                service.attrs = (0..3).map(|n| (format!("{}{n}", &text[..60]), text.clone())).collect();
                service
            })
            .collect();
        let name: OpenName = "n".repeat(62).parse().expect("a name");
        for (view, most) in [(View::Places, TOLD_MAX), (View::Hosts, TOLD_MAX + TEXTS_MAX)] {
            let found = found(&name, view, &listed, 5);
            assert_eq!(found.data.len(), most);
            let owner = DnsName::from_ascii("x.chord.alt.").expect("a name");
            let records = found.data.iter().map(|data| Record::from_rdata(owner.clone(), 5, data.clone()));
            let mut message = hickory_proto::op::Message::response(1, hickory_proto::op::OpCode::Query);
            message.add_answers(records).add_additionals(found.additionals.iter().cloned());
            assert!(message.to_vec().expect("can be encoded").len() < usize::from(u16::MAX) - 512);
        }
    }
}
