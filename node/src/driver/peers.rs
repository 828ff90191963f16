//! The other daemons as the driver talks to them: links to those it has something to say to, whose connections are
//! kept, how fast they may talk, and who they are.

use std::collections::BTreeMap;
use std::time::Duration;

use chordage_dht::{Finger, FingerRow, NodeId, Peer};
use libp2p::PeerId;
use tokio::time::Instant;

use super::addresses::Announced;
use super::contacts::Contacts;
use super::links::Links;
use super::pace::Paces;
use super::relaying::Relaying;
use super::roster::Roster;
use super::warmth::Warmth;
use crate::address::peer_id;
use crate::config::ConnectionConfig;
use crate::wire::Standing;

/// Connections that a client keeps: each takes a seat that a member has for strangers. Design: enough for the first
/// step of several lookups.
const CLIENT_WARM: usize = 16;

/// See the module's description.
pub(super) struct Peers {
    pub(super) links: Links,
    /// How fast others may talk to us.
    pub(super) paces: Paces,
    pub(super) roster: Roster,
    /// Where they are and were.
    pub(super) contacts: Contacts,
    /// Those through whom others reach this daemon.
    pub(super) relaying: Relaying,
    warmth: Warmth,
    /// Fast fingers that are kept connected.
    warm_fingers: usize,
    /// The peers in our tables.
    known: BTreeMap<NodeId, PeerId>,
}

impl Peers {
    pub(super) fn new(links: Links, connections: &ConnectionConfig, local: PeerId) -> Self {
        let warm_fingers = connections.warm_fingers as usize;
        let idle = Duration::from_secs(connections.idle_seconds.into());
        // Some room to the limit, so that there is a seat for whoever is dialled next.
        let most = (connections.max - connections.max / 8) as usize;
        Self {
            links,
            paces: Paces::default(),
            roster: Roster::default(),
            contacts: Contacts::default(),
            relaying: Relaying::new(local),
            warmth: Warmth::new(idle, most),
            warm_fingers,
            known: BTreeMap::new(),
        }
    }

    /// Ends links that nobody needs, and returns those to whom one should be open. The neighbours of a client are none:
    /// it keeps the fastest of all it knows, so that members have seats for others.
    pub(super) fn review(
        &mut self,
        announced: &Announced,
        neighbours: &[Finger],
        rows: &[FingerRow],
    ) -> Vec<Peer> {
        let (kept, warm) = match announced {
            Announced::Listened | Announced::These(_) => (neighbours, self.warm_fingers),
            Announced::Nowhere | Announced::Unknown => (&[][..], CLIENT_WARM.min(self.warm_fingers)),
        };
        let review = self.warmth.review(Instant::now(), (kept, rows), warm, &self.links.last_used());
        for id in &review.end {
            self.links.end(id);
        }
        review.open
    }

    /// These are in our tables now. Returns how much room each has a right to.
    pub(super) fn update<'a>(
        &mut self,
        fingers: impl Iterator<Item = &'a Finger> + Clone,
    ) -> BTreeMap<PeerId, Standing> {
        self.roster.update(Instant::now(), fingers.clone().map(|finger| &finger.peer));
        let before = std::mem::take(&mut self.known);
        self.known = fingers
            .filter_map(|finger| {
                let id = finger.peer.id();
                // Taken over where possible, because making one means to check a point of the curve.
                let name = before.get(&id).copied().or_else(|| peer_id(finger.peer.public_key()))?;
                Some((id, name))
            })
            .collect();
        let standing = |id| if self.warmth.keeps(id) { Standing::Kept } else { Standing::Known };
        self.known.iter().map(|(id, name)| (*name, standing(id))).collect()
    }

    /// Those in our tables whose connections are kept.
    pub(super) fn kept(&self) -> impl Iterator<Item = &PeerId> {
        self.known.iter().filter(|(id, _)| self.warmth.keeps(id)).map(|(_, name)| name)
    }
}
