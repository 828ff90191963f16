//! What is said about the network.

use chordage_api::types::{
    Check, CheckName, CheckState, Diagnosis, MemberRole, MemberState, MemberStatus, PeerStatus, RowStatus,
    Side, SuperPeerStatus, TraceHop, TraceReport,
};

use super::{Comparison, assert_reads_with_more, id};

pub(super) fn check(comparison: &mut Comparison) {
    comparison.check("peer", &peer());
    comparison.check("peer_bare", &PeerStatus { addrs: Vec::new(), row: None, rtt_ms: None, ..peer() });
    comparison.check("member", &member());
    let bare = MemberStatus { zone: None, gone_seconds: None, rtt_ms: None, score: None, ..member() };
    comparison.check("member_bare", &bare);
    comparison.check("super_peer", &super_peer());
    let bare = SuperPeerStatus { rtt_ms: None, score: None, ..super_peer() };
    comparison.check("super_peer_bare", &bare);
    comparison.check("diagnosis", &diagnosis());
    comparison.check("trace", &trace());
    let hop = TraceHop { rtt_ms: None, named_by: None, ..hop() };
    comparison.check("trace_bare", &TraceReport { hops: vec![hop], ..trace() });
}

fn diagnosis() -> Diagnosis {
    let clock = Check {
        check: CheckName::Clock,
        state: CheckState::Fault,
        found: "400.0 s ahead of those of others".to_owned(),
        remedy: Some("set the clock".to_owned()),
        seconds: Some(400.0),
    };
    let disk =
        Check { check: CheckName::Disk, state: CheckState::Ok, remedy: None, seconds: None, ..clock.clone() };
    Diagnosis { checks: vec![clock, disk] }
}

fn peer() -> PeerStatus {
    PeerStatus {
        id: id('a'),
        peer_id: "12D3KooWPeer".to_owned(),
        addrs: vec!["/ip4/192.0.2.1/tcp/4001".to_owned(), "/ip6/2001:db8::1/udp/4001/quic-v1".to_owned()],
        connected: true,
        warm: true,
        leaf: true,
        finger: true,
        row: Some(RowStatus {
            direction: Side::Clockwise,
            level: 127,
            digit: 3,
            first: id('1'),
            last: id('2'),
        }),
        rtt_ms: Some(1.25),
        distance_bits: 255,
    }
}

fn member() -> MemberStatus {
    MemberStatus {
        id: id('a'),
        peer_id: "12D3KooWPeer".to_owned(),
        state: MemberState::Left,
        role: MemberRole::SuperPeer,
        zone: Some("rack-1".to_owned()),
        incarnation: 17,
        age_seconds: 100.5,
        gone_seconds: Some(2.5),
        rtt_ms: Some(1.25),
        score: Some(0.75),
        is_self: false,
        leaf: true,
    }
}

fn super_peer() -> SuperPeerStatus {
    SuperPeerStatus {
        id: id('a'),
        peer_id: "12D3KooWPeer".to_owned(),
        state: MemberState::Alive,
        age_seconds: 100.5,
        seat_ends_seconds: 14_400,
        rtt_ms: Some(1.25),
        score: Some(0.75),
        is_self: true,
    }
}

fn hop() -> TraceHop {
    TraceHop {
        id: id('b'),
        peer_id: "12D3KooWHop".to_owned(),
        rtt_ms: Some(1.25),
        distance_bits: 250,
        depth: 2,
        named_by: Some(id('d')),
    }
}

fn trace() -> TraceReport {
    TraceReport {
        key: id('c'),
        owner: id('a'),
        owner_is_self: false,
        hops: vec![hop()],
        depth: 2,
        messages: 5,
        seconds: 0.125,
    }
}

#[test]
fn answers_of_newer_daemons_are_read() {
    assert_reads_with_more::<PeerStatus>(&peer());
    assert_reads_with_more::<MemberStatus>(&member());
    assert_reads_with_more::<SuperPeerStatus>(&super_peer());
    assert_reads_with_more::<TraceReport>(&trace());
}
