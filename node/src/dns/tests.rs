use chordage_api::name::NameKey;
use chordage_api::types::{Resolved, TargetKind};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, SRV};
use hickory_proto::rr::{DNSClass, Name as DnsName, RData, Record, RecordType};
use proptest::prelude::*;

use super::answer::{Found, NOTHING_TTL, PAYLOAD, STALE_TTL};
use super::question::{Place, Todo, place, read};
use super::services::View;
use crate::resolver::decode;

fn dns(text: &str) -> DnsName {
    DnsName::from_ascii(text).unwrap()
}

/// Of labels as they are: DNS takes every byte, and the library's own reader of texts does not.
fn raw(labels: &[&str]) -> DnsName {
    DnsName::from_labels(labels.iter().map(|label| label.as_bytes())).unwrap()
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(dns(name), kind));
    message
}

fn resolved(target: &str, kind: TargetKind, stale: bool) -> Resolved {
    Resolved {
        name: "team".to_owned(),
        target: target.to_owned(),
        kind,
        seq: 1,
        valid_until: 0,
        ttl_seconds: 100,
        stale,
        steps: Vec::new(),
        seconds: 0.0,
    }
}

/// What is answered to a question if this was found.
fn answered(question: &Message, found: &Found) -> Message {
    let Todo::Find(_, mut reply) = read(&question.to_vec().unwrap()) else { panic!("nothing is looked for") };
    reply.complete(found);
    decode(&reply.for_udp().unwrap()).unwrap()
}

#[test]
fn labels_are_paths_the_other_way_round() {
    let of = |name: DnsName| match place(&name) {
        Some(Place::Name(name)) => name.to_string(),
        other => format!("{other:?}"),
    };
    let found = |text: &str| of(dns(text));
    let key = NameKey([7; 32]).to_string();
    let bare = key.trim_start_matches('@');
    assert_eq!(found("notes.team.chord.alt."), "team/notes");
    assert_eq!(found("DB.Web.TEAM.Chord.ALT."), "team/web/db");
    assert_eq!(of(raw(&["b.c", "team", "chord", "alt"])), "team/b.c");
    assert_eq!(found(&format!("notes.{bare}.chord.alt.")), format!("{key}/notes"));
    assert_eq!(of(raw(&["notes", &key.to_uppercase(), "chord", "alt"])), format!("{key}/notes"));
    assert_eq!(found("chord.alt."), "Some(Zone)");
    for outside in [".", "alt.", "example.org.", "chord.alt.example.", "xchord.alt."] {
        assert_eq!(found(outside), "None", "{outside}");
    }
    let mistyped = format!("@{}a", &bare[..55]);
    for nowhere in ["-a", "a/b", "caf\u{e9}", "a b", "@", &mistyped] {
        assert_eq!(of(raw(&["x", nowhere, "chord", "alt"])), "Some(Nowhere)", "{nowhere}");
        assert_eq!(of(raw(&[nowhere, "x", "chord", "alt"])), "Some(Nowhere)", "{nowhere}");
    }
    let service = |view| format!("{:?}", Some(Place::Service("web".parse().unwrap(), view)));
    assert_eq!(found("_WEB._tcp.chord.alt."), service(View::Places));
    assert_eq!(found("_web._udp.chord.alt."), service(View::Places));
    assert_eq!(found("web.svc.chord.alt."), service(View::Hosts));
    assert_eq!(found("c0000207.web.svc.chord.alt."), service(View::Host([192, 0, 2, 7].into())));
    for way in ["_tcp.chord.alt.", "_UDP.chord.alt.", "svc.chord.alt."] {
        assert_eq!(found(way), "Some(Way)", "{way}");
    }
    for nowhere in
        ["web._tcp.chord.alt.", "x._web._tcp.chord.alt.", "x.web.svc.chord.alt.", "_._tcp.chord.alt."]
    {
        assert_eq!(found(nowhere), "Some(Nowhere)", "{nowhere}");
    }
    let long = "a23456789.".repeat(23);
    assert_eq!(
        found(&format!("{long}team.chord.alt.")).len(),
        4 + long.len(),
        "the longest name of DNS is one"
    );
}

#[test]
fn a_target_is_a_text_and_an_address_if_it_is_one() {
    let records = |kind, target: &str, asked| {
        let found = Found::target(&resolved(target, kind, false));
        answered(&question("Team.chord.alt.", asked), &found)
    };
    let text = "x".repeat(600);
    let reply = records(TargetKind::Text, &text[..400], RecordType::TXT);
    let RData::TXT(txt) = &reply.answers[0].data else { panic!("{reply}") };
    assert_eq!(txt.txt_data.iter().map(|part| part.len()).collect::<Vec<_>>(), [255, 145]);
    assert_eq!((reply.answers[0].ttl, reply.answers[0].name.to_ascii().as_str()), (100, "Team.chord.alt."));
    assert!(reply.metadata.authoritative && reply.metadata.recursion_desired);
    assert!(!reply.metadata.recursion_available && !reply.metadata.truncation && reply.edns.is_none());

    let data =
        |reply: &Message| reply.answers.iter().map(|record| record.data.to_string()).collect::<Vec<_>>();
    assert_eq!(data(&records(TargetKind::Text, "192.0.2.7", RecordType::A)), ["192.0.2.7"]);
    assert_eq!(data(&records(TargetKind::Text, "2001:db8::7", RecordType::AAAA)), ["2001:db8::7"]);
    for (kind, target, asked) in [
        (TargetKind::Text, "192.0.2.7", RecordType::AAAA),
        (TargetKind::Text, "192.0.2.7:80", RecordType::A),
        (TargetKind::Link, "192.0.2.7", RecordType::A),
        (TargetKind::Text, "x", RecordType::MX),
    ] {
        let reply = records(kind, target, asked);
        assert_eq!(
            (reply.metadata.response_code, reply.answers.len()),
            (ResponseCode::NoError, 0),
            "{target}"
        );
        assert_eq!(
            (reply.authorities[0].record_type(), reply.authorities[0].ttl),
            (RecordType::SOA, NOTHING_TTL)
        );
    }
    let all = records(TargetKind::Text, "192.0.2.7", RecordType::ANY);
    assert_eq!((all.answers.len(), all.answers[0].record_type()), (1, RecordType::HINFO));
}

#[test]
fn what_is_not_there_and_what_is_there_without_such_a_record_are_told_apart() {
    let code = |found: &Found| {
        let reply = answered(&question("x.chord.alt.", RecordType::TXT), found);
        let RData::SOA(soa) = &reply.authorities[0].data else { panic!("{reply}") };
        assert_eq!((soa.minimum, reply.authorities[0].ttl), (NOTHING_TTL, NOTHING_TTL));
        assert_eq!(reply.authorities[0].name, dns("chord.alt."));
        reply.metadata.response_code
    };
    assert_eq!(code(&Found::nothing()), ResponseCode::NXDomain);
    assert_eq!(code(&Found::empty()), ResponseCode::NoError);
    let short = Found { ttl: 3, ..Found::target(&resolved("x", TargetKind::Text, false)) };
    let reply = answered(&question("x.chord.alt.", RecordType::A), &short);
    assert_eq!(reply.authorities[0].ttl, 3, "that there is no address holds no longer than what is there");
    assert_eq!(Found::target(&resolved("x", TargetKind::Text, true)).ttl, STALE_TTL);
    let zone = |kind| answered(&question("chord.alt.", kind), &Found::zone());
    assert_eq!(zone(RecordType::SOA).answers[0].record_type(), RecordType::SOA);
    assert_eq!((zone(RecordType::A).answers.len(), zone(RecordType::A).authorities.len()), (0, 1));
}

#[test]
fn what_does_not_fit_a_datagram_is_cut_short_and_goes_over_tcp() {
    let found = Found::target(&resolved(&"x".repeat(1024), TargetKind::Text, false));
    let ask = |payload: Option<u16>| {
        let mut question = question("x.chord.alt.", RecordType::TXT);
        if let Some(payload) = payload {
            let mut edns = Edns::new();
            edns.set_max_payload(payload);
            question.set_edns(edns);
        }
        let Todo::Find(_, mut reply) = read(&question.to_vec().unwrap()) else { panic!() };
        reply.complete(&found);
        let (udp, tcp) = (reply.for_udp().unwrap(), reply.for_tcp().unwrap());
        assert_eq!(usize::from(u16::from_be_bytes([tcp[0], tcp[1]])), tcp.len() - 2);
        assert_eq!(decode(&tcp[2..]).unwrap().answers.len(), 1);
        let reply = decode(&udp).unwrap();
        (udp.len() <= 512, reply.metadata.truncation, reply.answers.len(), reply.edns.is_some())
    };
    assert_eq!(ask(None), (true, true, 0, false));
    assert_eq!(ask(Some(100)), (true, true, 0, true), "less than 512 cannot be asked for");
    assert_eq!(ask(Some(PAYLOAD)), (false, false, 1, true));
    assert_eq!(ask(Some(u16::MAX)), (false, false, 1, true));
}

#[test]
fn what_nobody_asked_for_is_left_out_of_a_datagram_first() {
    let owner = dns("c0000207.web.svc.chord.alt.");
    let srv = |port| RData::SRV(SRV::new(0, 0, port, owner.clone()));
    let address = Record::from_rdata(owner.clone(), 5, RData::A(A::new(192, 0, 2, 7)));
    let found = |places: u16, additionals: usize| Found {
        data: (1..=places).map(srv).collect(),
        additionals: vec![address.clone(); additionals],
        ..Found::empty()
    };
    let count = |places, additionals| {
        let reply = answered(&question("_web._tcp.chord.alt.", RecordType::SRV), &found(places, additionals));
        (reply.answers.len(), reply.additionals.len(), reply.metadata.truncation)
    };
    assert_eq!(count(2, 2), (2, 2, false));
    assert_eq!(count(5, 40), (5, 0, false));
    assert_eq!(count(60, 1), (0, 0, true));
    let other = answered(&question("_web._tcp.chord.alt.", RecordType::TXT), &found(1, 1));
    assert_eq!((other.answers.len(), other.additionals.len()), (0, 0));
}

#[test]
fn what_is_not_ours_or_makes_no_sense_is_refused() {
    let says = |bytes: &[u8]| match read(bytes) {
        Todo::Nothing => None,
        Todo::Send(reply) => Some(reply.message.metadata.response_code),
        Todo::Find(..) => Some(ResponseCode::NoError),
    };
    let bytes = |message: &Message| message.to_vec().unwrap();
    let good = question("x.chord.alt.", RecordType::TXT);
    assert_eq!(says(&bytes(&good)), Some(ResponseCode::NoError));
    assert_eq!(says(&bytes(&question("example.org.", RecordType::A))), Some(ResponseCode::Refused));
    assert_eq!(says(&bytes(&question("chord.alt.", RecordType::AXFR))), Some(ResponseCode::Refused));
    let mut chaos = good.clone();
    chaos.queries[0].set_query_class(DNSClass::CH);
    assert_eq!(says(&bytes(&chaos)), Some(ResponseCode::Refused));
    let mut newer = good.clone();
    let mut edns = Edns::new();
    edns.set_version(1);
    newer.set_edns(edns);
    assert_eq!(says(&bytes(&newer)), Some(ResponseCode::BADVERS));
    let mut two = good.clone();
    two.add_query(two.queries[0].clone());
    assert_eq!(says(&bytes(&two)), Some(ResponseCode::FormErr));
    let update = Message::new(7, MessageType::Query, OpCode::Update);
    assert_eq!(says(&bytes(&update)), Some(ResponseCode::NotImp));
    assert_eq!(says(&bytes(&good.clone().into_response())), None, "an answer is never answered");
    assert_eq!(says(&bytes(&good)[..20]), Some(ResponseCode::FormErr));
    assert_eq!(says(&bytes(&good)[..11]), None);
}

proptest! {
    #[test]
    fn no_bytes_of_strangers_are_a_reason_to_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        change in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        is_question in any::<bool>(),
    ) {
        let mut bytes = bytes;
        if is_question {
            bytes = question("notes.team.chord.alt.", RecordType::TXT).to_vec().unwrap();
            for (place, byte) in &change {
                let place = place.index(bytes.len());
                bytes[place] = *byte;
            }
        }
        let found = Found::target(&resolved(&"x".repeat(1024), TargetKind::Text, false));
        match read(&bytes) {
            Todo::Nothing => {}
            Todo::Send(reply) => assert!(reply.for_udp().is_some_and(|bytes| bytes.len() <= 512)),
            Todo::Find(_, mut reply) => {
                reply.complete(&found);
                assert!(reply.for_udp().is_some_and(|bytes| bytes.len() <= usize::from(PAYLOAD)));
            }
        }
    }
}
