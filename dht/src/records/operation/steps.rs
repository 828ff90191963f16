//! What an operation does next, by what it has heard so far.

use alloc::vec::Vec;
use core::time::Duration;

use super::{AGAIN_MAX, AGAIN_MIN, Answer, Candidate, GRACE, Next, Operation, Stage};
use crate::{
    Time,
    records::{Consistency, Found, Goal, Held, OperationError, Outcome, Refusal, Stored, Write, majority},
};

impl Operation {
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
        let prepare = self.prepares.then_some(self.ballot);
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
        let counts = |answer: &Answer| answer.heard && answer.ready && (prepare.is_none() || answer.promised);
        let (mut counted, mut open, mut of) = (0, 0, 0);
        for Candidate { answer, .. } in self.region() {
            of += 1;
            counted += usize::from(counts(answer));
            open += usize::from(!answer.heard && !answer.silent);
        }
        if counted < majority(of) {
            return if open > 0 { Next::Wait } else { self.rest(now) };
        }
        if !self.is_update() {
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
        // All must hold it under one ballot: else one of them may hide a later attempt's version from whoever asks
        // others.
        let has = |answer: &Answer| {
            let same = |held: &Held| held.record.hash() == best.record.hash() && held.ballot == best.ballot;
            answer.held.as_ref().is_some_and(same)
        };
        let agree = self.region().filter(|candidate| has(&candidate.answer)).count();
        if agree >= majority(of) {
            return self.finish(now);
        }
        let lacks = |answer: &Answer| {
            answer.heard
                && !answer.silent
                && answer.writing.is_none()
                && answer.refused.is_none()
                && !has(answer)
        };
        if let Some(peer) = self.first(lacks) {
            // Who has promised this attempt takes nothing of an earlier one.
            let ballot = if self.prepares { self.ballot } else { best.ballot };
            let handed = Held { record: best.record, ballot };
            if let Some(answer) = self.answer_of(peer.id_ref()) {
                answer.writing = Some(handed.clone());
            }
            return Next::Write(peer, handed, Write::Repair(ballot));
        }
        let open = |answer: &Answer| answer.writing.is_some() || (!answer.heard && !answer.silent);
        if self.region().any(|candidate| open(&candidate.answer)) { Next::Wait } else { self.rest(now) }
    }

    fn write(&mut self, now: Time) -> Next {
        let Some(ours) = self.ours.clone() else { return Next::Done };
        let may = |answer: &Answer| {
            answer.promised
                && answer.writing.is_none()
                && !answer.stored
                && !answer.silent
                && answer.refused.is_none()
        };
        if let Some(peer) = self.first(may) {
            if let Some(answer) = self.answer_of(peer.id_ref()) {
                answer.writing = Some(ours.clone());
            }
            let write = Write::Accept(ours.ballot);
            return Next::Write(peer, ours, write);
        }
        let of = self.region().count();
        let stored = self.region().filter(|candidate| candidate.answer.stored).count();
        let open = |answer: &Answer| answer.writing.is_some() || (!answer.heard && !answer.silent);
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
}
