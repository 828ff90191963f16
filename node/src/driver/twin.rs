//! Another node with this node's key. Others only say that there is one; the proof is that this node's own key answers
//! at an address that is not its own. As long as there is one it is dialled again and again, so that this node takes
//! the place when it is gone.

use std::cmp::Ordering;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_dht::{Address, Input, Message, Notice, Peer};
use libp2p::Multiaddr;
use libp2p::swarm::{ConnectionId, DialError, dial_opts::DialOpts};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::namesakes::Namesakes;
use super::{Driver, Membership};
use crate::address::{dial_order, peer_id, to_address};
use crate::twin::{NEXT_STEP, Twin};
use crate::wire::Class;

/// Dials in a row that fail until a twin counts as gone.
const FAILURES_MAX: usize = 2;
/// Addresses that were this node's own and are remembered.
const OWN_MAX: usize = 64;
/// A dial that says nothing for so long has failed.
const DIAL_MAX: Duration = Duration::from_secs(10);

/// What this node knows of a twin.
#[derive(Default)]
pub(super) struct Suspicion {
    /// The record by which others know the twin.
    record: Option<Peer>,
    /// Where it has answered.
    answered: Option<Multiaddr>,
    /// The dial under way.
    dial: Option<(ConnectionId, Multiaddr, Instant)>,
    /// This node's key has signed that record: if nobody answers, it is of a former life, which this node then
    /// outlives.
    signed: bool,
    /// Dials since it last answered.
    failures: usize,
    /// Addresses that this node has announced since it started: who answers there is itself.
    own: Vec<Address>,
}

impl Suspicion {
    /// Where a record leads that was never this node's own. Two on different machines may both name the same private
    /// address.
    fn elsewhere(&self, record: &Peer) -> Vec<Multiaddr> {
        let is_own =
            |address: &Multiaddr| to_address(address).is_none_or(|address| self.own.contains(&address));
        dial_order(record).into_iter().filter(|address| !is_own(address)).collect()
    }
}

/// What a dial found out.
enum Found {
    Twin,
    Nobody,
}

/// Who speaks with a key that is another's, and whether somebody does with ours.
#[derive(Default)]
pub(super) struct Twins {
    pub(super) namesakes: Namesakes,
    suspicion: Suspicion,
}

impl Driver {
    /// Tells a peer that another speaks with its key, by the connection that surely leads to it.
    pub(super) fn tell_of_twin(&mut self, peer: &Peer, connection: ConnectionId, other: &Peer) {
        let Some(name) = peer_id(peer.public_key()) else { return };
        tracing::debug!(peer = %peer.id(), "two nodes speak with one key");
        let (reply, opening) = oneshot::channel();
        self.swarm.behaviour_mut().streams.open_on(name, connection, Class::Dht, reply);
        self.peers.links.say(&Message::Notice(Notice::Record((**other).clone())), opening);
    }

    /// These are this node's addresses, now or before.
    pub(super) fn remember_own_addresses(&mut self) {
        let own = &mut self.twins.suspicion.own;
        for address in self.overlay.dht.local().addrs() {
            if !own.contains(address) {
                own.truncate(OWN_MAX - 1);
                own.insert(0, address.clone());
            }
        }
    }

    /// Somebody says that this node's key speaks from elsewhere; `signed`: it has signed that itself, at whatever time.
    pub(super) fn told_of_twin(&mut self, record: Peer, signed: bool) {
        self.remember_own_addresses();
        let suspicion = &mut self.twins.suspicion;
        if suspicion.elsewhere(&record).is_empty() {
            return;
        }
        // One that answers is not forgotten for another that is only talked about.
        let same = suspicion.record.as_ref().is_some_and(|known| known.addrs() == record.addrs());
        if same || suspicion.answered.is_none() {
            suspicion.failures = if same { suspicion.failures } else { 0 };
            suspicion.signed = signed || (same && suspicion.signed);
            suspicion.record = Some(record);
        }
    }

    /// Sees whether the twin is there.
    pub(super) fn look_for_twin(&mut self) {
        if let Some((dial, _, since)) = &self.twins.suspicion.dial {
            if since.elapsed() > DIAL_MAX {
                self.dialled_twin(*dial, &Found::Nobody);
            }
            return;
        }
        let Some(record) = &self.twins.suspicion.record else { return };
        let addresses = self.twins.suspicion.elsewhere(record);
        if addresses.is_empty() {
            return;
        }
        let next = || addresses[self.twins.suspicion.failures % addresses.len()].clone();
        let address = self.twins.suspicion.answered.clone().unwrap_or_else(next);
        let dial = DialOpts::unknown_peer_id().address(address.clone()).build();
        self.twins.suspicion.dial = Some((dial.connection_id(), address, Instant::now()));
        if let Some((dial, ..)) = self.swarm.dial(dial).err().and(self.twins.suspicion.dial.clone()) {
            self.dialled_twin(dial, &Found::Nobody);
        }
    }

    /// A dial has failed; a key that is this node's own counts as that.
    pub(super) fn dial_failed(&mut self, dial: ConnectionId, error: &DialError) {
        let found = if matches!(error, DialError::LocalPeerId { .. }) { Found::Twin } else { Found::Nobody };
        self.dialled_twin(dial, &found);
    }

    /// Somebody answered a dial. Whoever it is, this node it is not.
    pub(super) fn dial_answered(&mut self, dial: ConnectionId) {
        if self.twins.suspicion.dial.as_ref().is_some_and(|(current, ..)| *current == dial) {
            self.swarm.close_connection(dial);
            self.dialled_twin(dial, &Found::Nobody);
        }
    }

    fn dialled_twin(&mut self, dial: ConnectionId, found: &Found) {
        let suspicion = &mut self.twins.suspicion;
        let Some((_, address, _)) = suspicion.dial.take_if(|(current, ..)| *current == dial) else { return };
        let Some(record) = suspicion.record.clone() else { return };
        match found {
            Found::Twin => {
                suspicion.failures = 0;
                suspicion.answered = Some(address.clone());
                self.settle_with(&record);
                self.there_is_a_twin(&record, &address);
            }
            Found::Nobody => {
                suspicion.failures += 1;
                let most = if suspicion.answered.is_some() { 1 } else { record.addrs().len() };
                if suspicion.failures >= FAILURES_MAX * most {
                    suspicion.record = None;
                    let (answered, signed) = (suspicion.answered.take(), suspicion.signed);
                    if answered.is_some() {
                        self.twin_is_gone(record.seq());
                    } else if signed && record.seq() >= self.overlay.dht.local().seq() {
                        self.outlive(record.seq());
                    }
                }
            }
        }
    }

    fn there_is_a_twin(&mut self, record: &Peer, address: &Multiaddr) {
        let others = self.twins.suspicion.elsewhere(record).into_iter().filter(|other| other != address);
        let before = self.told.twin.borrow().clone();
        let twin = Twin {
            name: self.local_peer.to_string(),
            addresses: std::iter::once(address.clone()).chain(others).map(|a| a.to_string()).collect(),
            since: before.as_ref().map_or_else(unix_seconds, |before| before.since),
            has_place: self.has_place(record),
        };
        if before.is_none_or(|before| before.has_place != twin.has_place) {
            tracing::error!("{} What to do: {NEXT_STEP}", twin.message());
        }
        self.told.twin.send_replace(Some(twin));
    }

    /// Whether others speak with the twin and not with this node. Of equal numbers they stay with the one they knew.
    fn has_place(&self, twin: &Peer) -> bool {
        match twin.seq().cmp(&self.overlay.dht.local().seq()) {
            Ordering::Greater => true,
            Ordering::Equal => self.told.membership() != Membership::Joined,
            Ordering::Less => false,
        }
    }

    /// Two that are members with the same number are known to some each: one of them takes the place for all.
    fn settle_with(&mut self, twin: &Peer) {
        let local = self.overlay.dht.local();
        let equal = twin.seq() == local.seq() && local.addrs() > twin.addrs();
        if equal && self.told.membership() == Membership::Joined {
            self.outlive(twin.seq());
        }
    }

    fn outlive(&mut self, seq: u64) {
        self.input(Input::Outlive { above: seq });
        self.peers.links.set_local(self.overlay.dht.local());
    }

    fn twin_is_gone(&mut self, seq: u64) {
        tracing::info!("the second daemon with this daemon's key is gone");
        self.told.twin.send_replace(None);
        self.outlive(seq);
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::PeerInfo;

    use super::*;

    #[test]
    fn what_was_ever_this_nodes_own_address_is_not_dialled() {
        let parse = |text: &str| text.parse::<Multiaddr>().expect("valid");
        let [loopback, before, theirs] =
            ["/ip4/127.0.0.1/tcp/4700", "/ip4/192.168.1.5/tcp/4700", "/ip4/192.168.1.6/tcp/4700"].map(parse);
        let address = |addr: &Multiaddr| to_address(addr).expect("short");
        let record = |addrs: &[&Multiaddr]| -> Peer {
            let addrs = addrs.iter().map(|addr| address(addr)).collect();
            Arc::new(PeerInfo::new([1; 32], addrs, 1).expect("few addresses"))
        };
        let own = vec![address(&loopback), address(&before)];
        let suspicion = Suspicion { own, ..Suspicion::default() };
        assert_eq!(suspicion.elsewhere(&record(&[&loopback, &before])), []);
        assert_eq!(suspicion.elsewhere(&record(&[&loopback, &theirs])), [theirs]);
    }
}
