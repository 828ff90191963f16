//! Everything about places that one node remembers.

use alloc::{
    boxed::Box,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    vec::Vec,
};
use core::time::Duration;

use crate::{
    Key, OperationId, Time,
    peer::Peer,
    records::Watchers,
    rendezvous::{Board, Hints, Known, Listing, Sights, Subscription, Task, Topics},
};

/// Registrations of one node.
pub(super) const REGISTRATIONS_MAX: usize = 256;
/// Watches and subscriptions of one node, together.
pub(super) const WATCHES_MAX: usize = 256;
/// Finds, and messages being published, at one node at a time.
pub(super) const TASKS_MAX: usize = 256;
/// Places of which it is remembered who keeps them.
const REGIONS_MAX: usize = 512;
/// For how long.
const REGION_FOR: Duration = Duration::from_secs(30);

/// For whom a task runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A registration: it is announced, or renewed.
    Register(OperationId),
    /// One that is being taken back.
    Withdraw(OperationId),
    /// Somebody wants to know what is listed.
    Find(OperationId),
    /// A message is being published.
    Publish(OperationId),
    /// A watch or a subscription.
    Watch(OperationId),
}

impl Role {
    pub(super) fn id(self) -> OperationId {
        let (Self::Register(id) | Self::Withdraw(id) | Self::Find(id) | Self::Publish(id) | Self::Watch(id)) =
            self;
        id
    }
}

/// A listing of this node's own.
#[derive(Debug, Clone)]
pub(super) struct Registration {
    pub(super) listing: Arc<Listing>,
    pub(super) withdrawal: Arc<Listing>,
    /// Who has it.
    pub(super) known: Known,
    /// Those who kept the place in the last round.
    pub(super) holders: Vec<Peer>,
    /// When it is renewed.
    pub(super) due: Time,
    /// Whether the caller has been told how the first round went.
    pub(super) told: bool,
}

/// What is told of a place as long as the caller wants.
#[derive(Debug, Clone)]
pub(super) enum Watched {
    /// What is listed.
    Listings(Sights),
    /// The messages of a topic.
    Topic(Subscription),
}

/// A place that this node watches.
#[derive(Debug, Clone)]
pub(super) struct PlaceWatch {
    pub(super) place: Key,
    pub(super) watched: Watched,
    /// When to ask again; none while a question is under way and nobody has news.
    pub(super) due: Option<Time>,
    /// When it was last asked.
    pub(super) asked: Time,
}

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(super) struct Rendezvous {
    /// The listings that are kept here, and who watches them.
    pub(super) board: Board,
    pub(super) watchers: Watchers,
    pub(super) hints: Hints,
    /// The messages that are kept here, and who subscribes to them.
    pub(super) topics: Topics,
    pub(super) subscribers: Watchers,
    pub(super) registrations: BTreeMap<OperationId, Registration>,
    pub(super) watches: BTreeMap<OperationId, PlaceWatch>,
    tasks: BTreeMap<u32, (Time, Role, Box<Task>)>,
    wakes: BTreeSet<(Time, u32)>,
    next_task: u32,
    /// Who keeps which places, as far as it had to be looked up.
    regions: BTreeMap<Key, (Time, Vec<Peer>)>,
}

impl Rendezvous {
    pub(super) fn add(&mut self, role: Role, task: Task) -> u32 {
        let serial = self.next_task;
        self.next_task = self.next_task.wrapping_add(1);
        self.put_back(serial, role, Box::new(task));
        serial
    }

    /// Takes a task out to work on it; it is put back, or over.
    pub(super) fn take(&mut self, serial: u32) -> Option<(Role, Box<Task>)> {
        let (wake, role, task) = self.tasks.remove(&serial)?;
        self.wakes.remove(&(wake, serial));
        Some((role, task))
    }

    pub(super) fn put_back(&mut self, serial: u32, role: Role, task: Box<Task>) {
        let wake = task.again_at.map_or(task.deadline, |at| at.min(task.deadline));
        self.wakes.insert((wake, serial));
        self.tasks.insert(serial, (wake, role, task));
    }

    pub(super) fn get_mut(&mut self, serial: u32) -> Option<&mut Task> {
        self.tasks.get_mut(&serial).map(|(.., task)| &mut **task)
    }

    /// The task of this role.
    pub(super) fn find(&self, role: Role) -> Option<u32> {
        self.tasks.iter().find(|(_, (_, other, _))| *other == role).map(|(serial, _)| *serial)
    }

    /// The tasks that a caller waits for with this number.
    pub(super) fn of_caller(&self, id: OperationId) -> Option<u32> {
        self.tasks.iter().find(|(_, (_, role, _))| role.id() == id).map(|(serial, _)| *serial)
    }

    /// How many finds and messages are under way.
    pub(super) fn waited_for(&self) -> usize {
        let waited = |role: &Role| matches!(role, Role::Find(_) | Role::Publish(_));
        self.tasks.values().filter(|(_, role, _)| waited(role)).count()
    }

    /// A task whose time has come.
    pub(super) fn pop_woken(&mut self, now: Time) -> Option<(u32, Role, Box<Task>)> {
        let (_, serial) = self.wakes.first().copied().filter(|(wake, _)| *wake <= now)?;
        self.take(serial).map(|(role, task)| (serial, role, task))
    }

    /// All tasks; there are none afterwards.
    pub(super) fn take_all(&mut self) -> impl Iterator<Item = (Role, Box<Task>)> + use<> {
        self.wakes.clear();
        core::mem::take(&mut self.tasks).into_values().map(|(_, role, task)| (role, task))
    }

    /// Remembers for a while who keeps a place.
    pub(super) fn remember(&mut self, place: Key, region: Vec<Peer>, now: Time) {
        self.regions.retain(|_, (until, _)| *until > now);
        if self.regions.len() < REGIONS_MAX && !region.is_empty() {
            self.regions.insert(place, (now + REGION_FOR, region));
        }
    }

    /// Who keeps a place, if that is remembered.
    pub(super) fn remembered(&self, place: &Key, now: Time) -> Option<&[Peer]> {
        self.regions.get(place).filter(|(until, _)| *until > now).map(|(_, region)| &region[..])
    }

    /// A task has ended. What it has found out about the region is remembered, or nothing if somebody did not answer.
    pub(super) fn learn(&mut self, task: &Task) {
        if task.has_missed() {
            self.regions.remove(&task.place);
        } else if let Some((_, region)) = self.regions.get_mut(&task.place) {
            *region = task.region();
        }
    }

    /// When something is to be done.
    pub(super) fn next_due(&self) -> Option<Time> {
        let wake = self.wakes.first().map(|(wake, _)| *wake);
        let registration = self.registrations.values().map(|registration| registration.due).min();
        let watch = self.watches.values().filter_map(|watch| watch.due).min();
        let kept = [self.board.next_due(), self.topics.next_due(), self.hints.next_due()];
        [wake, registration, watch].into_iter().chain(kept).flatten().min()
    }
}
