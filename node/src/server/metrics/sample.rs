//! One reading of everything that is counted, as series.

use std::fmt;

use chordage_api::types::{
    DaemonRole, DaemonState, GatewayStatus, LeaseStatus, OverlayStatus, ReachState, RepairStatus, Status,
};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;

use super::Histogram;
use super::series::{Family, counter, counters, gauge, gauges, one_of};

/// What the daemon said of itself, and how long requests took, by what they were for.
#[derive(Debug)]
pub(super) struct Sample {
    pub(super) status: Status,
    pub(super) held: Vec<(&'static str, Histogram)>,
}

impl Collector for Sample {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Status { duties, overlay, gateways, .. } = &self.status;
        let parts = [
            safety(&duties.repair),
            repairs(&duties.repair),
            keeping(&duties.leases),
            peers(overlay),
            what_it_is(&self.status),
            disk(&self.status),
            moved(&self.status),
            mishaps(&self.status),
            ways_in(gateways),
        ];
        for family in parts.iter().flatten() {
            family.encode(&mut encoder)?;
        }
        let about = "Seconds from a request to the end of its answer, by what it is for.";
        let mut metric = encoder.encode_descriptor("request_seconds", about, None, MetricType::Histogram)?;
        for (kind, held) in &self.held {
            held.encode(metric.encode_family(&[("operation", *kind)])?)?;
        }
        Ok(())
    }
}

/// Whether what it looks after is safe.
fn safety(repair: &RepairStatus) -> Vec<Family> {
    let unsafe_ones = repair.degraded + repair.unreadable + repair.not_known_yet;
    vec![
        gauges(
            "chunks",
            "Chunks of which the daemon holds shards, by what the last round of surveys has found: whole, degraded (shards are missing), unreadable, or unknown.",
            "state",
            [
                ("whole", repair.chunks.saturating_sub(unsafe_ones)),
                ("degraded", repair.degraded),
                ("unreadable", repair.unreadable),
                ("unknown", repair.not_known_yet),
            ],
        ),
        gauge(
            "chunks_at_risk",
            "Those of them of which more than half of the shards that they can spare are not on live daemons.",
            repair.at_risk,
        ),
        gauge(
            "chunks_homeless",
            "Those of them that no daemon near them has room for a shard of.",
            repair.homeless,
        ),
        counter("survey_rounds", "Rounds of surveys that were finished.", repair.rounds),
        counters(
            "audits",
            "Proofs of shards that others were asked for, by how they ended.",
            "result",
            [
                ("passed", repair.audits_passed),
                ("failed", repair.audits_failed),
                ("unanswered", repair.audits_unanswered),
            ],
        ),
        gauge(
            "distrusted_peers",
            "Daemons that failed too many audits for their word to count.",
            repair.distrusted,
        ),
    ]
}

/// What it does about it.
fn repairs(repair: &RepairStatus) -> Vec<Family> {
    let held_back: u64 = repair.held_back.iter().map(|held_back| held_back.chunks).sum();
    vec![
        gauges(
            "repairs_queued",
            "Repairs that wait, by how pressing they are.",
            "lane",
            [("urgent", repair.queued_urgent), ("other", repair.queued.saturating_sub(repair.queued_urgent))],
        ),
        gauge("repairs_running", "Repairs under way.", repair.running),
        gauge("repairs_held_back", "Chunks whose repair did not succeed when it was tried last.", held_back),
        gauge(
            "repair_brake",
            "1 while only urgent repairs run, because many neighbours vanished at once.",
            repair.brake_seconds_left.is_some(),
        ),
        counters(
            "repairs",
            "Repairs, by how they ended.",
            "result",
            [("done", repair.repaired_chunks), ("failed", repair.failed)],
        ),
        counter("repaired_shards", "Shards that were made again and placed.", repair.repaired_shards),
        counters(
            "repair_bytes",
            "Bytes of shards that repairs have moved.",
            "direction",
            [("fetched", repair.fetched_bytes), ("sent", repair.sent_bytes)],
        ),
        gauge(
            "repair_budget_bytes_per_second",
            "Bytes per second that repairs may move on average.",
            repair.budget_bytes_per_second,
        ),
    ]
}

/// What it keeps in the network, and others have it keep.
fn keeping(leases: &LeaseStatus) -> Vec<Family> {
    vec![
        gauge("kept_objects", "Objects that the daemon keeps in the network.", leases.kept_objects),
        gauge("kept_chunks", "Chunks that these consist of.", leases.kept_chunks),
        gauge(
            "kept_chunks_unrenewed",
            "Of the chunks renewed last, those of which no holder showed a shard.",
            leases.unrenewed_chunks,
        ),
        gauge("claims", "Claims of others on chunks of which it holds shards.", leases.claims),
        gauge(
            "freeing_chunks",
            "Chunks that nobody needs any more and whose shards are about to be freed.",
            leases.freeing_chunks,
        ),
        counter("freed_shards", "Shards that were freed.", leases.freed_shards),
        counter("freed_bytes", "Bytes of shards that were freed.", leases.freed_bytes),
    ]
}

/// Whom it knows and is connected with.
fn peers(overlay: &OverlayStatus) -> Vec<Family> {
    vec![
        gauge("network_nodes", "Daemons in the network, counted or estimated.", overlay.network_nodes),
        gauge("leaf_set_nodes", "Neighbours on the ring.", overlay.leaf_set),
        gauge("fingers", "Entries of the finger table.", overlay.fingers),
        gauges(
            "connections",
            "Connected peers: warm ones are kept, cold ones close when they are idle.",
            "kind",
            [("warm", overlay.connections_warm), ("cold", overlay.connections_cold)],
        ),
        gauge(
            "connections_relayed",
            "Peers with which it speaks through relays only.",
            overlay.connections_relayed,
        ),
        gauge("connections_max", "Most peers that may be connected.", overlay.connections_max),
    ]
}

/// What it is in its network.
fn what_it_is(status: &Status) -> Vec<Family> {
    let membership = &status.membership;
    let (state, role, reach) = (membership.state, membership.role, membership.reachability.state);
    let states = [
        ("joining", DaemonState::Joining),
        ("joined", DaemonState::Joined),
        ("draining", DaemonState::Draining),
        ("leaving", DaemonState::Leaving),
    ];
    let roles = [("member", DaemonRole::Member), ("client", DaemonRole::Client)];
    let reached = [
        ("unknown", ReachState::Unknown),
        ("direct", ReachState::Direct),
        ("mapped", ReachState::Mapped),
        ("relayed", ReachState::Relayed),
        ("none", ReachState::None),
    ];
    let relaying = membership.relaying.unwrap_or_default();
    vec![
        one_of(
            "state",
            "How far the daemon is with its network: 1 for what it is.",
            "state",
            states.map(|(word, one)| (word, one == state)),
        ),
        one_of(
            "role",
            "What the daemon is to others: 1 for what it is.",
            "role",
            roles.map(|(word, one)| (word, one == role)),
        ),
        one_of(
            "reachability",
            "How others reach the daemon: 1 for what holds.",
            "state",
            reached.map(|(word, one)| (word, one == reach)),
        ),
        gauge("relay_reservations", "Daemons that can be asked for through this one.", relaying.reservations),
        gauge("relay_circuits", "Connections of others that go through this daemon.", relaying.circuits),
        counters(
            "holes",
            "Attempts to make a direct connection out of one through a relay.",
            "result",
            [
                ("dug", membership.holes.dug),
                ("failed", membership.holes.tried.saturating_sub(membership.holes.dug)),
            ],
        ),
        gauge("uptime_seconds", "Seconds since the daemon started.", membership.uptime_seconds),
        one_of("build_info", "The version of the program.", "version", [(env!("CARGO_PKG_VERSION"), true)]),
        counter("cpu_seconds", "Processor time that the daemon has used.", status.process.cpu_seconds),
        gauge("resident_memory_bytes", "Memory that the daemon occupies.", status.process.rss_bytes),
    ]
}

/// What lies on its disk.
fn disk(status: &Status) -> Vec<Family> {
    let (store, scrub) = (&status.store, &status.duties.scrub);
    vec![
        gauge("store_shards", "Shards that the daemon holds.", store.shards),
        gauge("store_payload_bytes", "Bytes of these.", store.stored_bytes),
        gauge("store_disk_bytes", "Bytes that the files of the store occupy.", store.disk_bytes),
        gauge(
            "store_quota_bytes",
            "Most bytes that they may occupy, or that the disk has room for.",
            store.quota_bytes,
        ),
        counter(
            "store_syncs",
            "Times that files of the store were made durable.",
            status.transfers.store_syncs,
        ),
        gauge(
            "disk_problem",
            "1 while something is wrong with the disk.",
            status.damage.disk_problem.is_some(),
        ),
        counter(
            "damaged_shards",
            "Shards that were found damaged on this disk.",
            status.damage.damaged_shards,
        ),
        gauge(
            "unmended_shards",
            "Shards that were damaged or lost on this disk and that nobody is known to hold in their place.",
            status.damage.unmended_shards,
        ),
        gauge("scrub_shards", "Shards that this pass has read against their hashes.", scrub.shards),
        counter("scrub_passes", "Passes over all shards that have ended.", scrub.passes),
    ]
}

/// What it has moved.
fn moved(status: &Status) -> Vec<Family> {
    let (reads, traffic) = (&status.transfers.reads, &status.transfers.traffic);
    vec![
        counters(
            "shard_bytes",
            "Bytes of shards and their descriptors between daemons.",
            "direction",
            [("sent", traffic.sent_bytes), ("received", traffic.received_bytes)],
        ),
        counter("read_lookups", "Times that holders were looked for by reads.", reads.lookups),
        counter("read_chunks", "Chunks that reads have fetched and decoded.", reads.chunks),
        counters(
            "read_shards",
            "Answers to reads that asked a holder for a shard: late ones came after another holder was asked, false ones did not match their hashes.",
            "result",
            [
                ("good", reads.shards.saturating_sub(reads.false_shards)),
                ("false", reads.false_shards),
                ("missing", reads.shards_asked.saturating_sub(reads.shards)),
            ],
        ),
        counter(
            "read_shards_late",
            "Shards that were so late that another holder was asked as well.",
            reads.late,
        ),
        gauge(
            "puts_wait_for_peers",
            "Daemons that keep puts waiting.",
            status.puts.puts_wait_for.len() as u64,
        ),
    ]
}

/// What went wrong with the daemon itself.
fn mishaps(status: &Status) -> Vec<Family> {
    let restarts: u64 = status.mishaps.restarted_tasks.iter().map(|task| task.restarts).sum();
    vec![
        counter("task_restarts", "Tasks in the background that panicked and were started again.", restarts),
        counter(
            "lost_log_lines",
            "Lines of the log that could not be written.",
            status.mishaps.lost_log_lines,
        ),
        gauge(
            "damaged_at_start",
            "Parts of the data directory that were damaged or missing when the daemon started.",
            status.mishaps.found_at_start.len() as u64,
        ),
    ]
}

/// Ways in beside the API. Those that nobody asked for count nothing.
fn ways_in(gateways: &GatewayStatus) -> Vec<Family> {
    let restic = gateways.restic.clone().unwrap_or_default();
    let webdav = gateways.webdav.clone().unwrap_or_default();
    let web = gateways.web.clone().unwrap_or_default();
    let dns = gateways.dns.clone().unwrap_or_default();
    vec![
        counters(
            "gateway_requests",
            "Requests, by the way they came in.",
            "gateway",
            [
                ("dns", dns.questions),
                ("restic", restic.requests),
                ("web", web.requests),
                ("webdav", webdav.requests),
            ],
        ),
        counters(
            "gateway_failures",
            "Requests that failed for a reason that is not the client's.",
            "gateway",
            [("dns", dns.failed), ("restic", restic.failed), ("web", web.failed), ("webdav", webdav.failed)],
        ),
        counters(
            "gateway_refusals",
            "Requests of clients that may not do that, or are not who they say.",
            "gateway",
            [("restic", restic.refused), ("web", web.refused), ("webdav", webdav.refused)],
        ),
        counters(
            "gateway_turned_away",
            "Connections that got no place because there were too many at a time.",
            "gateway",
            [
                ("dns", dns.turned_away),
                ("restic", restic.turned_away),
                ("web", web.turned_away),
                ("webdav", webdav.turned_away),
            ],
        ),
        counters(
            "gateway_uploaded_bytes",
            "Bytes of files taken in.",
            "gateway",
            [
                ("restic", restic.uploaded_bytes),
                ("web", web.uploaded_bytes),
                ("webdav", webdav.uploaded_bytes),
            ],
        ),
        counters(
            "gateway_downloaded_bytes",
            "Bytes of files given out.",
            "gateway",
            [
                ("restic", restic.downloaded_bytes),
                ("web", web.downloaded_bytes),
                ("webdav", webdav.downloaded_bytes),
            ],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::durations;
    use super::super::format::Format;
    use super::*;

    fn sample(status: &str) -> Sample {
        let held = durations();
        held.observe(0.3);
        Sample { status: serde_json::from_str(status).expect("a status"), held: vec![("put", held)] }
    }

    fn names(text: &str) -> BTreeSet<&str> {
        let series = text.lines().filter(|line| !line.starts_with('#'));
        series.filter_map(|line| line.rsplit_once(' ').map(|(name, _)| name)).collect()
    }

    /// What a daemon says that has just started, and one that has seen everything.
    const FRESH: &str = include_str!("../../../api/tests/golden/status_bare.json");
    const BUSY: &str = include_str!("../../../api/tests/golden/status.json");

    #[test]
    fn there_are_the_same_series_from_the_start() {
        let texts = [FRESH, BUSY].map(|status| Format::Prometheus.text(sample(status)));
        assert_eq!(names(&texts[0]), names(&texts[1]));
        assert!(names(&texts[0]).len() > 100);
    }

    #[test]
    fn series_are_named_as_prometheus_asks_for_it() {
        let text = Format::Prometheus.text(sample(FRESH));
        let mut described = BTreeSet::new();
        for line in text.lines() {
            let words: Vec<&str> = line.splitn(4, ' ').collect();
            match words[..] {
                ["#", "HELP", name, about] => {
                    assert!(described.insert(name), "{name} twice");
                    assert!(about.ends_with('.') && !about.ends_with(".."), "{line}");
                }
                ["#", "TYPE", name, kind] => {
                    assert_eq!(kind == "counter", name.ends_with("_total"), "{line}");
                }
                _ => assert!(line.starts_with("chordage_"), "{line}"),
            }
        }
        assert!(
            text.contains("\nchordage_request_seconds_bucket{le=\"0.5\",operation=\"put\"} 1\n"),
            "{text}"
        );
        assert!(
            text.contains("\nchordage_request_seconds_bucket{le=\"0.25\",operation=\"put\"} 0\n"),
            "{text}"
        );
    }
}
