#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use std::net::Ipv4Addr;

use libfuzzer_sys::fuzz_target;

use crate::description::services;
use crate::document::elements;
use crate::location::Location;
use crate::soap::{Action, Answer, AnswerError, Mapping, Transport};
use crate::ssdp::location;

#[path = "../../node/src/portmap/description.rs"]
mod description;
#[path = "../../node/src/portmap/document.rs"]
mod document;
#[path = "../../node/src/portmap/location.rs"]
mod location;
#[path = "../../node/src/portmap/soap.rs"]
mod soap;
#[path = "../../node/src/portmap/ssdp.rs"]
mod ssdp;

const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 1);
const OTHER: Ipv4Addr = Ipv4Addr::new(192, 168, 7, 2);
const MAPPING: Mapping = Mapping { transport: Transport::Tcp, external: 4701, internal: 4700 };

// What anybody on the LAN can say who passes for a router: no other host is asked, and nothing gets into a request that
// ends its first line. What one request takes for refused, all do.
fuzz_target!(|bytes: &[u8]| {
    if let Some(at) = location(bytes, ROUTER) {
        check(&at);
        assert_eq!(location(bytes, OTHER), None);
    }
    let at = Location::parse("http://192.168.7.1:5000/igd/desc.xml?a", ROUTER).expect("valid");
    let found = services(bytes, &at);
    assert!(found.len() <= 4 && found.is_sorted());
    found.iter().for_each(|service| check(&service.control));
    if let Ok(text) = core::str::from_utf8(bytes) {
        at.join(text).iter().for_each(check);
    }

    let read = elements(bytes);
    assert!(read.iter().all(|element| !element.name.is_empty() && element.text.trim() == element.text));
    let add = Action::Add { mapping: MAPPING, client: OTHER, lease: 3600 };
    let address = Action::ExternalAddress.answer(bytes);
    assert!(address != Ok(Answer::Done));
    let [added, deleted] = [add, Action::Delete(MAPPING)].map(|action| action.answer(bytes));
    for answer in [added, deleted] {
        assert!(!matches!(answer, Ok(Answer::Address(_))));
        let fault = |answer: &Result<Answer, AnswerError>| match answer {
            Err(AnswerError::Fault(fault)) => Some(*fault),
            _ => None,
        };
        assert_eq!(fault(&answer), fault(&address));
    }
});

/// It leads to the router, and can stand in the first line of a request.
fn check(at: &Location) {
    assert!(*at.host.ip() == ROUTER && at.host.port() != 0);
    assert!(at.path.starts_with('/') && at.path.len() <= 1024);
    assert!(at.path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#'));
}
