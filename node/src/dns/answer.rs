//! What DNS is told of what was found. Pure.

use std::net::IpAddr;

use chordage_api::types::{Resolved, TargetKind};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, HINFO, NS, SOA, TXT};
use hickory_proto::rr::{Name as DnsName, RData, Record, RecordType};

use super::ZONE;

/// Longest answer over UDP, bytes: what passes every usual path in one piece.
pub(super) const PAYLOAD: u16 = 1232;
/// Longest answer over UDP to those who do not say what they take, bytes.
const PAYLOAD_UNASKED: usize = 512;
/// For how many seconds it may be believed that something is not there: a name that was just published is to be found
/// soon.
pub(super) const NOTHING_TTL: u32 = 10;
/// For how many seconds what is not known to be still true may be used (RFC 8767).
pub(super) const STALE_TTL: u32 = 30;
/// The longest for which anything may be used, seconds (RFC 8767): a week.
const TTL_MAX: u32 = 7 * 24 * 3600;
/// The times in the SOA that are for secondary servers, of which there are none, seconds (RFC 6303).
const REFRESH: i32 = 3600;
const RETRY: i32 = 1200;
const EXPIRE: i32 = 604_800;
/// Most bytes of one string of a text.
pub(super) const STRING_MAX: usize = 255;

/// What is at a place.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Found {
    /// Whether there is such a place, be it only on the way to others.
    pub(super) exists: bool,
    /// What is there.
    pub(super) data: Vec<RData>,
    /// What those will ask next who are told that.
    pub(super) additionals: Vec<Record>,
    /// For how many seconds this may be used.
    pub(super) ttl: u32,
}

impl Found {
    /// There is no such place.
    pub(super) fn nothing() -> Self {
        Found { exists: false, data: Vec::new(), additionals: Vec::new(), ttl: NOTHING_TTL }
    }

    /// There is, and nothing is there.
    pub(super) fn empty() -> Self {
        Found { exists: true, ..Self::nothing() }
    }

    /// What a name stands for: its text, and its address if the text is one.
    pub(super) fn target(resolved: &Resolved) -> Self {
        let text = TXT::from_bytes(resolved.target.as_bytes().chunks(STRING_MAX).collect());
        let mut data = vec![RData::TXT(text)];
        let is_text = resolved.kind == TargetKind::Text;
        match resolved.target.parse::<IpAddr>() {
            Ok(IpAddr::V4(ip)) if is_text => data.push(RData::A(A(ip))),
            Ok(IpAddr::V6(ip)) if is_text => data.push(RData::AAAA(AAAA(ip))),
            _ => {}
        }
        let most = if resolved.stale { STALE_TTL } else { TTL_MAX };
        Found { data, ttl: resolved.ttl_seconds.min(most), ..Self::empty() }
    }

    /// What is there of the zone itself. The names are those of zones that nobody serves to the world (RFC 6303).
    pub(super) fn zone() -> Self {
        let data = vec![RData::SOA(soa()), RData::NS(NS(zone_name()))];
        Found { data, ..Self::empty() }
    }
}

fn zone_name() -> DnsName {
    DnsName::from_ascii(ZONE).unwrap_or_default()
}

fn soa() -> SOA {
    let nobody = DnsName::from_ascii("nobody.invalid.").unwrap_or_default();
    SOA::new(zone_name(), nobody, 1, REFRESH, RETRY, EXPIRE, NOTHING_TTL)
}

/// What is sent back, and how much of it.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    pub(super) message: Message,
    /// Most bytes of it over UDP.
    udp_limit: usize,
}

impl Reply {
    /// To somebody who takes so many bytes in a datagram.
    pub(super) fn of(message: Message, payload: u16) -> Self {
        Reply { message, udp_limit: usize::from(payload.min(PAYLOAD)).max(PAYLOAD_UNASKED) }
    }

    /// To somebody who has not said how many it takes.
    pub(super) fn unasked(message: Message) -> Self {
        Reply { message, udp_limit: PAYLOAD_UNASKED }
    }

    /// Says what was found.
    pub(super) fn complete(&mut self, found: &Found) {
        let Some(query) = self.message.queries.first().cloned() else { return };
        if !found.exists {
            self.message.metadata.response_code = ResponseCode::NXDomain;
        }
        let data: Vec<RData> = match query.query_type {
            // Nobody is served everything at once (RFC 8482).
            RecordType::ANY if !found.data.is_empty() => {
                vec![RData::HINFO(HINFO::new("RFC8482".to_owned(), String::new()))]
            }
            asked => found.data.iter().filter(|data| data.record_type() == asked).cloned().collect(),
        };
        if data.is_empty() {
            let ttl = found.ttl.min(NOTHING_TTL);
            self.message.add_authority(Record::from_rdata(zone_name(), ttl, RData::SOA(soa())));
        }
        if data.iter().any(|data| data.record_type() == RecordType::SRV) {
            self.message.add_additionals(found.additionals.iter().cloned());
        }
        let record = |data| Record::from_rdata(query.name.clone(), found.ttl, data);
        self.message.add_answers(data.into_iter().map(record));
    }

    /// Says that it cannot be found out now.
    pub(super) fn fail(&mut self) {
        self.message.metadata.response_code = ResponseCode::ServFail;
        self.message.metadata.authoritative = false;
    }

    /// For a datagram: without what nobody asked for, or even without what it says and marked as cut short, if it is
    /// too long.
    pub(super) fn for_udp(&self) -> Option<Vec<u8>> {
        let fits = |message: &Message| message.to_vec().ok().filter(|bytes| bytes.len() <= self.udp_limit);
        fits(&self.message)
            .or_else(|| {
                let mut bare = self.message.clone();
                bare.additionals.clear();
                fits(&bare)
            })
            .or_else(|| fits(&self.message.truncate()))
    }

    /// For a connection: its length, and all of it.
    pub(super) fn for_tcp(&self) -> Option<Vec<u8>> {
        let bytes = self.message.to_vec().ok()?;
        let length = u16::try_from(bytes.len()).ok()?;
        Some([&length.to_be_bytes(), &bytes[..]].concat())
    }
}
