//! One iterative lookup: whom to ask next, and when it is done.
//!
//! A pure bookkeeper. It keeps the nearest peers it has heard of, sorted; a few of the nearest that have not been asked
//! are asked at a time (Kademlia's alpha); every answer names nearer ones. It is done when the nearest `need` that are
//! not known to be dead have answered. A peer that is slow keeps its place but frees its slot for the next one.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{Distance, Hop, Key, Lookup, LookupId, NodeId, Time, metric::Metric, peer::Peer};

/// For whom a lookup runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The embedding program.
    Caller(LookupId),
    /// An attempt to join: looks for our own place.
    Join,
    /// A check that nobody nearer to us has been missed.
    Check,
    /// An operation on a record: looks for those that keep it.
    Record(u32),
    /// A task at a place: looks for those that keep it.
    Rendezvous(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// This node itself, and its leaf set shows who is near the key: as good as an answer.
    Here,
    /// This node itself, and it knows little about the neighbourhood of the key.
    HereUnsure,
    /// Heard of, not asked yet.
    Named,
    /// Asked, in time.
    Asked,
    /// Asked, and late: its slot is given to another, its answer still counts.
    Late,
    /// Has answered.
    Answered,
    /// Did not answer.
    Failed,
}

#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) peer: Peer,
    pub(crate) distance: Distance,
    pub(crate) named_by: Option<NodeId>,
    pub(crate) depth: u8,
    /// To which of the disjoint paths it belongs: the one that named it first. No other path uses it.
    path: u8,
    /// Whether somebody who knows the whole neighbourhood of the key has named it.
    vouched: bool,
    /// Whether it is asked first, however far it is from the key: a super-peer, which knows everybody.
    guide: bool,
    pub(crate) state: State,
}

/// What those who know the whole neighbourhood of the key have said.
#[derive(Debug, Clone, Copy, Default)]
struct Neighbourhood {
    /// Whether one of them has answered.
    heard: bool,
    /// Distance of the nearest node that such an answer knew of, the one that answered included.
    nearest: Distance,
    /// Distance of the farthest.
    farthest: Distance,
}

/// Most disjoint paths. S/Kademlia's d; there 8 withstood a fifth of the nodes lying.
const PATHS_MAX: usize = 8;

/// A peer that names others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Namer {
    id: NodeId,
    depth: u8,
    path: u8,
}

/// What one look over the candidates finds out about a path.
#[derive(Clone, Copy, Default)]
struct Path {
    /// Candidates that are not known to be dead.
    seen: usize,
    late: usize,
    /// One of its nearest has not answered yet.
    unfinished: bool,
    /// Whom it should ask next.
    next: Option<usize>,
}

/// Most questions in flight beyond the usual: one for each peer that has been silent, since the next may be dead too.
/// Only where one path is taken; several are wide enough. Design: three become five.
const HEDGES: usize = 2;

/// Candidates kept; beyond, the farthest unasked ones are forgotten. Four replies' worth of the largest.
const CANDIDATES_MAX: usize = 256;

#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub(crate) owner: Owner,
    pub(crate) key: Key,
    pub(crate) want: usize,
    /// How many of the nearest have to answer.
    need: usize,
    parallel: usize,
    paths: usize,
    pub(crate) started: Time,
    pub(crate) deadline: Time,
    candidates: Vec<Candidate>,
    /// Questions under way, by path.
    in_flight: [u8; PATHS_MAX],
    pub(crate) messages: u32,
    trace: Vec<Hop>,
    neighbourhood: Neighbourhood,
    /// If hearing from the neighbourhood is all that is asked for: one of how many of the nearest must have answered.
    neighbourhood_suffices: Option<usize>,
    /// Whether the key's neighbourhood knows better who lives there than this node does.
    onlooker: bool,
}

/// What to do now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask this peer; the lookup already counts it as asked.
    Ask(Peer),
    /// Wait for answers or time-outs.
    Wait,
    /// Enough of the nearest have answered.
    Done,
    /// Nobody has answered and nobody is left to ask.
    NoAnswer,
}

impl Progress {
    pub(crate) fn new(
        owner: Owner,
        key: Key,
        want: usize,
        need: usize,
        parallel: usize,
        started: Time,
        deadline: Time,
    ) -> Self {
        Self {
            owner,
            key,
            want,
            need: need.max(1),
            parallel,
            paths: 1,
            started,
            deadline,
            candidates: Vec::new(),
            in_flight: [0; PATHS_MAX],
            messages: 0,
            trace: Vec::new(),
            neighbourhood: Neighbourhood::default(),
            neighbourhood_suffices: None,
            onlooker: false,
        }
    }

    /// Is done as soon as one node has answered whose leaf set shows the key, and one of the `near` nearest. To be said
    /// before the first step.
    pub(crate) fn until_covered(mut self, near: usize) -> Self {
        self.neighbourhood_suffices = Some(near);
        self
    }

    /// Believes the key's neighbourhood about those of whom this node knows by itself, too: its own tables are seldom
    /// looked after.
    pub(crate) fn for_onlooker(mut self, onlooker: bool) -> Self {
        self.onlooker = onlooker;
        self
    }

    /// Whether the neighbourhood has been heard, as far as that is asked for.
    fn is_covered(&self) -> bool {
        let live = |candidate: &&Candidate| {
            !matches!(candidate.state, State::Failed | State::HereUnsure) && !self.is_doubted(candidate)
        };
        let answered = |candidate: &Candidate| matches!(candidate.state, State::Here | State::Answered);
        self.neighbourhood_suffices.is_some_and(|near| {
            self.neighbourhood.heard && self.candidates.iter().filter(live).take(near).any(answered)
        })
    }

    /// Looks over this many disjoint paths, 1 to 8. To be said before the first peer is added.
    ///
    /// As in S/Kademlia (Baumgart and Mies 2007): the peers known at the start are dealt out to the paths, each path
    /// goes its own way, and no node serves two. A liar spoils the path it is on; the union of all answers counts.
    pub(crate) fn over_paths(mut self, paths: u8) -> Self {
        self.paths = usize::from(paths).clamp(1, PATHS_MAX);
        self
    }

    pub(crate) fn paths(&self) -> usize {
        self.paths
    }

    /// Adds a peer, unless it is known already. Returns whether it is new.
    pub(crate) fn add<M: Metric>(
        &mut self,
        metric: &M,
        peer: &Peer,
        state: State,
        namer: Option<Namer>,
    ) -> bool {
        let distance = metric.distance(peer.id_ref().key(), &self.key);
        let place = self.candidates.binary_search_by(|candidate| {
            candidate.distance.cmp(&distance).then_with(|| candidate.peer.id_ref().cmp(peer.id_ref()))
        });
        let Err(index) = place else { return false };
        let full = self.candidates.len() >= CANDIDATES_MAX;
        if full && (index == self.candidates.len() || !self.forget_farthest(index)) {
            return false;
        }
        let (named_by, depth, path) = match namer {
            Some(namer) => (Some(namer.id), namer.depth.saturating_add(1), namer.path),
            None => {
                let path = (self.candidates.len() % self.paths) as u8;
                (None, u8::from(!matches!(state, State::Here | State::HereUnsure)), path)
            }
        };
        self.candidates.insert(
            index,
            Candidate {
                peer: peer.clone(),
                distance,
                named_by,
                depth,
                path,
                vouched: false,
                guide: false,
                state,
            },
        );
        true
    }

    /// Adds a peer that is asked first. It counts for no more than others: whom it names is asked as well.
    pub(crate) fn guide<M: Metric>(&mut self, metric: &M, peer: &Peer) {
        self.add(metric, peer, State::Named, None);
        if let Some(index) = self.find(metric, peer.id_ref()) {
            self.candidates[index].guide = true;
        }
    }

    /// Somebody whose leaf set shows the key has answered and named these peers.
    pub(crate) fn covered<M: Metric>(&mut self, metric: &M, by: &NodeId, names: &[Peer]) {
        let mut said = Neighbourhood { heard: true, nearest: Distance::MAX, farthest: Distance::ZERO };
        for id in names.iter().map(|name| name.id_ref()).chain([by]) {
            let distance = metric.distance(id.key(), &self.key);
            said.nearest = said.nearest.min(distance);
            said.farthest = said.farthest.max(distance);
            if let Some(index) = self.find(metric, id) {
                self.candidates[index].vouched = true;
            }
        }
        let before = self.neighbourhood;
        self.neighbourhood = Neighbourhood {
            heard: true,
            nearest: said.nearest.max(before.nearest),
            farthest: said.farthest.max(before.farthest),
        };
    }

    /// Whether a candidate is probably dead: the key's neighbourhood does not know it, though it would be the nearest
    /// of all; or it does not know it, and it is late as well, or we are onlookers. It is asked all the same, but not
    /// waited for.
    ///
    /// Over several paths nobody is believed about others: liars would leave the honest nodes out.
    fn is_doubted(&self, candidate: &Candidate) -> bool {
        let silent = matches!(candidate.state, State::Named | State::Asked | State::Late);
        let reach = if candidate.state == State::Late || self.onlooker {
            self.neighbourhood.farthest
        } else {
            self.neighbourhood.nearest
        };
        silent && self.paths == 1 && !candidate.vouched && candidate.distance < reach
    }

    /// Makes room behind `index`.
    fn forget_farthest(&mut self, index: usize) -> bool {
        let unasked = |candidate: &Candidate| matches!(candidate.state, State::Named | State::Failed);
        match self.candidates.iter().rposition(unasked) {
            Some(farthest) if farthest >= index => {
                self.candidates.remove(farthest);
                true
            }
            _ => false,
        }
    }

    fn find<M: Metric>(&self, metric: &M, id: &NodeId) -> Option<usize> {
        let distance = metric.distance(id.key(), &self.key);
        self.candidates
            .binary_search_by(|candidate| {
                candidate.distance.cmp(&distance).then_with(|| candidate.peer.id_ref().cmp(id))
            })
            .ok()
    }

    /// Decides the next move. Call it until it says something else than [`Step::Ask`].
    pub(crate) fn step(&mut self, messages_max: u32) -> Step {
        // Of all paths together: how many of the nearest have answered before the first that has not.
        let (mut settled, mut open) = (0, false);
        let mut paths = [Path::default(); PATHS_MAX];
        if self.is_covered() {
            return Step::Done;
        }
        let silent = |c: &&Candidate| matches!(c.state, State::Late | State::Failed);
        let hedges =
            if self.paths > 1 { 0 } else { self.candidates.iter().filter(silent).take(HEDGES).count() };
        for (index, candidate) in self.candidates.iter().enumerate() {
            let path = &mut paths[usize::from(candidate.path)];
            let is_doubted = self.is_doubted(candidate);
            let is_open = match candidate.state {
                State::Failed | State::HereUnsure => continue,
                State::Here | State::Answered => false,
                State::Named | State::Asked | State::Late => true,
            };
            path.late += usize::from(is_doubted || candidate.state == State::Late);
            if !is_doubted {
                open |= is_open && settled < self.need;
                settled += usize::from(!open);
                path.unfinished |= is_open && path.seen < self.need;
            }
            // Whom to ask: only peers near the top, so that the last round does not ask more than it needs; late ones
            // make room for others.
            let window = self.need.max(self.parallel.div_ceil(self.paths)) + hedges + path.late;
            if candidate.state == State::Named && path.next.is_none() && path.seen < window {
                path.next = Some(index);
            }
            path.seen += 1;
        }
        let guide = |c: &Candidate| c.guide && c.state == State::Named;
        if let Some(guide) = self.candidates.iter().position(guide) {
            paths[usize::from(self.candidates[guide].path)].next = Some(guide);
        }
        if !open && paths.iter().all(|path| !path.unfinished) {
            // Perhaps there are fewer than asked for; but then everybody who is left has answered.
            let anybody = self.candidates.iter().any(|c| matches!(c.state, State::Answered));
            let alone = self.candidates.iter().all(|c| matches!(c.state, State::Here | State::HereUnsure));
            return if settled >= self.need || anybody || alone { Step::Done } else { Step::NoAnswer };
        }
        if self.messages >= messages_max {
            return Step::Wait;
        }
        let limit = (self.parallel.div_ceil(self.paths) + hedges) as u8;
        let free =
            (0..self.paths).filter(|path| self.in_flight[*path] < limit && paths[*path].next.is_some());
        let Some(path) = free.min_by_key(|path| self.in_flight[*path]) else { return Step::Wait };
        let Some(next) = paths[path].next else { return Step::Wait };
        let candidate = &mut self.candidates[next];
        candidate.state = State::Asked;
        self.in_flight[path] += 1;
        self.messages += 1;
        Step::Ask(candidate.peer.clone())
    }

    /// Whether an answer may still come.
    pub(crate) fn is_waiting(&self) -> bool {
        self.candidates.iter().any(|candidate| matches!(candidate.state, State::Asked | State::Late))
    }

    /// A peer that was asked has answered. Returns its distance to the key, and how it names others.
    pub(crate) fn answered<M: Metric>(
        &mut self,
        metric: &M,
        id: &NodeId,
        rtt: Duration,
    ) -> Option<(Distance, Namer)> {
        let index = self.find(metric, id)?;
        let candidate = &mut self.candidates[index];
        match candidate.state {
            State::Asked => self.in_flight[usize::from(candidate.path)] -= 1,
            State::Late => {}
            _ => return None,
        }
        candidate.state = State::Answered;
        self.trace.push(Hop {
            peer: candidate.peer.clone(),
            depth: candidate.depth.into(),
            rtt,
            distance_bits: candidate.distance.bits(),
            named_by: candidate.named_by,
        });
        Some((candidate.distance, Namer { id: *id, depth: candidate.depth, path: candidate.path }))
    }

    /// A peer that was asked is late.
    pub(crate) fn late<M: Metric>(&mut self, metric: &M, id: &NodeId) {
        if let Some(index) = self.find(metric, id)
            && self.candidates[index].state == State::Asked
        {
            self.candidates[index].state = State::Late;
            self.in_flight[usize::from(self.candidates[index].path)] -= 1;
        }
    }

    /// A peer that was asked will not answer.
    pub(crate) fn failed<M: Metric>(&mut self, metric: &M, id: &NodeId) {
        if let Some(index) = self.find(metric, id) {
            match self.candidates[index].state {
                State::Asked => self.in_flight[usize::from(self.candidates[index].path)] -= 1,
                State::Late => {}
                _ => return,
            }
            self.candidates[index].state = State::Failed;
        }
    }

    /// What is known now.
    pub(crate) fn result(self, now: Time) -> Lookup {
        let live = |candidate: &&Candidate| candidate.state != State::Failed && !self.is_doubted(candidate);
        let sure = |candidate: &Candidate| {
            matches!(candidate.state, State::Here | State::HereUnsure | State::Answered)
        };
        let confirmed = self.candidates.iter().filter(live).take(self.want).take_while(|c| sure(c)).count();
        let reached =
            |c: &&Candidate| sure(c) || (self.neighbourhood_suffices.is_some() && c.vouched && live(c));
        let hops = self.candidates.iter().find(reached).map_or(0, |nearest| nearest.depth.into());
        let closest = self.candidates.iter().filter(live).take(self.want).map(|c| c.peer.clone()).collect();
        Lookup {
            key: self.key,
            closest,
            confirmed,
            hops,
            messages: self.messages,
            elapsed: now.since(self.started),
            trace: self.trace,
        }
    }
}

pub(crate) mod under_way;

#[cfg(test)]
mod tests;
