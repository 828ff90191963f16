//! How the daemon itself is: its key, its files, its disk, and its tasks.

use chordage_api::types::{Check, CheckName, CheckState, DaemonRole, Status};

use super::{check, to_do};

/// Fewer descriptors than this leave little for connections; what systems give by default is more.
const DESCRIPTORS_WARN: u64 = 1024;
/// With so many percent of its quota in use a daemon soon takes no more shards.
const ROOM_WARN_PERCENT: u64 = 90;

/// Whether a second daemon has the same key.
pub(super) fn twin(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Twin;
    match &status.membership.twin {
        None => check(NAME, CheckState::Ok, "no other daemon has its key"),
        Some(twin) => to_do(
            check(NAME, CheckState::Fault, twin.message.clone()),
            "stop one of the two for good, and start its machine again with a new data directory (`chordage daemon --data-dir NEW`)",
        ),
    }
}

/// Whether it may open as many files and connections as it needs.
pub(super) fn descriptors(limit: u64, status: &Status) -> Check {
    const NAME: CheckName = CheckName::Descriptors;
    let connections = status.overlay.connections_max;
    if limit >= DESCRIPTORS_WARN {
        let limit = if limit == u64::MAX { "any number of".to_owned() } else { limit.to_string() };
        return check(NAME, CheckState::Ok, format!("it may open {limit} files and connections"));
    }
    to_do(
        check(
            NAME,
            CheckState::Warning,
            format!("it may open {limit} files and connections only, which leaves {connections} peers"),
        ),
        "start it with a higher limit: `ulimit -n 65536` in the shell, or `LimitNOFILE=65536` in its unit",
    )
}

/// Whether its disk takes what is written.
pub(super) fn disk(status: &Status) -> Check {
    match &status.damage.disk_problem {
        Some(problem) => to_do(
            check(CheckName::Disk, CheckState::Fault, problem.clone()),
            "nothing that it acknowledges is at stake; free or replace the disk, then restart the daemon",
        ),
        None => check(CheckName::Disk, CheckState::Ok, "it takes what is written"),
    }
}

/// Whether it has room for more shards.
pub(super) fn room(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Room;
    let (used, quota) = (status.store.disk_bytes, status.store.quota_bytes);
    if status.membership.role != DaemonRole::Member {
        return check(NAME, CheckState::Ok, "a client holds nothing for others");
    }
    let percent = used.saturating_mul(100).checked_div(quota).unwrap_or(100);
    let found = format!("{} of {} MiB are in use ({percent} %)", used >> 20, quota >> 20);
    match percent {
        100.. => to_do(
            check(NAME, CheckState::Fault, format!("{found}: it takes no more shards")),
            "free space on its disk, or give it more with `quota_bytes` in its config.toml; what it holds is safe",
        ),
        ROOM_WARN_PERCENT.. => to_do(
            check(NAME, CheckState::Warning, format!("{found}: soon it takes no more shards")),
            "free space on its disk, or give it more with `quota_bytes` in its config.toml",
        ),
        _ => check(NAME, CheckState::Ok, found),
    }
}

/// Whether its files were as it had left them.
pub(super) fn data(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Data;
    let (found, damaged) = (&status.mishaps.found_at_start, status.damage.damaged_shards);
    if let Some(first) = found.first() {
        let more = match found.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more: see `chordage status`)"),
        };
        return to_do(
            check(NAME, CheckState::Warning, format!("when it started: {}{more}", first.message)),
            "look at the disk (`dmesg`, `smartctl -a`); `chordage scrub` reads everything again, and others mend what is lost",
        );
    }
    match (damaged, status.damage.unmended_shards) {
        (0, 0) => check(NAME, CheckState::Ok, "all its files were as it had left them"),
        (_, unmended) => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "{damaged} shards were found damaged since it started, and {unmended} are not known to be mended yet"
                ),
            ),
            "look at the disk (`dmesg`, `smartctl -a`); `chordage scrub` reads everything again, and others mend what is lost",
        ),
    }
}

/// Whether everything that it does in the background runs.
pub(super) fn tasks(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Tasks;
    match status.mishaps.restarted_tasks.first() {
        None => check(NAME, CheckState::Ok, "everything in the background runs"),
        Some(task) => to_do(
            check(
                NAME,
                CheckState::Warning,
                format!(
                    "`{}` ended {} times and was started again, the last time because: {}",
                    task.name, task.restarts, task.last_reason
                ),
            ),
            "that is a mistake in the program: please report it with the daemon's log",
        ),
    }
}
