//! Which relays are asked for a reservation, and which of them hold one: policy only, with the time as an argument.
//!
//! libp2p's client asks once and renews; what is lost it does not get back. Here two relays are kept, so that one may
//! go away. What is lost is replaced at another relay, and a relay that failed is asked again after a pause. A
//! reservation at a relay that is no longer a candidate stays until there are two others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use libp2p::core::transport::ListenerId;
use libp2p::multiaddr::Protocol;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId};
use tokio::time::Instant;

use super::relay::{RelayRefusal, why_refused};
use crate::address::{is_relayed, split};

/// Reservations to hold.
const WANTED: usize = 2;
/// Relays asked at a time, those included that hold one.
const ASKED_MAX: usize = 3;
/// A relay that has not answered after this is not waited for: another is asked as well.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an answer may take at all. libp2p gives up after 10 s for the connection and 60 s for the answer.
const ANSWER: Duration = Duration::from_secs(90);
/// How long a relay is left alone after it has failed: this at first, twice as long each time.
const PAUSE: Duration = Duration::from_secs(2);
const PAUSE_MAX: Duration = Duration::from_secs(300);
/// The same if it said that it is no relay, or does not want this daemon.
const PAUSE_REFUSED: Duration = Duration::from_secs(600);
/// A reservation that has lasted so long was no failure.
const PROVEN: Duration = Duration::from_secs(60);
/// Addresses of one relay that are announced: one by TCP and one by QUIC, as a rule.
const ADDRS_PER_RELAY: usize = 2;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Listen on `addr`, and say what came of it with [`Reservations::listening`].
    Listen { relay: PeerId, addr: Multiaddr },
    /// End the reservation.
    Stop { relay: PeerId, listener: ListenerId },
}

/// What one relay was asked for.
#[derive(Clone, Debug)]
struct Asked {
    /// `None` until the swarm has been told.
    listener: Option<ListenerId>,
    at: Instant,
    /// Whether there is a reservation.
    stands: bool,
    /// It has ended, and `poll` has not seen it yet.
    ended: Option<Ended>,
    /// The direct addresses it was known by.
    addrs: Vec<Multiaddr>,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The relay said why.
    Refused(RelayRefusal),
    /// It went away.
    Lost,
}

/// A relay that has failed.
#[derive(Clone, Copy, Debug)]
struct Failed {
    /// How often in a row.
    times: u32,
    until: Instant,
}

/// See the module's description.
pub(crate) struct Reservations {
    me: PeerId,
    wanted: bool,
    /// Relays that may be asked, the best first, with their direct addresses.
    candidates: Vec<(PeerId, Vec<Multiaddr>)>,
    asked: BTreeMap<PeerId, Asked>,
    failed: BTreeMap<PeerId, Failed>,
    made: u64,
}

impl Reservations {
    pub(crate) fn new(me: PeerId) -> Self {
        let (candidates, asked, failed) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        Reservations { me, wanted: false, candidates, asked, failed, made: 0 }
    }

    /// Whether reservations are needed from now on.
    pub(crate) fn wanted(&mut self, wanted: bool) {
        self.wanted = wanted;
    }

    /// These relays may be asked from now on, the best first; `addrs` lead to them directly.
    pub(crate) fn candidates(&mut self, candidates: Vec<(PeerId, Vec<Multiaddr>)>) {
        let direct = candidates.into_iter().map(|(relay, addrs)| {
            let addrs = addrs.into_iter().filter(|addr| !is_relayed(addr)).map(|addr| split(addr).0);
            (relay, addrs.collect::<Vec<_>>())
        });
        let me = self.me;
        self.candidates = direct.filter(|(relay, addrs)| *relay != me && !addrs.is_empty()).collect();
    }

    /// What came of [`Step::Listen`].
    pub(crate) fn listening(&mut self, relay: PeerId, listener: Option<ListenerId>) {
        if let Some(asked) = self.asked.get_mut(&relay) {
            asked.listener = listener;
            if listener.is_none() {
                asked.ended = Some(Ended::Lost);
            }
        }
    }

    /// Takes in what the swarm tells.
    pub(crate) fn event<T>(&mut self, event: &SwarmEvent<T>) {
        match event {
            SwarmEvent::NewListenAddr { listener_id, .. } => {
                if let Some(asked) = self.by(*listener_id).filter(|asked| !asked.stands) {
                    asked.stands = true;
                    self.made += 1;
                }
            }
            SwarmEvent::ListenerClosed { listener_id, reason, .. } => {
                let refusal = reason.as_ref().err().and_then(|error| why_refused(error));
                if let Some(asked) = self.by(*listener_id) {
                    asked.ended = Some(refusal.map_or(Ended::Lost, Ended::Refused));
                }
            }
            SwarmEvent::ExpiredListenAddr { listener_id, .. } => {
                if let Some(asked) = self.by(*listener_id) {
                    asked.ended = Some(Ended::Lost);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, .. } => {
                // Only what stood stood on it; what is asked for may be waiting for the next connection.
                if let Some(asked) = self.asked.get_mut(peer_id).filter(|asked| asked.stands) {
                    asked.ended = asked.ended.or(Some(Ended::Lost));
                }
            }
            _ => {}
        }
    }

    /// What is to be done now. Nothing if nothing has changed.
    pub(crate) fn poll(&mut self, now: Instant) -> Vec<Step> {
        self.take_in_ends(now);
        let mut steps = self.give_up(now);
        if self.wanted {
            while let Some(step) = self.ask_another(now) {
                steps.push(step);
            }
        }
        steps
    }

    /// The addresses by which this daemon is reached through relays now.
    pub(crate) fn addresses(&self) -> Vec<Multiaddr> {
        let mut addresses = Vec::new();
        for (relay, asked) in self.asked.iter().filter(|(_, asked)| asked.stands && asked.ended.is_none()) {
            // Those that this daemon knows the relay by, and not those that the relay says it has.
            let known = asked.addrs.iter().take(ADDRS_PER_RELAY);
            addresses.extend(known.map(|addr| through(addr, *relay).with(Protocol::P2p(self.me))));
        }
        addresses
    }

    /// Reservations that have come to stand since the start.
    pub(crate) fn made(&self) -> u64 {
        self.made
    }

    fn by(&mut self, listener: ListenerId) -> Option<&mut Asked> {
        self.asked.values_mut().find(|asked| asked.listener == Some(listener))
    }

    fn take_out(&mut self, which: impl Fn(&PeerId, &Asked) -> bool) -> BTreeMap<PeerId, Asked> {
        let (out, stay) =
            std::mem::take(&mut self.asked).into_iter().partition(|(relay, asked)| which(relay, asked));
        self.asked = stay;
        out
    }

    fn take_in_ends(&mut self, now: Instant) {
        for (relay, asked) in self.take_out(|_, asked| asked.ended.is_some()) {
            let proven = asked.stands && now - asked.at >= PROVEN;
            let times = self.failed.get(&relay).filter(|_| !proven).map_or(0, |failed| failed.times);
            let pause = match asked.ended {
                Some(Ended::Refused(RelayRefusal::NoRelay | RelayRefusal::Unwanted)) => PAUSE_REFUSED,
                _ => PAUSE.saturating_mul(1 << times.min(8)).min(PAUSE_MAX),
            };
            self.failed.insert(relay, Failed { times: times + 1, until: now + pause });
        }
        let known = |relay: &PeerId| self.candidates.iter().any(|(candidate, _)| candidate == relay);
        self.failed.retain(|relay, failed| known(relay) || now < failed.until);
    }

    /// Ends what is not needed, and what has no answer. What is merely asked for is left to come to its end: libp2p
    /// (0.22) panics when the answer comes to a listener that is gone.
    fn give_up(&mut self, now: Instant) -> Vec<Step> {
        let candidate = |relay: &PeerId| self.candidates.iter().any(|(candidate, _)| candidate == relay);
        let good = self.asked.iter().filter(|(relay, asked)| asked.stands && candidate(relay)).count();
        let goes = |relay: &PeerId, asked: &Asked| {
            let unneeded = !self.wanted || (!candidate(relay) && good >= WANTED);
            if asked.stands { unneeded } else { now - asked.at >= ANSWER }
        };
        let gone: BTreeSet<PeerId> =
            self.asked.iter().filter(|(relay, asked)| goes(relay, asked)).map(|(relay, _)| *relay).collect();
        let mut steps = Vec::new();
        for (relay, asked) in self.take_out(|relay, _| gone.contains(relay)) {
            if !asked.stands {
                self.failed.insert(relay, Failed { times: 1, until: now + PAUSE_MAX });
            }
            steps.extend(asked.listener.map(|listener| Step::Stop { relay, listener }));
        }
        steps
    }

    fn ask_another(&mut self, now: Instant) -> Option<Step> {
        let candidate = |relay: &PeerId| self.candidates.iter().any(|(candidate, _)| candidate == relay);
        let counts = |asked: &Asked| asked.stands || now - asked.at < PATIENCE;
        let good = self.asked.iter().filter(|(relay, asked)| candidate(relay) && counts(asked)).count();
        if good >= WANTED || self.asked.len() >= ASKED_MAX {
            return None;
        }
        let rests = |relay: &PeerId| self.failed.get(relay).is_some_and(|failed| now < failed.until);
        let free = |relay: &PeerId| !self.asked.contains_key(relay) && !rests(relay);
        let times = |relay: &PeerId| self.failed.get(relay).map_or(0, |failed| failed.times);
        // Of those that have failed as often as each other, the first.
        let (relay, addrs) = self
            .candidates
            .iter()
            .filter(|(relay, _)| free(relay))
            .min_by_key(|(relay, _)| times(relay))
            .cloned()?;
        let addr = through(preferred(&addrs)?, relay);
        let asked = Asked { listener: None, at: now, stands: false, ended: None, addrs };
        self.asked.insert(relay, asked);
        Some(Step::Listen { relay, addr })
    }
}

/// QUIC, if there is a choice: that keeps NATs open, and notices within seconds when the relay is gone.
fn preferred(addrs: &[Multiaddr]) -> Option<&Multiaddr> {
    let quic = |addr: &&Multiaddr| addr.iter().any(|part| part == Protocol::QuicV1);
    addrs.iter().find(quic).or(addrs.first())
}

fn through(addr: &Multiaddr, relay: PeerId) -> Multiaddr {
    addr.clone().with(Protocol::P2p(relay)).with(Protocol::P2pCircuit)
}

#[cfg(test)]
mod tests;
