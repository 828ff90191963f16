//! Watching: everything that happens to the providers of a service.

use std::collections::{BTreeMap, VecDeque};

use chordage_api::OpenName;
use chordage_api::types::{ChangeKind, ServiceChange};
use chordage_dht::{ListingId, Seen};

use super::find::{FoundService, add_round_trips};
use super::{Services, ServicesError};
use crate::driver::{DriverHandle, Listed, ListedWatch};
use crate::place::PlaceError;

/// A service that is watched. Dropping it ends the watch.
pub(crate) struct ServicesWatch {
    driver: DriverHandle,
    listed: ListedWatch,
    told: BTreeMap<ListingId, FoundService>,
    waiting: VecDeque<ServiceChange>,
}

impl Services {
    /// Begins to watch a service. What it tells first are those who offer it now.
    pub(crate) async fn watch(&self, name: &OpenName) -> Result<ServicesWatch, ServicesError> {
        let driver = self.inner.driver.clone();
        let listed = driver.watch_listings(self.place(name)).await.ok_or(PlaceError::Stopped)??;
        Ok(ServicesWatch { driver, listed, told: BTreeMap::new(), waiting: VecDeque::new() })
    }
}

impl ServicesWatch {
    /// The next change; `None` when the daemon stops. If changes come faster than they are taken, those in between are
    /// left out.
    pub(crate) async fn next(&mut self) -> Option<ServiceChange> {
        while self.waiting.is_empty() {
            self.listed.changed().await.ok()?;
            let listed = self.listed.borrow_and_update().clone().unwrap_or_default();
            let mut changes = changes(&mut self.told, &listed);
            let mut services: Vec<FoundService> =
                changes.iter().map(|(_, service)| service.clone()).collect();
            add_round_trips(&self.driver, &mut services).await;
            let with_round_trips = changes.drain(..).zip(services);
            let told = with_round_trips
                .map(|((change, _), service)| ServiceChange { change, service: service.info() });
            self.waiting.extend(told);
        }
        self.waiting.pop_front()
    }
}

/// What is different from what was told, which is brought up to date. That a listing was signed anew is no difference.
fn changes(told: &mut BTreeMap<ListingId, FoundService>, listed: &Listed) -> Vec<(ChangeKind, FoundService)> {
    let now = tokio::time::Instant::now();
    let mut changes = Vec::new();
    let readable: BTreeMap<ListingId, FoundService> = listed
        .iter()
        .filter_map(|(id, (seen, said))| {
            let seen = Seen { age: seen.age + now.duration_since(*said), ..seen.clone() };
            Some((*id, FoundService::read(&seen)?))
        })
        .collect();
    for (id, before) in &*told {
        // What has another address is another service.
        if readable.get(id).is_none_or(|service| service.addr != before.addr) {
            changes.push((ChangeKind::Gone, before.clone()));
        }
    }
    for (id, service) in &readable {
        match told.get(id).filter(|before| before.addr == service.addr) {
            None => changes.push((ChangeKind::Up, service.clone())),
            Some(before) => {
                if before.attrs != service.attrs {
                    changes.push((ChangeKind::Changed, service.clone()));
                }
                if before.suspect != service.suspect {
                    let kind = if service.suspect { ChangeKind::Suspect } else { ChangeKind::Alive };
                    changes.push((kind, service.clone()));
                }
            }
        }
    }
    *told = readable;
    changes
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chordage_api::service::Attrs;
    use chordage_dht::{Key, ListingStatement, Signature};
    use tokio::time::Instant;

    use super::super::content::Content;
    use super::*;

    fn seen(number: u16, seq: u64, addr: &str, attr: &str, suspect: bool) -> (ListingId, (Seen, Instant)) {
        let attrs = Attrs::from([("k".to_owned(), attr.to_owned())]);
        let body = Content { addr: addr.parse().expect("an address"), attrs }.encode();
        let id = ListingId { provider: [1; 32], number };
        let statement = ListingStatement { place: Key::from_bytes([0; 32]), id, seq, valid_until: 1, body };
        let listing = Arc::new(statement.signed(Signature([0; 64])).expect("short"));
        (id, (Seen { listing, age: Duration::from_secs(1), suspect }, Instant::now()))
    }

    #[test]
    fn every_change_is_told_once_and_what_is_signed_anew_is_none() {
        let mut told = BTreeMap::new();
        let mut tell = |listed: &[(ListingId, (Seen, Instant))]| -> Vec<String> {
            let listed = listed.iter().cloned().collect();
            let changes = changes(&mut told, &listed);
            changes.iter().map(|(kind, service)| format!("{kind} {}", service.addr)).collect()
        };
        assert_eq!(tell(&[]), [""; 0]);
        assert_eq!(
            tell(&[seen(0, 1, "a:1", "x", false), seen(1, 1, "b:1", "x", true)]),
            ["up a:1", "up b:1"]
        );
        assert_eq!(tell(&[seen(0, 3, "a:1", "x", false), seen(1, 1, "b:1", "x", false)]), ["alive b:1"]);
        assert_eq!(
            tell(&[seen(0, 5, "a:1", "y", true), seen(1, 1, "b:1", "x", false)]),
            ["changed a:1", "suspect a:1"]
        );
        assert_eq!(tell(&[seen(1, 3, "c:1", "x", false)]), ["gone a:1", "gone b:1", "up c:1"]);
        assert_eq!(tell(&[seen(1, 5, "c:1", "x", false)]), [""; 0]);
        assert_eq!(tell(&[]), ["gone c:1"]);
    }
}
