//! Whether a neighbour lives: what is held against it, and when that is enough.
//!
//! ```text
//!           another says that it is down             it misses a question
//!  Trusted -----------------------------> Accused ------------------------> Suspected ---> dead
//!     | ^                                    |                                ^    |
//!     | +------------ it speaks -------------+--------------------------------|----+
//!     +--------------------------- it misses a question ----------------------+
//! ```
//!
//! A suspect is asked again, and others are asked to reach it (SWIM, Das et al. 2002). It is dead when the transport
//! has refused it twice, or when it has missed four questions (two, if another has announced its death) and the
//! suspicion has lasted: twice the configured time; once, if another node cannot reach it either; a sixth, if another
//! has been through all this and has announced the death (after Lifeguard, Dadgar et al. 2017). A peer that others
//! reach and we do not is kept three times as long: the fault may be ours, or the link's.

use core::time::Duration;

use crate::Time;

/// Own probes that must be missed before a neighbour is dropped that others have announced or the transport refuses.
/// Design.
const MISSES_MIN: u8 = 2;
/// The same for the first to notice, whatever helpers say. Design: with 2 % of messages lost, four are missed in a row
/// once in 400,000 times.
const MISSES_FIRST: u8 = 4;
/// Parts of the configured suspicion that are waited, and probes apart, when another has announced the death. Design.
const ANNOUNCED_PARTS: u32 = 6;
/// Probes of a suspect within the configured suspicion while nobody has announced its death. Design.
const PROBES: u32 = 3;
/// Under XOR, a death heard from so many others is not news any more. Design.
const HEARD_ENOUGH: u8 = 4;
/// Stands for no time at all; an `Option` would take 8 bytes more in each of forty leaves.
const NEVER: Time = Time::from_micros(u64::MAX);

/// What this node thinks of a neighbour's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing is held against it.
    Trusted,
    /// Another neighbour has announced that it is down, and it has missed nothing of ours.
    Accused,
    /// It has missed questions of ours.
    Suspected {
        /// Since it missed the first of them.
        since: Time,
    },
}

/// What is held against one neighbour since it last spoke, and whether it is being asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspicion {
    /// When it first missed a question; [`NEVER`] if it has not.
    since: Time,
    /// Own questions missed in a row.
    missed: u8,
    /// Of these, how often the transport said that it could not be reached.
    refused: u8,
    /// Others who lost it too.
    confirmations: u8,
    /// Others who reached it although we could not.
    vouchers: u8,
    /// Whether another neighbour has announced that it is down.
    announced: bool,
    /// Whether a probe is under way.
    probing: bool,
    /// Whether it is to be probed soon because others miss it.
    doubted: bool,
}

impl Suspicion {
    pub(crate) const NONE: Self = Self {
        since: NEVER,
        missed: 0,
        refused: 0,
        confirmations: 0,
        vouchers: 0,
        announced: false,
        probing: false,
        doubted: false,
    };

    pub(crate) fn stage(&self) -> Stage {
        match self.since {
            NEVER if self.announced => Stage::Accused,
            NEVER => Stage::Trusted,
            since => Stage::Suspected { since },
        }
    }

    pub(crate) fn is_suspected(&self) -> bool {
        self.since != NEVER
    }

    /// Own questions that it has missed in a row.
    pub(crate) fn missed(&self) -> u8 {
        self.missed
    }

    /// Whether another neighbour has announced that it is down.
    pub(crate) fn is_announced(&self) -> bool {
        self.announced
    }

    /// Under XOR, whether so many have told of the death that the others know too.
    pub(crate) fn has_spread(&self) -> bool {
        self.confirmations >= HEARD_ENOUGH
    }

    /// It has spoken: nothing is held against it any more. Whether it is being asked, or is to be, remains.
    pub(crate) fn speaks(&mut self) {
        *self = Self { probing: self.probing, doubted: self.doubted, ..Self::NONE };
    }

    /// It has left a question of ours unanswered, or the transport has `refused` it. Returns whether it becomes
    /// suspected.
    pub(crate) fn misses(&mut self, now: Time, refused: bool) -> bool {
        self.missed = self.missed.saturating_add(1);
        self.refused = self.refused.saturating_add(u8::from(refused));
        let first = !self.is_suspected();
        if first {
            self.since = now;
        }
        first
    }

    /// Another neighbour has announced that it is down.
    pub(crate) fn is_said_to_be_down(&mut self) {
        self.confirmations = self.confirmations.saturating_add(1);
        self.announced = true;
    }

    /// A helper has tried to reach it. Returns whether that counts: only while it is suspected.
    pub(crate) fn was_tried(&mut self, reached: bool) -> bool {
        if self.is_suspected() {
            let count = if reached { &mut self.vouchers } else { &mut self.confirmations };
            *count = count.saturating_add(1);
        }
        self.is_suspected()
    }

    /// How far apart probes of it are, where `whole` is the configured suspicion.
    pub(crate) fn between_probes(whole: Duration, announced: bool) -> Duration {
        whole / if announced { ANNOUNCED_PARTS } else { PROBES }
    }

    /// Whether it counts as dead. `whole` is the configured suspicion, `stretched` the same by this node's own health.
    pub(crate) fn is_fatal(&self, now: Time, whole: Duration, stretched: Duration) -> bool {
        let Stage::Suspected { since } = self.stage() else { return false };
        let enough = if self.announced { MISSES_MIN } else { MISSES_FIRST };
        let has_lasted = now.since(since) >= self.patience(whole, stretched);
        self.refused >= MISSES_MIN || self.missed >= enough && has_lasted
    }

    /// How long it is suspected before it is dead. Never less than the whole for the first to notice, however many
    /// agree: a process that is stopped for a few seconds is reached by nobody, and lives.
    fn patience(&self, whole: Duration, stretched: Duration) -> Duration {
        match self {
            Self { vouchers: 1.., .. } => whole * 3,
            Self { announced: true, .. } => stretched / ANNOUNCED_PARTS,
            Self { confirmations: 1.., .. } => stretched,
            _ => stretched * 2,
        }
    }

    /// Takes note that a probe is sent. Returns whether none was under way.
    pub(crate) fn start_probe(&mut self) -> bool {
        !core::mem::replace(&mut self.probing, true)
    }

    /// A probe has been answered, or will not be.
    pub(crate) fn end_probe(&mut self) {
        self.probing = false;
    }

    /// It has just spoken, and others miss it: it is to be probed in a moment.
    pub(crate) fn probe_soon(&mut self) {
        self.doubted = true;
    }

    /// Whether it is to be probed now, with all others that are. Asks once for each [`Suspicion::probe_soon`].
    pub(crate) fn take_probe(&mut self) -> bool {
        core::mem::take(&mut self.doubted) | self.is_suspected()
    }
}

#[cfg(test)]
mod tests;
