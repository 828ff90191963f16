//! Peers that have recently left or died, so that others who still name them do not bring them back.

use alloc::collections::BTreeMap;
use core::time::Duration;

use crate::{NodeId, Time, peer::PeerInfo};

/// How long hearsay about a dead peer is ignored. Design: twice the time in which all its neighbours notice.
const HEARSAY_IGNORED: Duration = Duration::from_secs(30);
/// How long even its own words are ignored after it said goodbye: they may have been under way before. Design.
const WORDS_IGNORED: Duration = Duration::from_secs(2);
/// Most peers remembered. Design.
const GONE_MAX: usize = 128;

#[derive(Debug, Clone)]
struct Absence {
    seq: u64,
    deaf_until: Time,
    ignored_until: Time,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Gone(BTreeMap<NodeId, Absence>);

impl Gone {
    pub(crate) fn lost(&mut self, peer: &PeerInfo, now: Time) {
        self.remember(peer, now, now);
    }

    pub(crate) fn left(&mut self, peer: &PeerInfo, now: Time) {
        self.remember(peer, now, now + WORDS_IGNORED);
    }

    fn remember(&mut self, peer: &PeerInfo, now: Time, deaf_until: Time) {
        if self.0.len() >= GONE_MAX {
            self.0.retain(|_, absence| absence.ignored_until > now);
        }
        if self.0.len() >= GONE_MAX
            && let Some(first) = self.0.iter().min_by_key(|(_, a)| a.ignored_until).map(|(id, _)| *id)
        {
            self.0.remove(&first);
        }
        let absence = Absence { seq: peer.seq(), deaf_until, ignored_until: now + HEARSAY_IGNORED };
        self.0.insert(peer.id(), absence);
    }

    /// Whether a name heard from others should be ignored. A newer record is a new life.
    pub(crate) fn ignores_name(&self, peer: &PeerInfo, now: Time) -> bool {
        !self.0.is_empty()
            && self.0.get(peer.id_ref()).is_some_and(|a| a.ignored_until > now && peer.seq() <= a.seq)
    }

    /// Whether even its own words should be ignored.
    pub(crate) fn ignores_words(&self, peer: &PeerInfo, now: Time) -> bool {
        !self.0.is_empty()
            && self.0.get(peer.id_ref()).is_some_and(|a| a.deaf_until > now && peer.seq() <= a.seq)
    }

    /// It is back.
    pub(crate) fn back(&mut self, id: &NodeId) {
        if !self.0.is_empty() {
            self.0.remove(id);
        }
    }
}
