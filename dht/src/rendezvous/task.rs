//! One thing that is done with all who keep a place: an item is handed to them, or they are asked what they keep.
//!
//! A pure bookkeeper, as an operation on a record is: it says whom to ask what, takes in the answers, and says how it
//! went. When no majority can be had it begins anew a little later, until its time is up.

mod spread;
mod survey;

use alloc::{collections::BTreeSet, vec::Vec};
use core::time::Duration;

pub(crate) use spread::Spread;
pub(crate) use survey::{Sighting, Survey};

use super::{ItemId, KeptBy, Rejection, RendezvousError, RendezvousResponse, crowd::Crowd};
use crate::{Distance, Key, NodeId, Time, peer::Peer, records::majority};

/// How long a task that has its majority waits for the others, so that the answer says how many keep it.
const GRACE: Duration = Duration::from_millis(30);
/// First wait before another round; doubles up to [`AGAIN_MAX`].
const AGAIN_MIN: Duration = Duration::from_millis(50);
/// Longest wait before another round.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// What one of those who keep the place has been asked and has answered, in this round.
#[derive(Debug, Clone, Default)]
struct Part {
    asked: bool,
    /// Whether it has answered all that it was asked: it keeps the item or does not, or has told all that it keeps.
    heard: bool,
    kept: bool,
    refused: Option<Rejection>,
    /// Whether it has kept the place for long enough to know all that is there.
    ready: bool,
    /// Where the next page begins that is to be asked for.
    next_page: Option<ItemId>,
    pages: u8,
    /// What it has been asked to send.
    fetching: Vec<ItemId>,
}

/// What the task is for.
#[derive(Debug, Clone)]
pub(crate) enum Work {
    /// To hand an item to all.
    Spread(Spread),
    /// To find out what is kept.
    Survey(Survey),
}

/// What to do now.
#[derive(Debug, PartialEq)]
pub(crate) enum Next {
    /// Hand this node the item.
    Keep(Peer),
    /// Tell this node, which has the item, that it still holds.
    Renew(Peer),
    /// Ask this node what it keeps, after this item.
    Ask(Peer, Option<ItemId>),
    /// Ask this node what these say.
    Fetch(Peer, Vec<ItemId>),
    /// An item has been handed to all; there may be more to do.
    Kept(Result<KeptBy, RendezvousError>),
    /// This is what is kept; or it could not be found out.
    Found(Result<Vec<Sighting>, RendezvousError>),
    /// Wait for answers, or for the moment that the task names.
    Wait,
    /// There is nothing left to do.
    Done,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Those who keep the place are being looked for.
    Locating,
    /// They are being asked.
    Asking,
    /// No majority could be had; another round begins later.
    Resting,
}

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Task {
    pub(crate) place: Key,
    /// Answers of earlier rounds count no more.
    pub(crate) round: u8,
    pub(crate) deadline: Time,
    /// When the next round begins, or the wait for stragglers ends.
    pub(crate) again_at: Option<Time>,
    /// Whether the caller knows how it went.
    pub(crate) told: bool,
    pub(crate) work: Work,
    stage: Stage,
    rounds: u32,
    waited: bool,
    /// Whether somebody did not answer.
    missed: bool,
    crowd: Crowd<Part>,
}

impl Task {
    pub(crate) fn new(place: Key, work: Work, deadline: Time) -> Self {
        Self {
            place,
            round: 0,
            deadline,
            again_at: None,
            told: false,
            work,
            stage: Stage::Locating,
            rounds: 0,
            waited: false,
            missed: false,
            crowd: Crowd::of([]),
        }
    }

    /// Begins a round with these candidates.
    pub(crate) fn begin(&mut self, candidates: impl IntoIterator<Item = (Peer, Distance)>) {
        self.round = self.round.wrapping_add(1);
        self.rounds += 1;
        self.crowd = Crowd::of(candidates);
        self.stage = Stage::Asking;
        self.again_at = None;
        self.waited = false;
        if let Work::Survey(survey) = &mut self.work {
            survey.begin();
        }
    }

    /// What to do now; called until it says to wait.
    pub(crate) fn next(&mut self, now: Time) -> Next {
        match (self.stage, &self.work) {
            (Stage::Locating | Stage::Resting, _) => Next::Wait,
            (Stage::Asking, Work::Spread(_)) => self.spread(now),
            (Stage::Asking, Work::Survey(_)) => self.survey(now),
        }
    }

    /// The ids of those who keep the place.
    pub(crate) fn region_ids(&self) -> impl Iterator<Item = &NodeId> {
        self.crowd.ids()
    }

    /// Those who keep the place and are not silent.
    pub(crate) fn region(&self) -> Vec<Peer> {
        let there = self.crowd.region().filter(|candidate| !candidate.silent);
        there.map(|candidate| candidate.peer.clone()).collect()
    }

    /// Whether somebody did not answer, so that the next task had better look for the region anew.
    pub(crate) fn has_missed(&self) -> bool {
        self.missed
    }

    /// A node of the region has answered. `region`: how it sees the region, if otherwise.
    pub(crate) fn answered(
        &mut self,
        from: &NodeId,
        response: RendezvousResponse,
        region: &[(Peer, Distance)],
        now: Time,
    ) {
        self.crowd.told(region);
        match (response, &mut self.work) {
            (RendezvousResponse::Kept { .. }, Work::Spread(spread)) => {
                spread.known.insert(*from);
                if let Some(part) = self.crowd.answer_of(from) {
                    (part.heard, part.kept) = (true, true);
                }
            }
            (RendezvousResponse::Unknown { .. }, Work::Spread(spread)) => {
                spread.known.remove(from);
                if let Some(part) = self.crowd.answer_of(from) {
                    part.asked = false;
                }
            }
            (RendezvousResponse::Refused { why, .. }, Work::Spread(_)) => {
                if let Some(part) = self.crowd.answer_of(from) {
                    (part.heard, part.refused) = (true, Some(why));
                }
            }
            (RendezvousResponse::Heads { heads, more, ready, .. }, Work::Survey(_)) => {
                self.heads_told(from, &heads, more, ready, now);
            }
            (RendezvousResponse::Items(items), Work::Survey(_)) => self.items_came(from, items),
            // An answer to something else.
            _ => self.silent(from),
        }
    }

    /// A node of the region does not answer.
    pub(crate) fn silent(&mut self, from: &NodeId) {
        self.missed = true;
        self.crowd.silent(from);
        if let Work::Survey(survey) = &mut self.work {
            survey.lost(from);
        }
        if let Some(part) = self.crowd.answer_of(from) {
            part.fetching.clear();
        }
    }

    /// The moment that it named has come. Returns whether the region is to be looked for again.
    pub(crate) fn woken(&mut self) -> bool {
        self.again_at = None;
        self.waited = true;
        self.stage == Stage::Resting && {
            self.stage = Stage::Locating;
            true
        }
    }

    /// The deadline has passed. What to tell the caller, if it has not been told.
    pub(crate) fn out_of_time(&mut self) -> Option<Next> {
        if core::mem::replace(&mut self.told, true) {
            return None;
        }
        let of = self.crowd.region().count().max(1);
        let needed = majority(of);
        Some(match self.work {
            Work::Spread(_) => {
                let stored = self.crowd.count(|part| part.kept);
                Next::Kept(Err(RendezvousError::Unknown { stored, needed, of }))
            }
            Work::Survey(_) => {
                let heard = self.crowd.count(|part| part.heard);
                Next::Found(Err(RendezvousError::NoMajority { heard, needed, of }))
            }
        })
    }

    /// No majority could be had: another round, a little later.
    fn rest(&mut self, now: Time) -> Next {
        if self.told {
            return Next::Done;
        }
        self.stage = Stage::Resting;
        let wait = AGAIN_MIN * (1 << self.rounds.min(5));
        self.again_at = Some(now + wait.min(AGAIN_MAX));
        Next::Wait
    }
}

/// Who of a region has an item.
pub(crate) type Known = BTreeSet<NodeId>;

#[cfg(test)]
mod tests;
