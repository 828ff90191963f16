//! One operation on a record: whom to ask, what the answers come to, and when it is done.
//!
//! A pure bookkeeper, as a lookup's [`Progress`](crate::lookup::Progress) is. The nearest nine candidates that are not known to
//! be gone are the region. All of them are asked at once; the answers name members that were not known, and by leaving
//! out a silent one say that it is gone.

use alloc::vec::Vec;
use core::time::Duration;

use super::{
    Ballot, Consistency, Found, Goal, Held, OperationError, OperationId, Outcome, REGION, Refusal, Stored,
    Write, majority,
};
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
    /// Whether something has been written to it that it has not answered yet.
    writing: bool,
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

/// See the module's description.
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
            waited: false,
            unchanged: false,
            told: false,
        }
    }

    /// Begins a round with these candidates. Those of the last round who were silent and are not among them are left out.
    /// `drawn`: a random number, which makes this round's ballot one that no other attempt has.
    pub(crate) fn begin(&mut self, drawn: u32, candidates: impl Iterator<Item = (Peer, Distance)>) {
        self.round = self.round.wrapping_add(1);
        self.candidates.clear();
        for (peer, distance) in candidates {
            self.add(&peer, distance);
        }
        self.stage = Stage::Asking;
        self.again_at = None;
        self.waited = false;
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

    /// A node of the region sees the region like this, as far as its members lie `within` what it knows.
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
        let writing = self.writing().cloned();
        if let Some(answer) = self.answer_of(from) {
            answer.writing = false;
            answer.stored = true;
            answer.held = writing.or(answer.held.take());
        }
    }

    /// A node holds something newer than what was written to it.
    pub(crate) fn newer(&mut self, from: &NodeId, held: Held) {
        self.highest = self.highest.max(held.ballot);
        if let Some(answer) = self.answer_of(from) {
            answer.writing = false;
            answer.held = Some(held);
            answer.refused = Some(Refusal::NotPromised);
        }
    }

    /// A node does not keep what was written to it.
    pub(crate) fn refused(&mut self, from: &NodeId, why: Refusal) {
        if let Some(answer) = self.answer_of(from) {
            answer.writing = false;
            answer.refused = Some(why);
        }
    }

    /// A node does not answer.
    pub(crate) fn silent(&mut self, from: &NodeId) {
        if let Some(answer) = self.answer_of(from) {
            answer.silent = true;
            answer.writing = false;
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

    /// What is being written, in this stage.
    fn writing(&self) -> Option<&Held> {
        match self.stage {
            Stage::Writing => self.ours.as_ref(),
            _ => self.best(),
        }
    }

    fn is_update(&self) -> bool {
        self.goal == Goal::Update && !self.unchanged
    }

    /// What to do now; called until it says to wait.
    pub(crate) fn next(&mut self, now: Time) -> Next {
        match self.stage {
            Stage::Locating | Stage::Deciding | Stage::Resting => Next::Wait,
            Stage::Asking => self.ask(now),
            Stage::Repairing => self.repair(now),
            Stage::Writing => self.write(now),
        }
    }

    fn ask(&mut self, now: Time) -> Next {
        let prepare = self.is_update().then_some(self.ballot);
        if let Some(peer) = self.first(|answer| !answer.asked) {
            if let Some(answer) = self.answer_of(peer.id_ref()) {
                answer.asked = true;
            }
            return Next::Ask(peer, prepare);
        }
        if let Some(early) = self.early(now) {
            self.told = true;
            return Next::Tell(Ok(early));
        }
        let update = self.is_update();
        let counts = |answer: &Answer| answer.heard && answer.ready && (!update || answer.promised);
        let (mut counted, mut open, mut of) = (0, 0, 0);
        for Candidate { answer, .. } in self.region() {
            of += 1;
            counted += usize::from(counts(answer));
            open += usize::from(!answer.heard && !answer.silent);
        }
        if counted < majority(of) {
            return if open > 0 { Next::Wait } else { self.rest(now) };
        }
        if !update {
            self.stage = Stage::Repairing;
            return self.repair(now);
        }
        let best = self.best().cloned();
        match &mut self.ours {
            None => {
                self.stage = Stage::Deciding;
                Next::Decide(best)
            }
            // Another round of the same attempt: nobody has changed the record since, or only we ourselves have.
            Some(ours)
                if best.as_ref().is_none_or(|best| {
                    best.record.hash() == ours.record.hash()
                        || ours.record.statement().previous == Some(best.record.hash())
                }) =>
            {
                ours.ballot = self.ballot;
                self.stage = Stage::Writing;
                self.write(now)
            }
            Some(_) => {
                self.unchanged = true;
                self.stage = Stage::Repairing;
                self.repair(now)
            }
        }
    }

    /// What a reader that takes what comes first may be told already.
    fn early(&self, now: Time) -> Option<Outcome> {
        let enough = |held: &Held| match self.goal {
            Goal::Read(Consistency::Fast) => true,
            Goal::Read(Consistency::AtLeast(seq)) => held.record.seq() >= seq,
            _ => false,
        };
        self.best().filter(|held| !self.told && enough(held))?;
        Some(Outcome::Found(self.found(now)))
    }

    fn found(&self, now: Time) -> Found {
        let held = self.best().cloned();
        let hash = held.as_ref().map(|held| held.record.hash());
        let hash_of = |answer: &Answer| answer.held.as_ref().map(|held| held.record.hash());
        let heard = || self.region().filter(|candidate| candidate.answer.heard);
        Found {
            agree: heard().filter(|candidate| hash_of(&candidate.answer) == hash).count(),
            heard: heard().count(),
            of: self.region().count(),
            elapsed: now.since(self.started),
            held,
        }
    }

    fn repair(&mut self, now: Time) -> Next {
        let Some(best) = self.best().cloned() else { return self.finish(now) };
        let of = self.region().count();
        let has = |answer: &Answer| {
            answer.held.as_ref().is_some_and(|held| held.record.hash() == best.record.hash())
        };
        let agree = self.region().filter(|candidate| has(&candidate.answer)).count();
        if agree >= majority(of) {
            return self.finish(now);
        }
        let lacks = |answer: &Answer| {
            answer.heard && !answer.silent && !answer.writing && answer.refused.is_none() && !has(answer)
        };
        if let Some(peer) = self.first(lacks) {
            if let Some(answer) = self.answer_of(peer.id_ref()) {
                answer.writing = true;
            }
            let write = Write::Repair(best.ballot);
            return Next::Write(peer, best, write);
        }
        let open = |answer: &Answer| answer.writing || (!answer.heard && !answer.silent);
        if self.region().any(|candidate| open(&candidate.answer)) { Next::Wait } else { self.rest(now) }
    }

    fn write(&mut self, now: Time) -> Next {
        let Some(ours) = self.ours.clone() else { return Next::Done };
        let may = |answer: &Answer| {
            answer.promised && !answer.writing && !answer.stored && !answer.silent && answer.refused.is_none()
        };
        if let Some(peer) = self.first(may) {
            if let Some(answer) = self.answer_of(peer.id_ref()) {
                answer.writing = true;
            }
            let write = Write::Accept(ours.ballot);
            return Next::Write(peer, ours, write);
        }
        let of = self.region().count();
        let stored = self.region().filter(|candidate| candidate.answer.stored).count();
        let open = |answer: &Answer| answer.writing || (!answer.heard && !answer.silent);
        let open = self.region().filter(|candidate| open(&candidate.answer)).count();
        if stored >= majority(of) {
            if open > 0 && !self.waited {
                self.again_at.get_or_insert(now + GRACE);
                return Next::Wait;
            }
            if core::mem::replace(&mut self.told, true) {
                return Next::Done;
            }
            let elapsed = now.since(self.started);
            return Next::Tell(Ok(Outcome::Stored(Stored { held: ours, stored, of, elapsed })));
        }
        if open > 0 {
            return Next::Wait;
        }
        let finally = |answer: &Answer| answer.refused.filter(|why| *why != Refusal::NotPromised);
        let refusals: Vec<Refusal> =
            self.region().filter_map(|candidate| finally(&candidate.answer)).collect();
        match refusals.first().copied() {
            Some(why) if refusals.len() > of - majority(of) => {
                if core::mem::replace(&mut self.told, true) {
                    return Next::Done;
                }
                Next::Tell(Err(OperationError::Refused(why)))
            }
            _ => self.rest(now),
        }
    }

    fn finish(&mut self, now: Time) -> Next {
        if core::mem::replace(&mut self.told, true) {
            return Next::Done;
        }
        let found = self.found(now);
        Next::Tell(Ok(if self.goal == Goal::Update {
            Outcome::Unchanged(found)
        } else {
            Outcome::Found(found)
        }))
    }

    /// No majority could be had: another round, a little later. A read that has told what it found need not be sure.
    fn rest(&mut self, now: Time) -> Next {
        if self.told {
            return Next::Done;
        }
        self.stage = Stage::Resting;
        let wait = AGAIN_MIN * (1 << u32::from(self.round.min(5)));
        // Two that keep each other from a majority must not do so for ever: they wait differently long.
        let spread = u64::from(self.ballot.bytes()[7] ^ self.round) % 50;
        let at = now + wait.min(AGAIN_MAX) + Duration::from_millis(spread);
        self.again_at = Some(at);
        Next::Wait
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
        Some(Err(if self.ours.is_some() && !self.unchanged {
            OperationError::Unknown { stored: count(|answer| answer.stored), needed, of }
        } else {
            OperationError::NoMajority { heard: count(|answer| answer.heard && answer.ready), needed, of }
        }))
    }
}

#[cfg(test)]
mod tests;
