//! How the daemon is reached, in words.

use std::time::UNIX_EPOCH;

use chordage_api::types::{NatKind, ReachState, ReachabilityStatus};
use libp2p::Multiaddr;
use libp2p::multiaddr::Protocol;

use super::candidates::{Between, Candidate, Kind};
use super::policy::Standing;
use super::{Follow, Reachability};

impl Reachability {
    /// How it is reached.
    pub(crate) fn status(&self) -> ReachabilityStatus {
        let reason = self.reason();
        let state = self.state();
        let reached: &[Candidate] = match state.policy.standing() {
            Standing::Reached(reached) => reached,
            Standing::Unknown | Standing::Unreached(_) => &[],
        };
        let own = |candidate: &Candidate| matches!(candidate.kind, Kind::Announced | Kind::Listened);
        ReachabilityStatus {
            state: match (state.policy.standing(), self.inner.follow) {
                (Standing::Unknown, _) => ReachState::Unknown,
                (Standing::Reached(_), Follow::Nothing) => ReachState::Direct,
                (Standing::Reached(reached), _) if reached.iter().any(own) => ReachState::Direct,
                (Standing::Reached(_), _) => ReachState::Mapped,
                (Standing::Unreached(_), _) if !state.relayed.is_empty() => ReachState::Relayed,
                (Standing::Unreached(_), _) => ReachState::None,
            },
            since: state.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            reason,
            nat: match state.between {
                None => NatKind::Unknown,
                Some(Between::Nothing) => NatKind::None,
                Some(Between::Nat) => NatKind::Nat,
                Some(Between::SymmetricNat) => NatKind::Symmetric,
            },
            addresses: reached
                .iter()
                .map(|candidate| &candidate.addr)
                .chain(&state.relayed)
                .map(ToString::to_string)
                .collect(),
            relays: relays(&state.relayed),
        }
    }

    /// Why it is what it is, and what the user can do about it.
    pub(super) fn reason(&self) -> String {
        let state = self.state();
        let asked = match state.last {
            Some(tally) => format!("{} of {} daemons that tried got through", tally.reached, tally.tested),
            None => "nobody was asked yet".to_owned(),
        };
        match (self.inner.follow, state.policy.standing()) {
            (Follow::Nothing, Standing::Reached(_)) => "it listens on this machine only".to_owned(),
            (Follow::Nothing, _) => {
                "the settings make it a client: by `overlay.role`, or because it listens on this machine only (`listen`)".to_owned()
            }
            (Follow::Settings, Standing::Unreached(between)) => {
                format!("the settings make it a member (`overlay.role`), but {asked}: {}", shut(*between))
            }
            (Follow::Settings, _) => format!("the settings make it a member (`overlay.role`); {asked}"),
            (Follow::Found, Standing::Unknown) => {
                "others are being asked whether they get through; it is a client until then".to_owned()
            }
            (Follow::Found, Standing::Reached(_)) if state.last.is_none() => {
                "it counts as reached until somebody else has tried".to_owned()
            }
            (Follow::Found, Standing::Reached(reached)) => format!("{asked}{}", open(reached)),
            (Follow::Found, Standing::Unreached(between)) => {
                let relayed = if state.relayed.is_empty() { "" } else { "others relay to it, because " };
                format!("{relayed}{asked}: {}", shut(*between))
            }
        }
    }
}

/// Who relays.
fn relays(relayed: &[Multiaddr]) -> Vec<String> {
    let relay = |addr: &Multiaddr| {
        addr.iter()
            .find_map(|part| if let Protocol::P2p(peer) = part { Some(peer.to_string()) } else { None })
    };
    let mut relays: Vec<String> = relayed.iter().filter_map(relay).collect();
    relays.dedup();
    relays
}

/// What lets others in.
fn open(reached: &[Candidate]) -> String {
    let Some(best) = reached.iter().min_by_key(|candidate| candidate.kind) else { return String::new() };
    match best.kind {
        Kind::Announced => ", at the address that the settings announce".to_owned(),
        Kind::Listened => ", at an address of this machine".to_owned(),
        Kind::Mapped => ", by a port that the router was asked to forward (UPnP)".to_owned(),
        Kind::Forwarded => format!(", by port {} of the router", port(&best.addr)),
        Kind::Seen => format!(", by port {} that the router (NAT) keeps open", port(&best.addr)),
    }
}

/// What keeps others out, and what helps.
fn shut(between: Option<Between>) -> &'static str {
    match between {
        Some(Between::Nothing) => {
            "there is no NAT, so a firewall of this machine or its network drops what others begin; allow the ports on which it \
             listens (`chordage status`)"
        }
        Some(Between::Nat) => {
            "it is behind a router (NAT) that lets in answers only; forward the ports on which it listens (`chordage status`) \
             at the router, or turn on UPnP there"
        }
        Some(Between::SymmetricNat) => {
            "it is behind a router (symmetric NAT) that uses another port towards everybody; forward the ports on which it \
             listens (`chordage status`) at the router, or turn on UPnP there"
        }
        None => "nobody said where this daemon is seen",
    }
}

fn port(addr: &Multiaddr) -> String {
    let port = addr.iter().find_map(|part| match part {
        Protocol::Tcp(port) => Some(format!("{port} (TCP)")),
        Protocol::Udp(port) => Some(format!("{port} (UDP)")),
        _ => None,
    });
    port.unwrap_or_default()
}
