//! `chordage status`.

mod watch;

use std::time::Duration;

use chordage_api::types::{
    DaemonRole, DnsStatus, HeldBackReason, HeldBackRepairs, HolesStatus, LanStatus, LeaseStatus,
    MembershipStatus, ReachState, ReachabilityStatus, RelayingStatus, RepairStatus, ResticStatus, Status,
    WebStatus, WebdavStatus,
};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::printer::Printer;

/// Say how the daemon is
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage status
  chordage status --watch                        until Ctrl-C
  chordage status --json | jq -r '.listen[]'     what others give to --bootstrap")]
pub(crate) struct StatusArgs {
    /// Show it again every SECONDS, in its place on a terminal and block after block elsewhere, with --json as one
    /// object per line, until it is interrupted. A daemon that ends meanwhile is waited for [default: 2]
    #[arg(
        long,
        value_name = "SECONDS",
        num_args = 0..=1,
        default_missing_value = "2",
        value_parser = clap::value_parser!(u32).range(1..=86_400)
    )]
    watch: Option<u32>,
}

/// Runs the command.
pub(crate) async fn run(
    args: StatusArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    if let Some(seconds) = args.watch {
        return Err(watch::run(Duration::from_secs(seconds.into()), global, printer).await);
    }
    let status = connect::client(global)?.status().await?;
    if printer.is_json() {
        printer.json(&status)?;
    } else {
        for line in describe(&status).lines() {
            printer.fact(line)?;
        }
    }
    Ok(ExitStatus::Success)
}

fn describe(status: &Status) -> String {
    let about = if status.overlay.network_nodes_exact { "" } else { "about " };
    let mut lines = vec![
        format!("state      {}, for {}", state(status), human::seconds(status.membership.uptime_seconds)),
        format!("id         {}", status.identity.id),
        format!(
            "network    {about}{}, metric {}; a put gets {} unless told otherwise",
            human::count(status.overlay.network_nodes, "node", "nodes"),
            status.membership.metric,
            status.puts.default_redundancy
        ),
        format!(
            "peers      {} connected, {} in the leaf set, {} fingers, {} listed as members",
            status.overlay.connections,
            status.overlay.leaf_set,
            status.overlay.fingers,
            status.overlay.members_listed
        ),
        format!(
            "connected  {} kept warm, {} cold, {} from strangers; {} at most",
            status.overlay.connections_warm,
            status.overlay.connections_cold,
            status.overlay.connections_strangers,
            status.overlay.connections_max
        ),
        holds(status),
        format!(
            "process    {} (version {}), {} memory, {} at most, {} CPU",
            status.identity.pid,
            status.identity.version,
            human::bytes(status.process.rss_bytes),
            human::bytes(status.process.rss_peak_bytes),
            human::seconds(status.process.cpu_seconds)
        ),
    ];
    if let Some(zone) = &status.membership.zone {
        lines.insert(1, format!("zone       {zone}: what this daemon fails together with"));
    }
    if let Some(problem) = &status.membership.join_problem {
        lines.insert(1, format!("problem    {problem}"));
    }
    if let Some(twin) = &status.membership.twin {
        lines.insert(1, format!("problem    {}", twin.message));
    }
    if let Some(problem) = &status.damage.disk_problem {
        lines.insert(1, format!("problem    {problem}"));
    }
    lines.extend(describe_ways(&status.membership));
    lines.extend(damaged(status));
    lines.extend(
        status.duties.drain.iter().map(|drain| format!("draining   {}", super::drain::describe(drain))),
    );
    lines.extend(status.mishaps.found_at_start.iter().map(|found| format!("at start   {}", found.message)));
    if status.mishaps.lost_log_lines > 0 {
        lines.push(format!(
            "log        {} could not be written: the disk, or whoever reads its standard error, does not take them",
            human::count(status.mishaps.lost_log_lines, "line", "lines")
        ));
    }
    lines.extend(status.mishaps.restarted_tasks.iter().map(|task| {
        format!(
            "tasks      {} was started again {}, the last time because {}",
            task.name,
            human::count(task.restarts, "time", "times"),
            task.last_reason
        )
    }));
    lines.extend(status.puts.puts_wait_for.iter().map(|waited| {
        format!("puts wait  for {}, which has not acknowledged a shard for {} s", waited.id, waited.seconds)
    }));
    let is_member = status.membership.role != DaemonRole::Client;
    lines.extend(is_member.then(|| describe_repair(&status.duties.repair)));
    lines.push(describe_leases(&status.duties.leases));
    lines.extend(status.gateways.dns.iter().map(describe_dns));
    lines.extend(status.gateways.restic.iter().map(describe_restic));
    lines.extend(status.gateways.webdav.iter().map(describe_webdav));
    lines.extend(status.gateways.web.iter().map(describe_web));
    lines.extend(status.membership.listen.iter().map(|address| format!("listens    {address}")));
    lines.join("\n")
}

/// How others reach it, and how it helps them to reach each other.
fn describe_ways(membership: &MembershipStatus) -> Vec<String> {
    let mut lines = vec![format!("reached    {}", describe_reachability(&membership.reachability))];
    lines.extend(membership.relaying.iter().map(describe_relaying));
    lines.extend(describe_holes(&membership.holes));
    lines.extend(membership.lan.iter().map(describe_lan));
    lines
}

fn describe_relaying(relaying: &RelayingStatus) -> String {
    format!(
        "relays     for {} of at most {}; {} of at most {} connections of others go through here, {} since the start, {} refused; \
         each ends after {} or {}",
        human::count(relaying.reservations, "daemon", "daemons"),
        relaying.reservations_max,
        relaying.circuits,
        relaying.circuits_max,
        relaying.circuits_opened,
        relaying.refused,
        human::bytes(relaying.circuit_bytes_max),
        human::seconds(relaying.circuit_seconds_max as f64)
    )
}

/// How often a direct connection came of one through a relay, if there was one.
fn describe_holes(holes: &HolesStatus) -> Option<String> {
    (holes.tried > 0).then(|| {
        format!(
            "holes      {} of {} through relays became direct (hole punching)",
            holes.dug,
            human::count(holes.tried, "connection", "connections")
        )
    })
}

fn describe_reachability(reachability: &ReachabilityStatus) -> String {
    let by = match reachability.state {
        ReachState::Unknown => "not known yet",
        ReachState::Direct => "directly",
        ReachState::Mapped => "through its router",
        ReachState::Relayed => "through other daemons",
        ReachState::None => "not at all",
        ReachState::Other => "by a way that this version does not know",
    };
    format!("{by}: {}", reachability.reason)
}

fn describe_dns(dns: &DnsStatus) -> String {
    let mut line = format!(
        "dns        answers for {} at {}, {} until now",
        dns.zone,
        dns.listen,
        human::count(dns.questions, "question", "questions")
    );
    let counts = [
        (dns.stale, "answered with what was known before"),
        (dns.failed, "not answered in time"),
        (dns.turned_away, "too many at a time"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {what}"));
    }
    line
}

fn describe_restic(restic: &ResticStatus) -> String {
    let whom = match restic.users {
        None => "everybody on this machine".to_owned(),
        Some(count) => human::count(count, "user", "users"),
    };
    let mut line = format!(
        "restic     serves {whom}{} at rest:http://{}/, {} until now, {} taken in, {} given out",
        if restic.append_only { ", who can delete nothing," } else { "" },
        restic.listen,
        human::count(restic.requests, "request", "requests"),
        human::bytes(restic.uploaded_bytes),
        human::bytes(restic.downloaded_bytes)
    );
    let counts = [
        (restic.failed, "failed"),
        (restic.refused, "refused"),
        (restic.turned_away, "connections too many at a time"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {what}"));
    }
    if let Some(problem) = &restic.last_problem {
        line.push_str(&format!("; the last problem: {problem}"));
    }
    line
}

fn describe_webdav(webdav: &WebdavStatus) -> String {
    let whom = match webdav.users {
        None => "everybody on this machine".to_owned(),
        Some(count) => human::count(count, "user", "users"),
    };
    let mut line = format!(
        "webdav     shows {whom} the files of the volume {} at http://{}/, {} until now, {} taken in, {} given out",
        webdav.volume,
        webdav.listen,
        human::count(webdav.requests, "request", "requests"),
        human::bytes(webdav.uploaded_bytes),
        human::bytes(webdav.downloaded_bytes)
    );
    let counts = [
        (webdav.failed, "failed"),
        (webdav.refused, "refused"),
        (webdav.turned_away, "connections too many at a time"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {what}"));
    }
    if let Some(problem) = &webdav.last_problem {
        line.push_str(&format!("; the last problem: {problem}"));
    }
    line
}

fn describe_web(web: &WebStatus) -> String {
    let whom = match web.users {
        None => "everybody on this machine".to_owned(),
        Some(count) => human::count(count, "user", "users"),
    };
    let mut line = format!(
        "gateway    shows {whom} links and names at http://{}/, {} until now, {} taken in, {} given out",
        web.listen,
        human::count(web.requests, "request", "requests"),
        human::bytes(web.uploaded_bytes),
        human::bytes(web.downloaded_bytes)
    );
    let counts = [
        (web.failed, "failed"),
        (web.refused, "refused"),
        (web.turned_away, "connections too many at a time"),
    ];
    for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
        line.push_str(&format!(", {count} {what}"));
    }
    if let Some(problem) = &web.last_problem {
        line.push_str(&format!("; the last problem: {problem}"));
    }
    line
}

fn describe_lan(lan: &LanStatus) -> String {
    let mut line =
        format!("LAN        {} of this network found", human::count(lan.found, "daemon", "daemons"));
    if lan.found > 0 {
        line.push_str(&format!(", {} met", lan.met));
    }
    if lan.other_networks > 0 {
        line.push_str(&format!("; {} of other networks ignored", lan.other_networks));
    }
    if let Some(problem) = &lan.problem {
        line.push_str(&format!("; problem: {problem}"));
    }
    line
}

fn damaged(status: &Status) -> Option<String> {
    let found = human::count(status.damage.damaged_shards, "shard", "shards");
    match (status.damage.damaged_shards, status.damage.unmended_shards) {
        (0, 0) => None,
        (_, 0) => Some(format!("damaged    {found} found on this disk since it started; all were made good")),
        (_, missing) => Some(format!(
            "damaged    {found} found on this disk since it started; {} not made good yet",
            human::count(missing, "shard is", "shards are")
        )),
    }
}

fn holds(status: &Status) -> String {
    let (stored, shards) =
        (human::bytes(status.store.stored_bytes), human::count(status.store.shards, "shard", "shards"));
    match (status.membership.role, status.store.shards) {
        (DaemonRole::Client, 0) => {
            "holds      nothing: a client only stores and fetches, and repairs nothing".to_owned()
        }
        (DaemonRole::Client, _) => format!(
            "holds      {stored} in {shards} of its time as a member, of no use to others: drain it as a member first"
        ),
        _ => format!(
            "holds      {stored} in {shards}; its files take {} of {}",
            human::bytes(status.store.disk_bytes),
            human::bytes(status.store.quota_bytes)
        ),
    }
}

fn state(status: &Status) -> String {
    if status.membership.role == DaemonRole::Client {
        format!("{} as a client", status.membership.state)
    } else {
        status.membership.state.to_string()
    }
}

fn describe_leases(leases: &LeaseStatus) -> String {
    let mut line = format!(
        "leases     {} on what it holds, {} of them nobody's",
        human::count(leases.claims, "claim", "claims"),
        leases.nobodys_claims
    );
    if leases.freeing_chunks > 0 {
        line.push_str(&format!("; {} to be freed", human::bytes(leases.freeing_bytes)));
    }
    if leases.freed_shards > 0 {
        line.push_str(&format!("; {} freed", human::bytes(leases.freed_bytes)));
    }
    line.push_str(&format!(
        "\nkeeps      {} in {}",
        human::count(leases.kept_objects, "object", "objects"),
        human::count(leases.kept_chunks, "chunk", "chunks")
    ));
    if leases.unrenewed_chunks > 0 {
        line.push_str(&format!(
            ", of {} nobody showed a shard when they were last renewed",
            leases.unrenewed_chunks
        ));
    }
    line
}

fn describe_setback(why: HeldBackReason) -> &'static str {
    match why {
        HeldBackReason::NobodyToAsk => "no daemon near them is known",
        HeldBackReason::TooFewShards => "too few of their shards came",
        HeldBackReason::NoPlace => "no daemon took a shard",
        HeldBackReason::Inconsistent => "their shards do not belong together",
        HeldBackReason::Other => "this command does not know the reason",
    }
}

fn describe_repair(repair: &RepairStatus) -> String {
    if !repair.enabled {
        return "repair     off: shards that others lose are not made again by this daemon".to_owned();
    }
    let mut line = if repair.rounds == 0 {
        "repair     the first look at what others hold has not ended yet".to_owned()
    } else {
        format!("repair     looks after {}", human::count(repair.chunks, "chunk", "chunks"))
    };
    for (count, what) in [
        (repair.degraded, "miss shards"),
        (repair.unreadable, "have too few shards to be read"),
        (repair.not_known_yet, "not known yet to be whole"),
        (repair.homeless, "wait for a node that can take a shard"),
    ] {
        if count > 0 {
            line.push_str(&format!(", {count} {what}"));
        }
    }
    line.push_str(&format!("; {} waiting, {} under way", repair.queued, repair.running));
    for HeldBackRepairs { why, chunks } in &repair.held_back {
        line.push_str(&format!(
            "\n           {} could not be repaired yet: {}; tries again",
            human::count(*chunks, "chunk", "chunks"),
            describe_setback(*why)
        ));
    }
    if repair.repaired_shards > 0 {
        line.push_str(&format!(
            "\n           made {} again, moved {} for it (budget {}/s)",
            human::count(repair.repaired_shards, "shard", "shards"),
            human::bytes(repair.fetched_bytes + repair.sent_bytes),
            human::bytes(repair.budget_bytes_per_second)
        ));
    }
    let audits = repair.audits_passed + repair.audits_failed;
    if audits > 0 {
        line.push_str(&format!(
            "\naudits     others proved {} of {} that were asked for at random",
            repair.audits_passed,
            human::count(audits, "shard", "shards")
        ));
        if repair.distrusted > 0 {
            line.push_str(&format!(
                "; {} failed too often and {} not believed",
                human::count(repair.distrusted, "daemon", "daemons"),
                if repair.distrusted == 1 { "is" } else { "are" }
            ));
        }
    }
    if let Some(seconds) = repair.brake_seconds_left {
        line.push_str(&format!(
            "\n           many neighbours vanished at once: only what is urgent for {}",
            human::seconds(seconds)
        ));
    }
    line
}
