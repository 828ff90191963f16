//! Whether what the daemon holds and keeps is safe, and whether it is up to its duties.

use std::collections::BTreeMap;

use chordage_api::types::{Check, CheckName, CheckState, MemberState, MemberStatus, Status};

use super::{check, to_do};

/// Fewer members need not be told apart by zones.
const ZONES_FROM: usize = 4;
/// A scrub that ended longer ago than this many of its periods has fallen behind.
const SCRUB_PERIODS: u64 = 2;

/// Whether shards are spread over places that do not fail together.
pub(super) fn zones(status: &Status, members: &[MemberStatus]) -> Check {
    const NAME: CheckName = CheckName::Zones;
    let here =
        members.iter().filter(|member| matches!(member.state, MemberState::Alive | MemberState::Suspect));
    let mut zones: BTreeMap<Option<&str>, usize> = BTreeMap::new();
    here.for_each(|member| *zones.entry(member.zone.as_deref()).or_default() += 1);
    let members: usize = zones.values().sum();
    let without = zones.remove(&None).unwrap_or(0);
    let largest = zones.iter().max_by_key(|(_, members)| **members);
    match (zones.len(), largest) {
        (0, _) if members < ZONES_FROM => check(NAME, CheckState::Ok, "nobody names a zone"),
        (0, _) => {
            check(NAME, CheckState::Ok, "nobody names a zone: each daemon counts as a place of its own")
        }
        (..) if status.membership.zone.is_none() => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!("{without} of {members} daemons name no zone, this one among them, and others do"),
            ),
            "give it the name of the place with which it would fail (`zone = \"...\"` in config.toml, or `--zone`), and restart it",
        ),
        (_, Some((Some(zone), most))) if members >= ZONES_FROM && most * 2 > members => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "{most} of {members} daemons are in zone `{zone}`: if it fails, much may be unreadable until it is back"
                ),
            ),
            "add daemons in other zones; `chordage explain LINK` says what hangs on one zone",
        ),
        (count, _) => check(NAME, CheckState::Ok, format!("{members} daemons in {count} zones")),
    }
}

/// Whether anything that it looks after is lost or nearly so.
pub(super) fn shards(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Shards;
    let repair = &status.duties.repair;
    if repair.unreadable > 0 {
        return to_do(
            check(
                NAME,
                CheckState::Fault,
                format!(
                    "{} of {} chunks that it looks after have too few shards left to be read",
                    repair.unreadable, repair.chunks
                ),
            ),
            "start the daemons again that are gone (`chordage members` names them): what they hold makes the chunks readable",
        );
    }
    match repair.at_risk {
        0 => check(NAME, CheckState::Ok, format!("{} chunks that it looks after are safe", repair.chunks)),
        at_risk => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "{at_risk} of {} chunks that it looks after have lost more than half of the shards that they can spare",
                    repair.chunks
                ),
            ),
            "start the daemons again that are gone (`chordage members` names them); otherwise repair makes the shards again by itself when its patience ends",
        ),
    }
}

/// Whether repair gets on.
pub(super) fn repair(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Repair;
    let repair = &status.duties.repair;
    let held_back: u64 = repair.held_back.iter().map(|held_back| held_back.chunks).sum();
    if !repair.enabled {
        return to_do(
            check(
                NAME,
                CheckState::Warning,
                "it is switched off by the settings: what others lose, this daemon does not make again",
            ),
            "set `enabled = true` below `[repair]` in its config.toml, and restart it",
        );
    }
    if let Some(seconds) = repair.brake_seconds_left {
        return to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "many neighbours vanished at once: for {seconds:.0} s still only what is urgent is repaired"
                ),
            ),
            "see whether this machine has lost its network (`chordage members`); if not, wait",
        );
    }
    if let Some(held_back) = repair.held_back.first().map(|first| (first.why, held_back)) {
        let (why, chunks) = held_back;
        return to_do(
            check(
                NAME,
                CheckState::Warning,
                format!("the repair of {chunks} chunks did not succeed ({why}); it is tried again"),
            ),
            "add daemons, or start those again that are gone: there have to be as many as a chunk has shards",
        );
    }
    match repair.homeless {
        0 => check(NAME, CheckState::Ok, format!("{} repairs wait, {} run", repair.queued, repair.running)),
        homeless => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!("{homeless} chunks miss shards for which no daemon has a place"),
            ),
            "add daemons: there have to be as many as a chunk has shards",
        ),
    }
}

/// Whether it is up to what it has to do again and again.
pub(super) fn duties(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Duties;
    let (leases, scrub) = (&status.duties.leases, &status.duties.scrub);
    if leases.unrenewed_chunks > 0 {
        return to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "of {} chunks that this daemon keeps no holder showed a shard when their keeping was renewed",
                    leases.unrenewed_chunks
                ),
            ),
            "see with `chordage keeps` and `chordage explain LINK` which objects that are, and put them again if you still have them",
        );
    }
    let late = |ago: &u64| scrub.period_seconds > 0 && *ago > scrub.period_seconds * SCRUB_PERIODS;
    if let Some(ago) = scrub.last_end_seconds_ago.filter(late) {
        return to_do(
            check(
                NAME,
                CheckState::Warning,
                format!("its shards were read against their hashes {} days ago last", ago / 86_400),
            ),
            "have them read now: `chordage scrub`",
        );
    }
    let waits = status.puts.puts_wait_for.len();
    match waits {
        0 => check(NAME, CheckState::Ok, "renewals and scrubs are in time, and nobody keeps puts waiting"),
        waits => to_do(
            check(NAME, CheckState::Warning, format!("{waits} daemons keep puts waiting")),
            "see with `chordage status` which, and look at their machines",
        ),
    }
}
