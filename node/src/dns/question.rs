//! What a question in DNS asks for. Pure: bytes in, and what to do.

use chordage_api::OpenName;
use chordage_api::name::{Name, NameKey, PATH_MAX, Root, check_label};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::{DNSClass, Name as DnsName, RecordType};

use super::answer::{PAYLOAD, Reply};
use super::services::{self, View};
use crate::resolver::decode;

/// Bytes of a header.
const HEADER: usize = 12;
/// Labels of the zone.
const ZONE_LABELS: [&[u8]; 2] = [b"chord", b"alt"];

/// What is at a place of the zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The zone itself.
    Zone,
    /// What a name stands for.
    Name(Name),
    /// Where something is of a service, or was.
    Service(OpenName, View),
    /// Nothing but what stands below it.
    Way,
    /// Nothing: no name can be called that.
    Nowhere,
}

/// What to do about a message.
#[derive(Debug)]
pub(super) enum Todo {
    /// It is no question, and an answer could be one more.
    Nothing,
    /// Send this.
    Send(Reply),
    /// Complete this with what is there.
    Find(Place, Reply),
}

/// Reads what somebody sent.
pub(super) fn read(bytes: &[u8]) -> Todo {
    let Some((&[id_high, id_low, flags, ..], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Todo::Nothing;
    };
    let id = u16::from_be_bytes([id_high, id_low]);
    let (is_answer, op_code) = (flags & 0x80 != 0, OpCode::from_u8(flags >> 3 & 0xf));
    if is_answer {
        return Todo::Nothing;
    }
    let short = |code| Todo::Send(Reply::unasked(Message::error_msg(id, op_code, code)));
    if op_code != OpCode::Query {
        return short(ResponseCode::NotImp);
    }
    let Some(question) = decode(bytes) else { return short(ResponseCode::FormErr) };
    let Some(query) = question.queries.first() else { return short(ResponseCode::FormErr) };
    let mut reply = reply(&question);
    let mut refused = |code| {
        reply.message.metadata.response_code = code;
        Todo::Send(reply.clone())
    };
    if question.version() > 0 {
        return refused(ResponseCode::BADVERS);
    }
    let is_transfer = matches!(query.query_type, RecordType::AXFR | RecordType::IXFR);
    if query.query_class != DNSClass::IN || is_transfer {
        return refused(ResponseCode::Refused);
    }
    let Some(place) = place(&query.name) else { return refused(ResponseCode::Refused) };
    reply.message.metadata.authoritative = true;
    Todo::Find(place, reply)
}

/// An answer in which nothing is said yet.
fn reply(question: &Message) -> Reply {
    let mut reply = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    reply.metadata.recursion_desired = question.metadata.recursion_desired;
    reply.metadata.checking_disabled = question.metadata.checking_disabled;
    // In the letters in which it was asked: some resolvers check that.
    reply.add_queries(question.queries.iter().cloned());
    let Some(asked) = &question.edns else { return Reply::unasked(reply) };
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    reply.set_edns(edns);
    Reply::of(reply, asked.max_payload())
}

/// What is at a name of DNS; `None` outside of the zone.
pub(super) fn place(name: &DnsName) -> Option<Place> {
    let mut labels: Vec<&[u8]> = name.iter().collect();
    let inside = labels.len().checked_sub(ZONE_LABELS.len())?;
    let zone = labels.split_off(inside);
    if !zone.iter().zip(ZONE_LABELS).all(|(label, own)| label.eq_ignore_ascii_case(own)) {
        return None;
    }
    let texts = labels.iter().rev().map(|label| std::str::from_utf8(label).map(str::to_ascii_lowercase));
    let Ok(texts) = texts.collect::<Result<Vec<String>, _>>() else { return Some(Place::Nowhere) };
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    Some(match &texts[..] {
        [] => Place::Zone,
        ["_tcp" | "_udp" | "svc"] => Place::Way,
        ["_tcp" | "_udp", service] => match service.strip_prefix('_') {
            Some(name) => offered(name, View::Places),
            None => Place::Nowhere,
        },
        ["svc", name] => offered(name, View::Hosts),
        ["svc", name, host] => {
            services::address(host).map_or(Place::Nowhere, |ip| offered(name, View::Host(ip)))
        }
        ["_tcp" | "_udp" | "svc", ..] => Place::Nowhere,
        [root, path @ ..] => named(root, path).map_or(Place::Nowhere, Place::Name),
    })
}

fn offered(name: &str, view: View) -> Place {
    name.parse().map_or(Place::Nowhere, |name| Place::Service(name, view))
}

/// The name with this root and these labels below it, from the top. A key goes before a petname that looks like one.
fn named(root: &str, path: &[&str]) -> Option<Name> {
    let root = match root.parse::<NameKey>() {
        Ok(key) => Root::Key(key),
        Err(_) => {
            check_label(root).ok()?;
            Root::Petname(root.to_owned())
        }
    };
    path.iter().all(|label| check_label(label).is_ok()).then_some(())?;
    let path = path.join("/");
    (path.len() <= PATH_MAX).then_some(Name { root, path })
}
