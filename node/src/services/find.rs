//! Finding: who offers a service now, as a majority of those who keep its name say, and how far away that is.

use std::time::Duration;

use chordage_api::OpenName;
use chordage_api::service::{Attrs, ServiceAddr};
use chordage_api::types::{ServiceInfo, ServiceState};
use chordage_dht::{Confirm, LookupOptions, NodeId, Seen};
use futures::StreamExt;
use futures::stream;

use super::content::Content;
use super::{Services, ServicesError};
use crate::address::api_id;
use crate::driver::DriverHandle;
use crate::place::PlaceError;

/// How long finding may take.
const FIND_WITHIN: Duration = Duration::from_secs(10);
/// How many providers are asked for their round trip if it is not known.
const MEASURED_MAX: usize = 32;
/// How many of these at a time.
const MEASURED_AT_A_TIME: usize = 8;
/// How long that may take for one.
const MEASURE_WITHIN: Duration = Duration::from_secs(2);

/// Somebody who offers a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FoundService {
    /// The node whose daemon registers it.
    pub(crate) provider: NodeId,
    /// Where it listens.
    pub(crate) addr: ServiceAddr,
    /// What it is like.
    pub(crate) attrs: Attrs,
    /// Whether its provider was not heard for longer than usual.
    pub(crate) suspect: bool,
    /// Since when.
    pub(crate) age: Duration,
    /// Round trip to the provider, if it is known.
    pub(crate) rtt: Option<Duration>,
}

impl FoundService {
    /// `None`: it is of a newer version, or makes no sense.
    pub(super) fn read(seen: &Seen) -> Option<Self> {
        let Content { addr, attrs } = Content::decode(&seen.listing.statement().body)?;
        let provider = NodeId::from_public_key(&seen.listing.id().provider);
        Some(Self { provider, addr, attrs, suspect: seen.suspect, age: seen.age, rtt: None })
    }

    /// The same as the local API says it.
    pub(crate) fn info(&self) -> ServiceInfo {
        ServiceInfo {
            provider: api_id(self.provider),
            addr: self.addr.to_string(),
            attrs: self.attrs.clone(),
            state: if self.suspect { ServiceState::Suspect } else { ServiceState::Alive },
            age_seconds: self.age.as_secs_f64(),
            rtt_ms: self.rtt.map(|rtt| rtt.as_secs_f64() * 1e3),
        }
    }

    fn has(&self, attrs: &Attrs) -> bool {
        attrs.iter().all(|(key, value)| self.attrs.get(key) == Some(value))
    }
}

impl Services {
    /// Who offers a service now, with these attributes among theirs: in the order of providers, or with `near` the
    /// nearest first.
    pub(crate) async fn find(
        &self,
        name: &OpenName,
        attrs: &Attrs,
        near: bool,
    ) -> Result<Vec<FoundService>, ServicesError> {
        let driver = &self.inner.driver;
        let seen = driver.find_listings(self.place(name), FIND_WITHIN).await.ok_or(PlaceError::Stopped)??;
        let mut found: Vec<FoundService> =
            seen.iter().filter_map(FoundService::read).filter(|service| service.has(attrs)).collect();
        add_round_trips(driver, &mut found).await;
        if near {
            measure(driver, &mut found).await;
            found.sort_by_key(|service| service.rtt.unwrap_or(Duration::MAX));
        }
        Ok(found)
    }
}

/// Adds the round trips that are known.
pub(super) async fn add_round_trips(driver: &DriverHandle, found: &mut [FoundService]) {
    let ids = found.iter().map(|service| service.provider).collect();
    let known = driver.round_trips(ids).await.unwrap_or_default();
    for (service, rtt) in found.iter_mut().zip(known) {
        service.rtt = rtt;
    }
}

/// Measures some of those that are not known: a lookup of a node ends with a question to the node itself.
async fn measure(driver: &DriverHandle, found: &mut [FoundService]) {
    let mut unknown: Vec<NodeId> =
        found.iter().filter(|service| service.rtt.is_none()).map(|service| service.provider).collect();
    unknown.sort_unstable();
    unknown.dedup();
    unknown.truncate(MEASURED_MAX);
    let ask = |id: NodeId| async move {
        let options =
            LookupOptions { confirm: Confirm::Answered(1), want: 1, deadline: MEASURE_WITHIN, paths: 1 };
        let lookup = driver.lookup(*id.key(), options).await.ok()?;
        lookup.trace.iter().find(|hop| hop.peer.id() == id).map(|hop| (id, hop.rtt))
    };
    let measured: Vec<(NodeId, Duration)> = stream::iter(unknown)
        .map(ask)
        .buffer_unordered(MEASURED_AT_A_TIME)
        .filter_map(|rtt| async move { rtt })
        .collect()
        .await;
    for service in found.iter_mut().filter(|service| service.rtt.is_none()) {
        service.rtt = measured.iter().find(|(id, _)| *id == service.provider).map(|(_, rtt)| *rtt);
    }
}
