//! One operation on a record: whom to ask, what the answers come to, and when it is done.
//!
//! A pure bookkeeper, as a lookup's [`Progress`](crate::lookup::Progress) is. The nearest nine candidates that are not
//! known to be gone are the region. All of them are asked at once; the answers name members that were not known, and by
//! leaving out a silent one say that it is gone.

mod steps;

use alloc::vec::Vec;
use core::time::Duration;

use super::{Ballot, Goal, Held, OperationError, OperationId, Outcome, REGION, Refusal, Write, majority};
use crate::{Distance, Key, NodeId, Time, peer::Peer};

/// Candidates kept; the farthest are forgotten.
const CANDIDATES_MAX: usize = 24;
/// How long a write that counts already waits for the rest of its region, so that the answer says how many keep it.
const GRACE: Duration = Duration::from_millis(30);
/// First wait before another round; doubles up to [`AGAIN_MAX`].
const AGAIN_MIN: Duration = Duration::from_millis(50);
/// Longest wait before another round.
const AGAIN_MAX: Duration = Duration::from_secs(1);

/// Where an operation stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The region is being looked for.
    Locating,
    /// The region is being asked what it holds.
    Asking,
    /// What was found is being handed to those who lack it.
    Repairing,
    /// The caller is to say what follows.
    Deciding,
    /// The new version is being written.
    Writing,
    /// No majority could be had; another round begins later.
    Resting,
}

/// What to do now.
#[derive(Debug)]
pub(crate) enum Next {
    /// Ask this node what it holds, and to promise if a ballot is given.
    Ask(Peer, Option<Ballot>),
    /// Write this to that node.
    Write(Peer, Held, Write),
    /// Tell the caller what is held; it decides.
    Decide(Option<Held>),
    /// Tell the caller how it went, and go on.
    Tell(Result<Outcome, OperationError>),
    /// Wait for answers, or for the moment that the operation names.
    Wait,
    /// There is nothing left to do.
    Done,
}

/// What is known of one candidate in this round.
#[derive(Debug, Clone, Default)]
struct Answer {
    asked: bool,
    /// Whether it has told what it holds.
    heard: bool,
    ready: bool,
    promised: bool,
    held: Option<Held>,
    /// What has been written to it and it has not answered yet.
    writing: Option<Held>,
    stored: bool,
    refused: Option<Refusal>,
    silent: bool,
    /// Whether somebody near it does not know it.
    unknown_to_others: bool,
}

#[derive(Debug, Clone)]
struct Candidate {
    peer: Peer,
    distance: Distance,
    answer: Answer,
}

/// See the module's description. It has many fields because what one round finds out decides what the next one does.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    pub(crate) id: OperationId,
    pub(crate) address: Key,
    pub(crate) stage: Stage,
    /// Answers of earlier rounds count no more.
    pub(crate) round: u8,
    pub(crate) deadline: Time,
    /// When the next round begins, or the wait for stragglers ends.
    pub(crate) again_at: Option<Time>,
    goal: Goal,
    started: Time,
    ballot: Ballot,
    /// The highest ballot that anybody has promised.
    highest: Ballot,
    candidates: Vec<Candidate>,
    /// The version that the caller wants to be next.
    ours: Option<Held>,
    /// Whether this round asks for promises.
    prepares: bool,
    /// Whether even a read does so in the next round: somebody has promised a later attempt, and would not take what
    /// was found before that attempt has ended.
    insists: bool,
    /// Whether the wait for stragglers is over.
    waited: bool,
    /// Whether the caller has decided against a change, or cannot have it.
    unchanged: bool,
    told: bool,
}

impl Operation {
    pub(crate) fn new(id: OperationId, address: Key, goal: Goal, now: Time, deadline: Time) -> Self {
        Self {
            id,
            address,
            stage: Stage::Locating,
            round: 0,
            deadline,
            again_at: None,
            goal,
            started: now,
            ballot: Ballot::default(),
            highest: Ballot::default(),
            candidates: Vec::new(),
            ours: None,
            prepares: false,
            insists: false,
            waited: false,
            unchanged: false,
            told: false,
        }
    }

    /// Whether those who keep the record are to tell of changes.
    pub(crate) fn is_watch(&self) -> bool {
        self.goal == Goal::Watch
    }

    /// Begins a round with these candidates; those of the last round are forgotten. `drawn`: a random number, which
    /// makes this round's ballot one that no other attempt has.
    pub(crate) fn begin(&mut self, drawn: u32, candidates: impl Iterator<Item = (Peer, Distance)>) {
        self.round = self.round.wrapping_add(1);
        self.candidates.clear();
        for (peer, distance) in candidates {
            self.add(&peer, distance);
        }
        self.stage = Stage::Asking;
        self.again_at = None;
        self.waited = false;
        self.prepares = self.goal == Goal::Update || self.insists;
        self.ballot = self.highest.above(drawn);
        self.highest = self.ballot;
    }

    /// Adds a candidate, unless it is known.
    pub(crate) fn add(&mut self, peer: &Peer, distance: Distance) {
        let key = |candidate: &Candidate| (candidate.distance, candidate.peer.id());
        let place = self.candidates.partition_point(|candidate| key(candidate) < (distance, peer.id()));
        if self.candidates.get(place).is_some_and(|candidate| candidate.peer.id() == peer.id()) {
            return;
        }
        self.candidates.insert(place, Candidate { peer: peer.clone(), distance, answer: Answer::default() });
        self.candidates.truncate(CANDIDATES_MAX);
    }

    fn region(&self) -> impl Iterator<Item = &Candidate> {
        let gone = |answer: &Answer| answer.silent && answer.unknown_to_others;
        self.candidates.iter().filter(move |candidate| !gone(&candidate.answer)).take(REGION)
    }

    /// The nearest of the region of whom this is so.
    fn first(&self, so: impl Fn(&Answer) -> bool) -> Option<Peer> {
        self.region().find(|candidate| so(&candidate.answer)).map(|found| found.peer.clone())
    }

    /// The ids of the region.
    pub(crate) fn region_ids(&self) -> impl Iterator<Item = &NodeId> {
        self.region().map(|candidate| candidate.peer.id_ref())
    }

    fn answer_of(&mut self, id: &NodeId) -> Option<&mut Answer> {
        self.candidates
            .iter_mut()
            .find(|candidate| candidate.peer.id_ref() == id)
            .map(|found| &mut found.answer)
    }

    /// A node of the region sees the region like this. If it names nine, it says nothing of nodes beyond the farthest.
    pub(crate) fn region_told(&mut self, region: &[(Peer, Distance)]) {
        let Some(farthest) = region.iter().map(|(_, distance)| *distance).max() else { return };
        let full = region.len() >= REGION;
        for candidate in &mut self.candidates {
            if (!full || candidate.distance < farthest)
                && region.iter().all(|(peer, _)| peer.id() != candidate.peer.id())
            {
                candidate.answer.unknown_to_others = true;
            }
        }
        for (peer, distance) in region {
            self.add(peer, *distance);
        }
    }

    /// A node has told what it holds.
    pub(crate) fn heard(&mut self, from: &NodeId, ready: bool, promised: Ballot, held: Option<Held>) {
        self.highest = self.highest.max(promised);
        let ballot = self.ballot;
        if let Some(answer) = self.answer_of(from) {
            answer.heard = true;
            answer.ready = ready;
            answer.promised = promised == ballot;
            answer.held = held;
        }
    }

    /// A node keeps what was written to it.
    pub(crate) fn stored(&mut self, from: &NodeId) {
        if let Some(answer) = self.answer_of(from)
            && let Some(written) = answer.writing.take()
        {
            answer.stored = true;
            answer.held = Some(written);
        }
    }

    /// A node holds something newer than what was written to it.
    pub(crate) fn newer(&mut self, from: &NodeId, held: Held) {
        self.highest = self.highest.max(held.ballot);
        if let Some(answer) = self.answer_of(from) {
            answer.writing = None;
            answer.held = Some(held);
            answer.refused = Some(Refusal::NotPromised);
        }
    }

    /// A node does not keep what was written to it.
    pub(crate) fn refused(&mut self, from: &NodeId, why: Refusal) {
        self.insists |= self.stage == Stage::Repairing && why == Refusal::NotPromised;
        if let Some(answer) = self.answer_of(from) {
            answer.writing = None;
            answer.refused = Some(why);
        }
    }

    /// A node does not answer.
    pub(crate) fn silent(&mut self, from: &NodeId) {
        if let Some(answer) = self.answer_of(from) {
            answer.silent = true;
            answer.writing = None;
        }
    }

    /// What the caller wants to be next, if anything.
    pub(crate) fn decided(&mut self, record: Option<alloc::sync::Arc<super::Record>>) {
        if self.stage != Stage::Deciding {
            return;
        }
        match record {
            Some(record) => {
                self.ours = Some(Held { record, ballot: self.ballot });
                self.stage = Stage::Writing;
            }
            None => {
                self.unchanged = true;
                self.stage = Stage::Repairing;
            }
        }
    }

    /// The newest version that anybody of the region has told of.
    fn best(&self) -> Option<&Held> {
        let held = self.region().filter_map(|candidate| candidate.answer.held.as_ref());
        held.max_by(|a, b| a.order(b))
    }

    fn is_update(&self) -> bool {
        self.goal == Goal::Update && !self.unchanged
    }

    /// The moment that it named has come. Returns whether the region is to be looked for again.
    pub(crate) fn woken(&mut self) -> bool {
        self.again_at = None;
        self.waited = true;
        let again = self.stage == Stage::Resting;
        if again {
            self.stage = Stage::Locating;
        }
        again
    }

    /// The deadline has passed. What to tell the caller, if it has not been told.
    pub(crate) fn out_of_time(&mut self) -> Option<Result<Outcome, OperationError>> {
        if core::mem::replace(&mut self.told, true) {
            return None;
        }
        let of = self.region().count().max(1);
        let needed = majority(of);
        let count = |counts: fn(&Answer) -> bool| self.region().filter(|found| counts(&found.answer)).count();
        // Even if another version has come first: that one may follow ours, which somebody has taken.
        Some(Err(if self.ours.is_some() {
            OperationError::Unknown { stored: count(|answer| answer.stored), needed, of }
        } else {
            OperationError::NoMajority { heard: count(|answer| answer.heard && answer.ready), needed, of }
        }))
    }
}

#[cfg(test)]
mod tests;
