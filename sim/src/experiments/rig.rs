//! What experiments stand on: time that runs for as long as they say, tasks of their own, and nodes that come and go.

use std::time::Duration;

use chordage_dht::{Held, Lookup, LookupError, LookupId, OperationError, OperationId, Outcome};

use crate::{
    build::SEEDS,
    sessions::Sessions,
    world::{NodeIndex, Occurrence, World},
};

/// What a task is for. [`Turnover`] has two kinds; the others are the experiment's.
pub(super) type Kind = u32;

/// The task of this kind that is about this node or this record.
pub(super) const fn task(kind: Kind, number: u32) -> u64 {
    (kind as u64) << 32 | number as u64
}

/// Something that is measured in a world.
pub(super) trait Experiment {
    /// The world.
    fn world(&mut self) -> &mut World;

    /// The moment of a task has come that the experiment planned.
    fn task(&mut self, kind: Kind, number: u32);

    /// A lookup is over.
    fn finished(&mut self, id: LookupId, outcome: &Result<Lookup, LookupError>) {
        let _ = (id, outcome);
    }

    /// An operation on a record asks what is to follow on what is held.
    fn decide(&mut self, node: NodeIndex, id: OperationId, current: Option<&Held>) {
        let _ = (node, id, current);
    }

    /// An operation on a record is over.
    fn operated(&mut self, id: OperationId, outcome: Result<Outcome, OperationError>) {
        let _ = (id, outcome);
    }

    /// Lets time run for so long.
    fn go(&mut self, duration: Duration) {
        let until = self.world().now() + duration;
        while let Some(occurrence) = self.world().next(until) {
            match occurrence {
                Occurrence::Task(task) => self.task((task >> 32) as Kind, task as u32),
                Occurrence::Finished { id, outcome, .. } => self.finished(id, &outcome),
                Occurrence::Decide { node, id, current } => self.decide(node, id, current.as_ref()),
                Occurrence::Operated { id, outcome, .. } => self.operated(id, *outcome),
                Occurrence::Joined(_) => {}
            }
        }
    }
}

/// Downtime between a death and the birth that makes up for it.
const DOWNTIME: Duration = Duration::from_secs(1);

/// Nodes that come and go: for each that dies another one, with another key pair, joins a second later.
#[derive(Debug, Clone)]
pub(super) struct Turnover {
    sessions: Sessions,
    /// Whether nodes die. Those that are to be born are born all the same.
    pub(super) goes_on: bool,
}

impl Turnover {
    /// The task in whose moment a node dies.
    pub(super) const DEATH: Kind = 1;
    /// The task in whose moment another takes its number.
    pub(super) const BIRTH: Kind = 2;

    /// Nobody dies before it has begun.
    pub(super) fn new(sessions: Sessions) -> Self {
        Self { sessions, goes_on: false }
    }

    /// From now on nodes die, those that are there at the end of what is left of their sessions.
    pub(super) fn begin(&mut self, world: &mut World) {
        self.goes_on = true;
        for node in 0..world.numbers() {
            let rest = self.sessions.draw_rest(world.chance());
            world.plan(world.now() + rest, task(Self::DEATH, node));
        }
    }

    /// A node has died: another will take its number.
    pub(super) fn died(&self, world: &mut World, node: NodeIndex) {
        world.plan(world.now() + DOWNTIME, task(Self::BIRTH, node));
    }

    /// Another node takes a number, joins, and stays for a session.
    pub(super) fn born(&self, world: &mut World, node: NodeIndex) {
        world.replace(node);
        world.join_by_random(node, SEEDS);
        let session = self.sessions.draw(world.chance());
        world.plan(world.now() + session, task(Self::DEATH, node));
    }
}
