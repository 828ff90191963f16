//! What this node's program wants of places: registrations that are kept up, questions, watches, messages and
//! subscriptions.

use alloc::{sync::Arc, vec::Vec};
use core::time::Duration;

use super::{
    Dht, Phase, Turn,
    rendezvous_state::{PlaceWatch, REGISTRATIONS_MAX, Registration, Role, TASKS_MAX, WATCHES_MAX, Watched},
};
use crate::{
    Key, OperationId, Time,
    calls::Purpose,
    io::Output,
    message::Request,
    metric::Metric,
    records::region_digest,
    rendezvous::{
        Item, KeptBy, Known, Listing, Rejection, RendezvousError, RendezvousInput, RendezvousOutput,
        RendezvousRequest, Sighting, Sights, Spread, Subscription, Survey, Task, TopicMessage, Work, seen,
    },
};

/// Between two renewals of a registration. Design: a provider may miss one and be late with the next.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long the first round of a registration may take.
const REGISTER_WITHIN: Duration = Duration::from_secs(10);
/// How long a withdrawal may take.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);
/// Between two questions of a watch, in case nobody tells.
const WATCH_EVERY: Duration = Duration::from_secs(30);
/// The same of a subscription: what a push has not brought comes with the next question.
const SUBSCRIBE_EVERY: Duration = Duration::from_secs(15);
/// Before a question that nobody answered is asked again.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a question of a watch may take.
const WITHIN: Duration = Duration::from_secs(20);
/// How long hints are waited for from others, so that one question serves for all.
const TOGETHER: Duration = Duration::from_millis(20);
/// Between two questions that hints lead to.
const SPACING: Duration = Duration::from_millis(250);
/// How long hints wait for the end of a question under way.
const BUSY: Duration = Duration::from_millis(50);

impl<M: Metric> Dht<M> {
    pub(super) fn rendezvous_input(&mut self, turn: &mut Turn<'_>, input: RendezvousInput) {
        match input {
            RendezvousInput::Register { id, listing, withdrawal } => {
                self.register(turn, id, &listing, withdrawal);
            }
            RendezvousInput::Withdraw(id) => self.withdraw(turn, id),
            RendezvousInput::FindListings { id, place, deadline } => {
                let work = Work::Survey(Survey::of_listings(false, Default::default()));
                let refused = |why| RendezvousOutput::ListingsFound { id, outcome: Err(why) };
                self.ask_place(turn, Role::Find(id), Task::new(place, work, turn.now + deadline), refused);
            }
            RendezvousInput::WatchListings { id, place } => {
                self.watch_place(turn, id, place, Watched::Listings(Sights::default()));
            }
            RendezvousInput::Publish { id, message, deadline } => {
                let place = *message.place();
                let work = Work::Spread(Spread { item: Item::Message(message), known: Known::new() });
                let refused = |why| RendezvousOutput::Published { id, outcome: Err(why) };
                self.ask_place(turn, Role::Publish(id), Task::new(place, work, turn.now + deadline), refused);
            }
            RendezvousInput::Subscribe { id, place, last } => {
                self.watch_place(turn, id, place, Watched::Topic(Subscription::new(last)));
            }
        }
    }

    fn is_nowhere(&self) -> bool {
        self.phase == Phase::Left || (!self.is_member() && self.knows_nobody())
    }

    /// Begins what the caller waits for, if it may.
    fn ask_place(
        &mut self,
        turn: &mut Turn<'_>,
        role: Role,
        task: Task,
        refused: impl Fn(RendezvousError) -> RendezvousOutput,
    ) {
        if self.is_nowhere() {
            return turn.tell(refused(RendezvousError::NotJoined));
        }
        if self.rendezvous_mut().waited_for() >= TASKS_MAX {
            return turn.tell(refused(RendezvousError::Busy));
        }
        self.start_task(turn, role, task);
    }

    fn register(
        &mut self,
        turn: &mut Turn<'_>,
        id: OperationId,
        listing: &Arc<Listing>,
        withdrawal: Arc<Listing>,
    ) {
        let refuse = |turn: &mut Turn<'_>, why| {
            turn.tell(RendezvousOutput::Registered { id, outcome: Err(why) });
        };
        let own = |listing: &Listing| listing.id().provider == *self.local.public_key();
        let fits = withdrawal.place() == listing.place() && withdrawal.id() == listing.id();
        let takes_back = withdrawal.is_withdrawn() && withdrawal.seq() > listing.seq();
        if !own(listing) || !fits || !takes_back {
            return refuse(turn, RendezvousError::Refused(Rejection::NotYours));
        }
        if self.is_nowhere() {
            return refuse(turn, RendezvousError::NotJoined);
        }
        let same = |other: &Registration| {
            other.listing.place() == listing.place() && other.listing.id() == listing.id()
        };
        let registrations = &self.rendezvous_mut().registrations;
        let earlier = registrations.iter().find(|(_, other)| same(other)).map(|(id, _)| *id);
        if let Some(earlier) = earlier {
            self.cancel_at_places(earlier);
        } else if registrations.len() >= REGISTRATIONS_MAX {
            return refuse(turn, RendezvousError::Busy);
        }
        let due = turn.now + turn.around(RENEW_EVERY);
        let (known, holders) = (Known::new(), Vec::new());
        let registration =
            Registration { listing: listing.clone(), withdrawal, known, holders, due, told: false };
        self.rendezvous_mut().registrations.insert(id, registration);
        self.announce(turn, id, turn.now + REGISTER_WITHIN);
    }

    /// Tells all who keep the place of a registration that it holds.
    fn announce(&mut self, turn: &mut Turn<'_>, id: OperationId, deadline: Time) {
        let Some(registration) = self.rendezvous_mut().registrations.get(&id) else { return };
        let item = Item::Listing(registration.listing.clone());
        let (place, known) = (*item.place(), registration.known.clone());
        let task = Task::new(place, Work::Spread(Spread { item, known }), deadline);
        self.start_task(turn, Role::Register(id), task);
    }

    /// Announces again what is due.
    fn renew_registrations(&mut self, turn: &mut Turn<'_>) {
        loop {
            let Some(rendezvous) = &mut self.rendezvous else { return };
            let due = rendezvous.registrations.iter().find(|(_, registration)| registration.due <= turn.now);
            let Some((id, registration)) = due.map(|(id, registration)| (*id, registration)) else { return };
            let (told, listing) = (registration.told, registration.listing.clone());
            if listing.is_expired(self.unix_seconds(turn.now)) {
                self.cancel_at_places(id);
                continue;
            }
            let wait = turn.around(RENEW_EVERY);
            let rendezvous = self.rendezvous_mut();
            if let Some(registration) = rendezvous.registrations.get_mut(&id) {
                registration.due = turn.now + wait;
            }
            match rendezvous.find(Role::Register(id)) {
                // The first round still looks for a majority: it begins anew.
                Some(serial) if !told => self.locate_place(turn, serial),
                earlier => {
                    if let Some((role, task)) = earlier.and_then(|serial| rendezvous.take(serial)) {
                        self.task_over(role, &task);
                    }
                    self.announce(turn, id, turn.now + RENEW_EVERY);
                }
            }
        }
    }

    fn withdraw(&mut self, turn: &mut Turn<'_>, id: OperationId) {
        let Some(registration) = self.rendezvous_mut().registrations.get(&id) else { return };
        let item = Item::Listing(registration.withdrawal.clone());
        self.cancel_at_places(id);
        let (place, known) = (*item.place(), Known::new());
        let work = Work::Spread(Spread { item, known });
        self.start_task(turn, Role::Withdraw(id), Task::new(place, work, turn.now + WITHDRAW_WITHIN));
    }

    /// Forgets whatever the caller wanted under this number.
    pub(super) fn cancel_at_places(&mut self, id: OperationId) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        rendezvous.registrations.remove(&id);
        rendezvous.watches.remove(&id);
        while let Some(serial) = rendezvous.of_caller(id) {
            rendezvous.take(serial);
        }
    }

    /// An item has been handed to those who keep its place, or could not be.
    pub(super) fn item_kept(
        &mut self,
        turn: &mut Turn<'_>,
        role: Role,
        outcome: Result<KeptBy, RendezvousError>,
    ) {
        match role {
            Role::Register(id) => {
                let registration = self.rendezvous_mut().registrations.get_mut(&id);
                if registration.is_some_and(|found| !core::mem::replace(&mut found.told, true)) {
                    turn.tell(RendezvousOutput::Registered { id, outcome });
                }
            }
            Role::Withdraw(id) => {
                let told = match outcome {
                    Ok(told) => told,
                    Err(RendezvousError::Unknown { stored, of, .. }) => KeptBy { stored, of },
                    Err(_) => KeptBy { stored: 0, of: 0 },
                };
                turn.tell(RendezvousOutput::Withdrawn { id, told });
            }
            Role::Publish(id) => turn.tell(RendezvousOutput::Published { id, outcome }),
            Role::Find(_) | Role::Watch(_) => {}
        }
    }

    fn watch_place(&mut self, turn: &mut Turn<'_>, id: OperationId, place: Key, watched: Watched) {
        let asked = turn.now;
        let watches = &mut self.rendezvous_mut().watches;
        if watches.len() >= WATCHES_MAX {
            return turn.tell(RendezvousOutput::NotBegun { id, why: RendezvousError::Busy });
        }
        watches.insert(id, PlaceWatch { place, watched, due: Some(asked), asked });
    }

    /// Asks again where it is time to.
    fn ask_watched_places(&mut self, turn: &mut Turn<'_>) {
        loop {
            let Some(rendezvous) = &mut self.rendezvous else { return };
            let is_due = |watch: &PlaceWatch| watch.due.is_some_and(|due| due <= turn.now);
            let due = rendezvous.watches.iter().find(|(_, watch)| is_due(watch)).map(|(id, _)| *id);
            let Some(id) = due else { return };
            let running = rendezvous.find(Role::Watch(id)).is_some();
            let Some(watch) = rendezvous.watches.get_mut(&id) else { return };
            // None while the question is under way; who has news meanwhile is heard after it.
            watch.due = running.then_some(turn.now + BUSY);
            if running {
                continue;
            }
            watch.asked = turn.now;
            let survey = match &watch.watched {
                Watched::Listings(sights) => Survey::of_listings(true, sights.known()),
                Watched::Topic(subscription) => subscription.survey(),
            };
            let task = Task::new(watch.place, Work::Survey(survey), turn.now + WITHIN);
            self.start_task(turn, Role::Watch(id), task);
        }
    }

    /// It has been found out what is kept at a place, or could not be.
    pub(super) fn place_surveyed(
        &mut self,
        turn: &mut Turn<'_>,
        role: Role,
        outcome: Result<Vec<Sighting>, RendezvousError>,
    ) {
        let unix_seconds = self.unix_seconds(turn.now);
        let id = match role {
            Role::Watch(id) => id,
            Role::Find(id) => {
                let outcome = outcome.map(|found| seen(&found, turn.now, unix_seconds));
                return turn.tell(RendezvousOutput::ListingsFound { id, outcome });
            }
            Role::Register(_) | Role::Withdraw(_) | Role::Publish(_) => return,
        };
        let (now, again) = (turn.now, turn.around(AGAIN));
        let (listings, topic) = (turn.around(WATCH_EVERY), turn.around(SUBSCRIBE_EVERY));
        let Some(watch) = self.rendezvous_mut().watches.get_mut(&id) else { return };
        let wait = match (outcome, &mut watch.watched) {
            (Err(_), _) => again,
            (Ok(found), Watched::Listings(sights)) => {
                let (tell, soonest) = sights.take_in(&found, now, unix_seconds);
                if let Some((changed, gone)) = tell {
                    turn.tell(RendezvousOutput::ListingsChanged { id, changed, gone });
                }
                // Even if nobody says so, a suspect is gone in time.
                soonest.map_or(listings, |left| listings.min(left + SPACING))
            }
            (Ok(found), Watched::Topic(subscription)) => {
                for message in subscription.take_in(&found) {
                    turn.tell(RendezvousOutput::TopicMessage { id, message });
                }
                topic
            }
        };
        let at = now + wait;
        watch.due = Some(watch.due.map_or(at, |due| due.min(at)));
    }

    /// Somebody says that what is listed at a place has changed.
    pub(super) fn place_news(&mut self, now: Time, place: &Key) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        let listings =
            |watch: &&mut PlaceWatch| watch.place == *place && matches!(watch.watched, Watched::Listings(_));
        for watch in rendezvous.watches.values_mut().filter(listings) {
            // A question that is under way may have come too early.
            let at = (now + TOGETHER).max(watch.asked + SPACING);
            watch.due = Some(watch.due.map_or(at, |due| due.min(at)));
        }
    }

    /// A new message of a topic has come.
    pub(super) fn message_pushed(&mut self, turn: &mut Turn<'_>, message: &Arc<TopicMessage>) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        for (id, watch) in &mut rendezvous.watches {
            if let Watched::Topic(subscription) = &mut watch.watched
                && watch.place == *message.place()
                && subscription.pushed(message)
            {
                turn.tell(RendezvousOutput::TopicMessage { id: *id, message: message.clone() });
            }
        }
    }

    /// Does what is due at places.
    pub(super) fn run_rendezvous(&mut self, turn: &mut Turn<'_>) {
        self.look_places_through(turn);
        self.wake_tasks(turn);
        self.renew_registrations(turn);
        self.ask_watched_places(turn);
    }

    /// When places want something to be done.
    pub(super) fn rendezvous_timeout(&self) -> Option<Time> {
        self.rendezvous.as_ref().and_then(|rendezvous| rendezvous.next_due())
    }

    /// Takes all registrations back and ends everything else, because this node is leaving.
    pub(super) fn leave_places(&mut self, turn: &mut Turn<'_>) {
        let Some(rendezvous) = &mut self.rendezvous else { return };
        let ended: Vec<_> = rendezvous.take_all().collect();
        for (role, task) in &ended {
            self.task_over(*role, task);
        }
        let registrations = core::mem::take(&mut self.rendezvous_mut().registrations);
        for (id, registration) in registrations {
            if !registration.told {
                let outcome = Err(RendezvousError::NotJoined);
                turn.tell(RendezvousOutput::Registered { id, outcome });
            }
            let place = *registration.withdrawal.place();
            let mut holders = registration.holders;
            if let Some(region) = self.region_at_hand(&place) {
                holders.extend(region.into_iter().map(|(peer, _)| peer));
            }
            holders.sort_unstable_by(|a, b| a.id_ref().cmp(b.id_ref()));
            holders.dedup_by(|a, b| a.id_ref() == b.id_ref());
            holders.retain(|peer| peer.id_ref() != self.own_id());
            let region = region_digest(holders.iter().map(|peer| peer.id_ref()));
            for holder in &holders {
                let item = Item::Listing(registration.withdrawal.clone());
                let request = Request::Rendezvous(RendezvousRequest::Keep { item, region });
                // Nobody waits for the answer.
                self.ask(turn, holder, request, Purpose::Rendezvous(0, 0));
            }
        }
        for (role, task) in ended.into_iter().filter(|(_, task)| !task.told) {
            match task.work {
                Work::Spread(_) => self.item_kept(turn, role, Err(RendezvousError::NotJoined)),
                Work::Survey(_) => self.place_surveyed(turn, role, Err(RendezvousError::NotJoined)),
            }
        }
        self.rendezvous = None;
    }
}

impl Turn<'_> {
    fn tell(&mut self, output: RendezvousOutput) {
        self.out.push(Output::Rendezvous(output));
    }
}
