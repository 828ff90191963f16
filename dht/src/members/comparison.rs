//! Comparing two lists of members without sending them.
//!
//! The asker sends a digest of every arc; the other answers with names and versions of its members in those arcs in
//! which the two differ, as many as fit; the asker asks for the records it lacks and sends those the other lacks. So a
//! list is downloaded once, by whoever has none, and from then on only differences are.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{
    Announcement, IdPrefix, News, Scope,
    view::{ARCS, Entry, View},
};
use crate::peer::Peer;

/// Digest of the members of one arc of the ring, and of the versions of their records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest(pub [u8; 8]);

/// The members in one arc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArcMembers {
    /// Which arc, of as many as there were digests.
    pub arc: u16,
    /// The members in it, and the versions of their records.
    pub members: Vec<(IdPrefix, u64)>,
}

/// Bytes of names in one answer. Design: what a message may have, and some room.
const NAMES_BYTES: usize = 12 * 1024;
/// Longest encoding of a name: eight bytes and a version.
const NAME_BYTES: usize = 8 + 10;
/// Records asked for at a time. Design: their answer fits in a message if they have a few addresses.
pub(crate) const RECORDS_MAX: usize = 64;
/// Bytes of records in one answer.
const RECORDS_BYTES: usize = 12 * 1024;
/// Rounds of one comparison; each brings hundreds of members. Design.
const ROUNDS_MAX: u16 = 256;

/// A comparison under way.
#[derive(Debug, Clone)]
pub(crate) struct Comparison {
    pub(crate) partner: Peer,
    pub(crate) scope: Scope,
    /// How many arcs were compared.
    arcs: usize,
    /// Members whose records are still to be asked for.
    wanted: Vec<IdPrefix>,
    /// Whether the other had more to say.
    more: bool,
    rounds: u16,
    /// Whether the last round has changed anything here.
    progress: bool,
}

/// What a comparison does next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// Asks for these records.
    Records(Vec<IdPrefix>),
    /// Sends digests again.
    Compare(Vec<Digest>),
    /// Is over.
    Done,
}

impl Comparison {
    /// Begins, in a network of about this many members.
    pub(crate) fn new(partner: Peer, scope: Scope, view: &View, members: usize) -> (Self, Vec<Digest>) {
        let arcs = View::arcs_for(members.max(view.len()));
        let (wanted, more, rounds, progress) = (Vec::new(), false, 0, false);
        let comparison = Self { partner, scope, arcs, wanted, more, rounds, progress };
        (comparison, view.digests(arcs))
    }

    /// The other has said where it differs. Returns what it lacks.
    pub(crate) fn differences(&mut self, view: &View, theirs: &[ArcMembers], more: bool) -> Vec<News> {
        self.rounds += 1;
        self.more = more;
        self.progress = false;
        let mut lacking = Vec::new();
        let mut next_arc = 0;
        for ArcMembers { arc, members } in theirs {
            // Each once and in order: an arc named again and again would be answered again and again.
            if usize::from(*arc) < next_arc || usize::from(*arc) >= self.arcs {
                continue;
            }
            next_arc = usize::from(*arc) + 1;
            for (prefix, seq) in members {
                match (view.get(prefix).map(|entry| entry.peer().seq()), view.gone(prefix)) {
                    (Some(ours), _) if ours >= *seq => {}
                    (None, Some(gone)) if gone >= *seq => {
                        lacking.push(News::Gone { peer: *prefix, seq: *seq });
                    }
                    _ => self.wanted.push(*prefix),
                }
            }
            for entry in view.in_arc((*arc).into(), self.arcs) {
                let prefix = IdPrefix::from(entry.peer().id_ref());
                let newer = members.iter().find(|(theirs, _)| *theirs == prefix);
                if newer.is_none_or(|(_, seq)| *seq < entry.peer().seq()) {
                    lacking.push(News::Member(entry.announcement.clone()));
                }
            }
        }
        lacking
    }

    /// Some of the records that were asked for have come and been taken in.
    pub(crate) fn received(&mut self, changed: bool) {
        self.progress |= changed;
    }

    pub(crate) fn next(&mut self, view: &View) -> Next {
        if !self.wanted.is_empty() {
            let rest = self.wanted.len().saturating_sub(RECORDS_MAX);
            return Next::Records(self.wanted.split_off(rest));
        }
        if self.more && self.progress && self.rounds < ROUNDS_MAX {
            return Next::Compare(view.digests(self.arcs));
        }
        Next::Done
    }
}

/// Where this list differs from one with such digests, as far as fits, and whether there is more. Nothing if so many
/// digests make no sense.
pub(crate) fn differences(view: &View, digests: &[Digest]) -> Option<(Vec<ArcMembers>, bool)> {
    let count = digests.len();
    if !count.is_power_of_two() || count > ARCS {
        return None;
    }
    let (mut arcs, mut bytes, mut more) = (Vec::new(), 0, false);
    let ours = view.digests(count);
    for arc in (0..count).filter(|arc| ours[*arc] != digests[*arc]) {
        let members = view.in_arc(arc, count);
        let length = 4 + members.len() * NAME_BYTES;
        if bytes + length > NAMES_BYTES {
            more = true;
            continue;
        }
        bytes += length;
        let name = |entry: &Entry| (entry.peer().id_ref().into(), entry.peer().seq());
        arcs.push(ArcMembers { arc: arc as u16, members: members.iter().map(name).collect() });
    }
    Some((arcs, more))
}

/// The records of these members, as many as fit.
pub(crate) fn records<'a>(
    get: impl Fn(&IdPrefix) -> Option<&'a Entry>,
    wanted: &[IdPrefix],
) -> Vec<Arc<Announcement>> {
    let mut bytes = 0;
    let known = wanted.iter().take(RECORDS_MAX).filter_map(get);
    let fitting = known.map(|entry| entry.announcement.clone()).take_while(|announcement| {
        bytes += announcement.encoded_len();
        bytes <= RECORDS_BYTES
    });
    fitting.collect()
}

/// Takes in records that were asked for. Returns whether any was new.
pub(crate) fn take_records(records: &[Arc<Announcement>], mut take: impl FnMut(&News) -> bool) -> bool {
    let mut changed = false;
    for announcement in records.iter().take(RECORDS_MAX) {
        changed |= take(&News::Member(announcement.clone()));
    }
    changed
}

#[cfg(test)]
mod tests;
