//! Asking all who keep a place what they keep.
//!
//! Each tells heads: what there is, and since when its provider has not been heard. What the asker does not have yet it
//! fetches from those who say that they have it, and nothing counts before it is here: nobody can withdraw what is not
//! his, or hide it behind a higher number, by saying so.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};
use core::ops::Bound;

use super::{Next, Task, Work};
use crate::{
    NodeId, Time,
    records::majority,
    rendezvous::{GONE_AFTER, HEADS_PER_PAGE, Head, Item, ItemId, ItemKind, PER_PLACE, PER_TOPIC, Stamp},
};

/// Pages of one holder's heads.
const PAGES_MAX: u8 = (PER_PLACE / HEADS_PER_PAGE) as u8;
/// Items that one question asks for.
const FETCHED_AT_ONCE: usize = 32;

/// What was found of one item.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sighting {
    pub(crate) id: ItemId,
    /// When the provider of a listing was last heard by anybody, in milliseconds of this node's clock; below zero if
    /// before the clock began.
    pub(crate) heard_at: i64,
    /// What it says; none if the asker has known it before.
    pub(crate) item: Option<Item>,
}

#[derive(Debug, Clone)]
struct Claim {
    heard_at: i64,
    /// Who says that it has it, and may be asked.
    holders: Vec<NodeId>,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Survey {
    pub(crate) kind: ItemKind,
    /// Whether those who keep the place are to tell of changes from now on.
    pub(crate) watch: bool,
    /// What the asker has.
    known: BTreeSet<ItemId>,
    /// Messages up to this one are of no interest.
    floor: Option<Stamp>,
    /// So many of the newest messages are fetched.
    newest: usize,
    claims: BTreeMap<ItemId, Claim>,
    fetched: BTreeMap<ItemId, Item>,
    /// Whether a majority has told all that it keeps.
    complete: bool,
}

impl Survey {
    /// Of listings. `known`: those that the asker has.
    pub(crate) fn of_listings(watch: bool, known: BTreeSet<ItemId>) -> Self {
        Self {
            kind: ItemKind::Listing,
            watch,
            known,
            floor: None,
            newest: usize::MAX,
            claims: BTreeMap::new(),
            fetched: BTreeMap::new(),
            complete: false,
        }
    }

    /// Of the messages above `floor`; `newest` of them are fetched at most.
    pub(crate) fn of_messages(known: BTreeSet<ItemId>, floor: Option<Stamp>, newest: usize) -> Self {
        Self { kind: ItemKind::Message, floor, newest, ..Self::of_listings(true, known) }
    }

    pub(super) fn begin(&mut self) {
        self.claims.clear();
        self.complete = false;
    }

    fn has(&self, id: &ItemId) -> bool {
        self.known.contains(id) || self.fetched.contains_key(id)
    }

    /// Somebody says that it has this.
    fn claim(&mut self, id: ItemId, heard_at: i64, holder: &NodeId) {
        let claim = self.claims.entry(id).or_insert(Claim { heard_at, holders: Vec::new() });
        claim.heard_at = claim.heard_at.max(heard_at);
        if !claim.holders.contains(holder) {
            claim.holders.push(*holder);
        }
    }

    /// This one can no longer be asked for anything.
    pub(super) fn lost(&mut self, holder: &NodeId) {
        let Self { claims, known, fetched, .. } = self;
        claims.retain(|id, claim| {
            claim.holders.retain(|other| other != holder);
            !claim.holders.is_empty() || known.contains(id) || fetched.contains_key(id)
        });
    }

    /// This one does not have these, whatever it has said.
    fn lacks(&mut self, holder: &NodeId, wanted: &[ItemId]) {
        for id in wanted {
            let Some(claim) = self.claims.get_mut(id) else { continue };
            claim.holders.retain(|other| other != holder);
            if claim.holders.is_empty() && !self.has(id) {
                self.claims.remove(id);
            }
        }
    }

    /// The items that count: of a listing its newest version, of messages all.
    fn counting(&self) -> impl DoubleEndedIterator<Item = (&ItemId, &Claim)> {
        let newest = |id: &ItemId| {
            let above = self.claims.range((Bound::Excluded(*id), Bound::Unbounded)).next();
            above.is_none_or(|(above, _)| above.listing() != id.listing())
        };
        self.claims.iter().filter(move |(id, _)| self.kind == ItemKind::Message || newest(id))
    }

    /// What is to be fetched.
    pub(super) fn wanted(&self) -> Vec<ItemId> {
        let mut counting: Vec<ItemId> = self.counting().map(|(id, _)| *id).collect();
        if self.kind == ItemKind::Message {
            counting.sort_unstable_by_key(|id| core::cmp::Reverse(Stamp::from(id)));
            counting.truncate(self.newest);
        }
        counting.retain(|id| !self.has(id));
        counting
    }
}

impl Task {
    pub(super) fn survey(&mut self, now: Time) -> Next {
        if let Some((peer, part)) = self.crowd.first(|part| !part.asked || part.next_page.is_some()) {
            part.asked = true;
            return Next::Ask(peer, part.next_page.take());
        }
        let of = self.crowd.region().count();
        let heard = self.crowd.count(|part| part.heard);
        let ready = self.crowd.count(|part| part.heard && part.ready);
        let open = self.crowd.open(|part| part.heard);
        let Work::Survey(survey) = &mut self.work else { return Next::Done };
        // Newcomers may lack what others have, so all are waited for if there are many of them.
        survey.complete |= ready >= majority(of) || (open == 0 && heard >= majority(of));
        if !survey.complete {
            return if open > 0 { Next::Wait } else { self.rest(now) };
        }
        let survey = &*survey;
        let wanted = survey.wanted();
        if wanted.is_empty() {
            self.told = true;
            return match self.sightings() {
                Some(found) => Next::Found(Ok(found)),
                None => Next::Done,
            };
        }
        let fetching: BTreeSet<ItemId> =
            self.crowd.region().flat_map(|candidate| candidate.answer.fetching.iter().copied()).collect();
        for id in wanted.iter().filter(|id| !fetching.contains(id)) {
            let holders = survey.claims.get(id).map_or(&[][..], |claim| &claim.holders[..]);
            let Some(holder) = holders.iter().copied().find(|holder| {
                let part = self.crowd.region().find(|candidate| candidate.peer.id_ref() == holder);
                part.is_some_and(|candidate| !candidate.silent && candidate.answer.fetching.is_empty())
            }) else {
                continue;
            };
            let of_this = |id: &&ItemId| {
                !fetching.contains(id)
                    && survey.claims.get(id).is_some_and(|claim| claim.holders.contains(&holder))
            };
            let ids: Vec<ItemId> = wanted.iter().filter(of_this).take(FETCHED_AT_ONCE).copied().collect();
            let peer = self.crowd.region().find(|found| *found.peer.id_ref() == holder);
            let Some(peer) = peer.map(|found| found.peer.clone()) else { continue };
            if let Some(part) = self.crowd.answer_of(&holder) {
                part.fetching.clone_from(&ids);
            }
            return Next::Fetch(peer, ids);
        }
        if !fetching.is_empty() { Next::Wait } else { self.rest(now) }
    }

    /// A node has told a page of what it keeps.
    pub(super) fn heads_told(&mut self, from: &NodeId, heads: &[Head], more: bool, ready: bool, now: Time) {
        let Work::Survey(survey) = &mut self.work else { return };
        let Some(part) = self.crowd.answer_of(from) else { return };
        let (most, pages_max) = match survey.kind {
            ItemKind::Listing => (HEADS_PER_PAGE, PAGES_MAX),
            ItemKind::Message => (PER_TOPIC, 1),
        };
        for Head { id, age } in heads.iter().take(most) {
            let below = survey.floor.is_some_and(|floor| Stamp::from(id) <= floor);
            if u128::from(*age) < GONE_AFTER.as_millis() && !below {
                survey.claim(*id, (now.as_micros() / 1000) as i64 - i64::from(*age), from);
            }
        }
        part.pages += 1;
        part.ready = ready;
        // Whoever goes on for ever is taken to be at its end.
        let next = heads.last().filter(|_| more && part.pages < pages_max).map(|head| head.id);
        part.heard = next.is_none();
        part.next_page = next;
    }

    /// A node has sent some of what it was asked for.
    pub(super) fn items_came(&mut self, from: &NodeId, items: Vec<Item>) {
        let Work::Survey(survey) = &mut self.work else { return };
        let Some(part) = self.crowd.answer_of(from) else { return };
        let asked = core::mem::take(&mut part.fetching);
        let mut came = false;
        for item in items {
            let id = item.id();
            // A listing may have a newer version by now.
            let Some(wanted) = asked.iter().find(|asked| match survey.kind {
                ItemKind::Listing => asked.listing() == id.listing() && asked.seq <= id.seq,
                ItemKind::Message => **asked == id,
            }) else {
                continue;
            };
            if item.kind() != survey.kind || *item.place() != self.place {
                continue;
            }
            came = true;
            let heard_at = survey.claims.get(wanted).map_or(i64::MIN, |claim| claim.heard_at);
            survey.claim(id, heard_at, from);
            survey.fetched.insert(id, item);
        }
        if !came {
            survey.lacks(from, &asked);
        }
    }

    fn sightings(&self) -> Option<Vec<Sighting>> {
        let Work::Survey(survey) = &self.work else { return None };
        let sighting = |(id, claim): (&ItemId, &Claim)| Sighting {
            id: *id,
            heard_at: claim.heard_at,
            item: survey.fetched.get(id).cloned(),
        };
        Some(survey.counting().map(sighting).collect())
    }
}
