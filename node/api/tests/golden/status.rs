//! What a daemon says of itself.

use chordage_api::types::{
    DaemonRole, DaemonState, DamageStatus, DnsStatus, DrainStatus, DutyStatus, FoundAtStart, GatewayStatus,
    HeldBackReason, HeldBackRepairs, HolesStatus, IdentityStatus, LanStatus, LeaseStatus, MembershipStatus,
    MishapStatus, NatKind, OverlayStatus, ProcessStatus, PutStatus, ReachState, ReachabilityStatus,
    ReadTotals, RelayingStatus, RepairStatus, RestartedTask, ResticStatus, ScrubStatus, StartState,
    StartedWith, Status, StoreStatus, Traffic, TransferStatus, TwinStatus, WaitedFor, WebStatus,
    WebdavStatus,
};

use super::{Comparison, assert_reads_with_more, assert_reads_without, id};

pub(super) fn check(comparison: &mut Comparison) {
    comparison.check("status", &status());
    comparison.check("status_bare", &bare_status());
    comparison.check("repair", &repair());
    comparison
        .check("repair_bare", &RepairStatus { brake_seconds_left: None, held_back: Vec::new(), ..repair() });
    comparison.check("drain", &drain());
    comparison.check("scrub", &scrub());
    comparison.check("scrub_bare", &ScrubStatus { last_end_seconds_ago: None, ..scrub() });
    comparison.check("leases", &leases());
    comparison.check("twin", &twin());
}

fn lan() -> LanStatus {
    LanStatus {
        found: 175,
        met: 176,
        other_networks: 177,
        problem: Some("nobody takes multicast".to_owned()),
    }
}

fn twin() -> TwinStatus {
    TwinStatus {
        addresses: vec!["/ip4/192.0.2.1/tcp/4001".to_owned()],
        since: 1_700_000_000,
        has_place: true,
        message: "a second daemon has this key; stop one of them".to_owned(),
    }
}

fn repair() -> RepairStatus {
    RepairStatus {
        enabled: true,
        chunks: 101,
        degraded: 102,
        unreadable: 103,
        at_risk: 3,
        not_known_yet: 104,
        homeless: 105,
        rounds: 106,
        queued: 107,
        queued_urgent: 108,
        running: 109,
        repaired_chunks: 110,
        repaired_shards: 111,
        failed: 112,
        held_back: vec![HeldBackRepairs { why: HeldBackReason::NoPlace, chunks: 176 }],
        fetched_bytes: 113,
        sent_bytes: 114,
        needed_bytes: 115,
        budget_bytes_per_second: 116,
        budget_level_bytes: -117,
        audits_passed: 118,
        audits_failed: 119,
        audits_unanswered: 120,
        distrusted: 121,
        brake_seconds_left: Some(122.5),
    }
}

fn drain() -> DrainStatus {
    DrainStatus { shards: 123, covered: 124, handed: 125, sent_bytes: 126, homeless: 127, done: true }
}

fn scrub() -> ScrubStatus {
    ScrubStatus {
        period_seconds: 128,
        hurried: true,
        shards: 129,
        bytes: 130,
        damaged: 131,
        passes: 132,
        last_end_seconds_ago: Some(133),
    }
}

fn leases() -> LeaseStatus {
    LeaseStatus {
        claims: 134,
        nobodys_claims: 135,
        freeing_chunks: 136,
        freeing_bytes: 137,
        freed_shards: 138,
        freed_bytes: 139,
        expire: true,
        kept_objects: 140,
        kept_chunks: 141,
        unrenewed_chunks: 142,
    }
}

fn status() -> Status {
    Status {
        identity: IdentityStatus {
            id: id('a'),
            peer_id: "12D3KooWSelf".to_owned(),
            version: "0.1.0".to_owned(),
            pid: 143,
        },
        membership: MembershipStatus {
            state: DaemonState::Draining,
            role: DaemonRole::Member,
            reachability: ReachabilityStatus {
                state: ReachState::Mapped,
                since: 1_796_000_000,
                reason: "3 of 3 daemons that tried got through".to_owned(),
                nat: NatKind::Nat,
                addresses: vec!["/ip4/203.0.113.5/tcp/4700".to_owned()],
                relays: vec!["12D3KooWRelay".to_owned()],
            },
            relaying: Some(RelayingStatus {
                reservations: 154,
                reservations_max: 155,
                circuits: 156,
                circuits_max: 157,
                circuits_opened: 158,
                refused: 159,
                circuit_bytes_max: 160,
                circuit_seconds_max: 161,
            }),
            holes: HolesStatus { tried: 163, dug: 162 },
            zone: Some("rack-1".to_owned()),
            join_problem: Some("nobody answers at the addresses of --bootstrap".to_owned()),
            twin: Some(twin()),
            lan: Some(lan()),
            listen: vec!["/ip4/127.0.0.1/tcp/4001/p2p/12D3KooWSelf".to_owned()],
            metric: "ring".to_owned(),
            uptime_seconds: 144.5,
        },
        overlay: OverlayStatus {
            network_nodes: 145,
            network_nodes_exact: true,
            leaf_set: 146,
            members_listed: 147,
            fingers: 148,
            connections: 149,
            connections_warm: 150,
            connections_cold: 151,
            connections_strangers: 152,
            connections_max: 153,
            connections_relayed: 7,
            dialling: 154,
        },
        store: StoreStatus { shards: 155, stored_bytes: 156, disk_bytes: 157, quota_bytes: 158 },
        process: ProcessStatus { rss_bytes: 159, rss_peak_bytes: 160, cpu_seconds: 161.5 },
        damage: DamageStatus {
            disk_problem: Some("the disk is full".to_owned()),
            damaged_shards: 162,
            unmended_shards: 163,
        },
        mishaps: MishapStatus {
            found_at_start: vec![FoundAtStart {
                what: StartedWith::Index,
                state: StartState::Damaged,
                message: "it was made again".to_owned(),
            }],
            lost_log_lines: 164,
            restarted_tasks: vec![RestartedTask {
                name: "scrub".to_owned(),
                restarts: 2,
                last_reason: "index out of bounds".to_owned(),
            }],
        },
        puts: PutStatus {
            puts_wait_for: vec![WaitedFor { id: id('b'), seconds: 3 }],
            default_redundancy: "4/10".to_owned(),
        },
        duties: DutyStatus { repair: repair(), drain: Some(drain()), scrub: scrub(), leases: leases() },
        transfers: TransferStatus {
            reads: ReadTotals {
                lookups: 165,
                chunks: 166,
                shards_asked: 167,
                shards: 168,
                shard_bytes: 169,
                late: 170,
                false_shards: 171,
            },
            traffic: Traffic { sent_bytes: 172, received_bytes: 173 },
            store_syncs: 174,
        },
        gateways: GatewayStatus {
            dns: Some(DnsStatus {
                listen: "127.0.0.1:5354".to_owned(),
                zone: "chord.alt".to_owned(),
                questions: 175,
                stale: 176,
                failed: 177,
                turned_away: 178,
            }),
            restic: Some(ResticStatus {
                listen: "127.0.0.1:8017".to_owned(),
                append_only: true,
                users: Some(179),
                requests: 180,
                failed: 181,
                refused: 182,
                turned_away: 183,
                uploaded_bytes: 184,
                downloaded_bytes: 185,
                last_problem: Some("two of nine answered".to_owned()),
            }),
            webdav: Some(WebdavStatus {
                listen: "127.0.0.1:8019".to_owned(),
                volume: "webdav".to_owned(),
                users: Some(186),
                requests: 187,
                failed: 188,
                refused: 189,
                turned_away: 190,
                uploaded_bytes: 191,
                downloaded_bytes: 192,
                last_problem: Some("three of nine answered".to_owned()),
            }),
            web: Some(WebStatus {
                listen: "127.0.0.1:8020".to_owned(),
                users: Some(170),
                requests: 171,
                failed: 172,
                refused: 173,
                turned_away: 174,
                uploaded_bytes: 175,
                downloaded_bytes: 176,
                last_problem: Some("the daemon has been silent for 60 seconds".to_owned()),
            }),
        },
    }
}

fn bare_status() -> Status {
    let Status { membership, damage, puts, duties, .. } = status();
    Status {
        membership: MembershipStatus {
            relaying: None,
            zone: None,
            join_problem: None,
            twin: None,
            lan: None,
            ..membership
        },
        damage: DamageStatus { disk_problem: None, ..damage },
        mishaps: MishapStatus { found_at_start: Vec::new(), lost_log_lines: 0, restarted_tasks: Vec::new() },
        puts: PutStatus { puts_wait_for: Vec::new(), ..puts },
        duties: DutyStatus {
            repair: RepairStatus { brake_seconds_left: None, held_back: Vec::new(), ..repair() },
            drain: None,
            scrub: ScrubStatus { last_end_seconds_ago: None, ..scrub() },
            ..duties
        },
        gateways: GatewayStatus { dns: None, restic: None, webdav: None, web: None },
        ..status()
    }
}

#[test]
fn answers_of_older_and_newer_daemons_are_read() {
    let since = [
        "role",
        "reachability",
        "holes",
        "members_listed",
        "disk_bytes",
        "unmended_shards",
        "found_at_start",
        "lost_log_lines",
        "restarted_tasks",
        "puts_wait_for",
        "leases",
        "reads",
        "traffic",
        "store_syncs",
        "gateways",
    ];
    assert_reads_without::<Status>(&status(), &since);
    assert_reads_without::<RepairStatus>(&repair(), &["at_risk", "not_known_yet", "held_back"]);
    assert_reads_with_more::<Status>(&status());
}
