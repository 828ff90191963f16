//! How a daemon is connected: where it listens, whether it is part of its network, whether others reach it, and how
//! fast they answer.

use std::time::{Duration, Instant};

use chordage_api::types::{
    Check, CheckName, CheckState, DaemonRole, DaemonState, NatKind, ReachState, Status,
};
use chordage_dht::{Confirm, Key, LookupOptions};

use super::super::NodeHandle;
use super::{check, to_do};
use crate::clock::wall_clock;

/// A clock that is off by more than this many seconds is spoken of. Names and certificates are valid from and until a
/// time.
const CLOCK_WARN: f64 = 30.0;
/// With this many, what others sign is refused as coming from the future, or as over.
const CLOCK_FAIL: f64 = 300.0;
/// Longer than this to hear from somebody who would hold something is spoken of.
const HOLDER_WARN: f64 = 1.0;
/// A certificate with less time left than this was not renewed when it should have been.
const CERTIFICATE_WARN: Duration = Duration::from_secs(20 * 24 * 3600);

impl NodeHandle {
    pub(super) async fn clock(&self) -> Check {
        let Some(ahead) = self.inner.reachability.clock_ahead().await else {
            return check(CheckName::Clock, CheckState::Unknown, "nobody was there to compare it with");
        };
        let found = match ahead {
            _ if ahead.abs() < 1.0 => "it differs by less than a second from those of others".to_owned(),
            _ if ahead < 0.0 => format!("it is {:.0} s behind those of others", -ahead),
            _ => format!("it is {ahead:.0} s ahead of those of others"),
        };
        let state = match ahead.abs() {
            off if off > CLOCK_FAIL => CheckState::Fault,
            off if off > CLOCK_WARN => CheckState::Warning,
            _ => CheckState::Ok,
        };
        let check = Check { seconds: Some(ahead), ..check(CheckName::Clock, state, found) };
        match state {
            CheckState::Ok => check,
            _ => to_do(check, "set the clock, and have it kept right (`timedatectl set-ntp true`)"),
        }
    }

    pub(super) async fn certificate(&self) -> Option<Check> {
        let certificate = self.network().await.certificate?;
        let now = i64::try_from(wall_clock().0 / 1000).unwrap_or(i64::MAX);
        let left = u64::try_from(certificate.not_after.saturating_sub(now)).unwrap_or(0);
        let days = left / (24 * 3600);
        let total = certificate.not_after.abs_diff(certificate.not_before);
        // Half of the time is when it is renewed.
        let warn_below = CERTIFICATE_WARN.as_secs().min(total / 4);
        let (state, found) = match left {
            0 => (CheckState::Fault, "it has ended: others do not let this daemon in".to_owned()),
            left if left < warn_below => {
                (CheckState::Warning, format!("{days} days left, and nobody has renewed it"))
            }
            _ => (CheckState::Ok, format!("{days} days left; it is renewed by itself")),
        };
        let check = Check { seconds: Some(left as f64), ..check(CheckName::Certificate, state, found) };
        Some(match state {
            CheckState::Ok => check,
            _ => to_do(
                check,
                "have the founder or a delegate run its daemon, then `chordage network renew`; once it has ended, join with a new \
                 invite",
            ),
        })
    }

    /// How long it takes to hear from somebody who would hold what has a key of chance.
    pub(super) async fn first_holder(&self, status: &Status) -> Check {
        const NAME: CheckName = CheckName::FirstHolder;
        if status.overlay.network_nodes <= u64::from(status.membership.role == DaemonRole::Member) {
            return to_do(
                check(NAME, CheckState::Unknown, "there is nobody else in the network"),
                "start a daemon on another machine that joins through this one (`chordage daemon --bootstrap ADDRESS`)",
            );
        }
        let mut key = [0; 32];
        if getrandom::fill(&mut key).is_err() {
            return check(NAME, CheckState::Unknown, "the system gives no randomness");
        }
        let options = LookupOptions { want: 3, confirm: Confirm::Answered(1), ..LookupOptions::default() };
        let begun = Instant::now();
        let found = self.inner.reader.placement.driver.lookup(Key::from_bytes(key), options).await;
        let seconds = begun.elapsed().as_secs_f64();
        let check = match found {
            Ok(_) if seconds < HOLDER_WARN => {
                check(NAME, CheckState::Ok, format!("answered after {:.0} ms", seconds * 1e3))
            }
            Ok(_) => to_do(
                check(NAME, CheckState::Warning, format!("answered after {seconds:.1} s only")),
                "see with `chordage peers` who answers slowly",
            ),
            Err(error) => to_do(
                check(NAME, CheckState::Fault, format!("nobody answered: {error}")),
                "see with `chordage status` whether it is part of its network, and with `chordage peers` who answers",
            ),
        };
        Check { seconds: Some(seconds), ..check }
    }
}

pub(super) fn ports(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Ports;
    let listen = &status.membership.listen;
    let here = |addr: &&String| addr.starts_with("/ip4/127.") || addr.starts_with("/ip6/::1/");
    let outside = listen.iter().filter(|addr| !here(addr)).count();
    match (listen.len(), outside) {
        (0, _) => check(NAME, CheckState::Ok, "it listens nowhere, as a client by its settings"),
        (_, 0) => to_do(
            check(NAME, CheckState::Warning, "it listens on this machine only"),
            "for daemons on other machines start it with `--listen /ip4/0.0.0.0/tcp/4700 --listen /ip4/0.0.0.0/udp/4700/quic-v1`",
        ),
        (_, outside) => {
            let tcp = listen.iter().any(|addr| !here(&addr) && addr.contains("/tcp/"));
            let quic = listen.iter().any(|addr| !here(&addr) && addr.contains("/quic-v1"));
            let by = match (tcp, quic) {
                (true, true) => "TCP and QUIC",
                (true, false) => "TCP only",
                _ => "QUIC only",
            };
            check(NAME, CheckState::Ok, format!("it listens on {outside} addresses, by {by}"))
        }
    }
}

pub(super) fn network(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Network;
    let membership = &status.membership;
    match (membership.state, &membership.join_problem) {
        (_, Some(problem)) => to_do(
            check(NAME, CheckState::Fault, problem.clone()),
            "take an address from `chordage status` of a daemon that runs, and start this one with `--bootstrap ADDRESS`",
        ),
        (DaemonState::Joining, None) => check(NAME, CheckState::Warning, "it is still joining"),
        (DaemonState::Leaving, None) => check(NAME, CheckState::Warning, "it is leaving"),
        _ => {
            let about = if status.overlay.network_nodes_exact { "" } else { "about " };
            let found = match status.overlay.network_nodes {
                nodes if nodes <= u64::from(membership.role == DaemonRole::Member) => {
                    "it is alone in its network".to_owned()
                }
                1 => "it is part of a network of one daemon".to_owned(),
                nodes => format!("it is part of a network of {about}{nodes} daemons"),
            };
            check(NAME, CheckState::Ok, found)
        }
    }
}

pub(super) fn reachability(status: &Status) -> Check {
    let reached = &status.membership.reachability;
    let state = match reached.state {
        ReachState::Direct | ReachState::Mapped | ReachState::Relayed => CheckState::Ok,
        ReachState::None => CheckState::Warning,
        ReachState::Unknown | ReachState::Other => CheckState::Unknown,
    };
    let role = format!("as a {}", status.membership.role);
    check(CheckName::Reachability, state, format!("{}, {role}: {}", reached.state, reached.reason))
}

pub(super) fn nat(status: &Status) -> Check {
    const NAME: CheckName = CheckName::Nat;
    match status.membership.reachability.nat {
        NatKind::None => check(NAME, CheckState::Ok, "nothing changes its addresses on the way"),
        NatKind::Nat => check(
            NAME,
            CheckState::Ok,
            "a router translates its addresses, to the same port towards everybody",
        ),
        NatKind::Symmetric => to_do(
            check(
                NAME,
                CheckState::Warning,
                "a router translates its addresses, to another port towards everybody",
            ),
            "only a forwarded port makes it a member",
        ),
        NatKind::Unknown | NatKind::Other => {
            check(NAME, CheckState::Unknown, "nobody has said yet where it is seen")
        }
    }
}
