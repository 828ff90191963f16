//! Services: where something listens that is alive, as listings that the nodes nearest to the hash of its name keep in
//! memory.
//!
//! This daemon writes down what it registers, signs it anew every hour, and has the overlay keep it alive meanwhile.
//! Whoever looks for a name asks a majority of those who keep it. Names are open: the listings of one name are of
//! whoever wants to be there, each under the key of its own node.

mod book;
mod content;
mod error;
mod find;
mod keep;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_api::OpenName;
use chordage_api::service::{Attrs, ServiceAddr, check_attrs};
use chordage_api::types::{OwnService, PublishState, ServiceReport, ServiceRequest, WithdrawnService};
use chordage_dht::{KeptBy, Key, Listing, ListingId, ListingStatement, RendezvousError};

use self::book::{Own, Registration};
pub(crate) use self::book::{SERVICES_FILE, ServiceBook};
use self::content::Content;
pub(crate) use self::error::ServicesError;
pub(crate) use self::find::FoundService;
use crate::clock::wall_clock;
use crate::driver::{DriverHandle, Membership, Signer};
use crate::network::NetworkFingerprint;
use crate::place::{PlaceError, PlaceKind, place_of};

/// For how long a listing may be listed at most, seconds; it is signed anew long before.
const VALID_SECONDS: u64 = 2 * 3600;
/// How long taking something back may take.
const WITHDRAW_WITHIN: Duration = Duration::from_secs(5);

/// Registers services and finds those of others. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Services {
    inner: Arc<Inner>,
}

struct Inner {
    driver: DriverHandle,
    signer: Signer,
    network: NetworkFingerprint,
    book: Arc<ServiceBook>,
    /// Held while something is registered, announced or withdrawn, so that each sees what the one before has left.
    changing: tokio::sync::Mutex<()>,
}

impl Services {
    pub(crate) fn new(
        driver: DriverHandle,
        signer: Signer,
        network: NetworkFingerprint,
        book: ServiceBook,
    ) -> Self {
        let inner =
            Inner { driver, signer, network, book: Arc::new(book), changing: tokio::sync::Mutex::default() };
        Services { inner: Arc::new(inner) }
    }

    /// What this daemon registers.
    pub(crate) fn list(&self) -> Vec<OwnService> {
        let service = |(own, registration): (Own, Registration)| OwnService {
            name: own.name.to_string(),
            addr: own.addr.to_string(),
            attrs: registration.attrs,
            since: registration.since,
            stored: registration.kept.map(|kept| kept.stored as u64),
            of: registration.kept.map(|kept| kept.of as u64),
        };
        self.inner.book.all().into_iter().map(service).collect()
    }

    /// Registers a service until it is withdrawn, or gives it other attributes. Goes on if the future is dropped.
    pub(crate) async fn register(&self, request: ServiceRequest) -> Result<ServiceReport, ServicesError> {
        let begun = Instant::now();
        let own = Own { name: request.name.parse()?, addr: request.addr.parse()? };
        check_attrs(&request.attrs)?;
        let (services, attrs) = (self.clone(), request.attrs.clone());
        let registering = tokio::spawn(async move {
            let outcome = services.register_one(&own, attrs).await;
            (own, outcome)
        });
        let (own, outcome) = registering.await.map_err(io::Error::other)?;
        let (kept, state) = outcome?;
        Ok(ServiceReport {
            name: own.name.to_string(),
            addr: own.addr.to_string(),
            attrs: request.attrs,
            stored: kept.stored as u64,
            of: kept.of as u64,
            state,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    async fn register_one(&self, own: &Own, attrs: Attrs) -> Result<(KeptBy, PublishState), ServicesError> {
        let _turn = self.inner.changing.lock().await;
        if !self.is_joined() {
            return Err(PlaceError::NotJoined.into());
        }
        let (book, noted) = (self.inner.book.clone(), own.clone());
        let (registration, is_new) = on_disk(move || book.insert(&noted, attrs, now())).await??;
        match self.announce(own, registration).await? {
            Ok(kept) => Ok((kept, PublishState::Stored)),
            Err(RendezvousError::Unknown { stored, of, .. }) => {
                Ok((KeptBy { stored, of }, PublishState::Unknown))
            }
            Err(RendezvousError::NoMajority { of, .. }) => {
                Ok((KeptBy { stored: 0, of }, PublishState::Unknown))
            }
            Err(error) => {
                // What was there before goes on as well as it can.
                if is_new {
                    self.remove(own).await?;
                }
                Err(error.into())
            }
        }
    }

    /// Registers something no longer: all under the name, or what listens at `addr`. Goes on if the future is dropped.
    pub(crate) async fn withdraw(
        &self,
        name: &str,
        addr: Option<&str>,
    ) -> Result<Vec<WithdrawnService>, ServicesError> {
        let name: OpenName = name.parse()?;
        let addr: Option<ServiceAddr> = addr.map(str::parse).transpose()?;
        let services = self.clone();
        let withdrawing = tokio::spawn(async move { services.withdraw_all(name, addr).await });
        withdrawing.await.map_err(io::Error::other)?
    }

    async fn withdraw_all(
        &self,
        name: OpenName,
        addr: Option<ServiceAddr>,
    ) -> Result<Vec<WithdrawnService>, ServicesError> {
        let _turn = self.inner.changing.lock().await;
        let is_meant = |own: &Own| own.name == name && addr.as_ref().is_none_or(|addr| *addr == own.addr);
        let meant: Vec<Own> =
            self.inner.book.all().into_iter().map(|(own, _)| own).filter(|own| is_meant(own)).collect();
        if meant.is_empty() {
            return Err(ServicesError::NotRegistered { name, addr });
        }
        let mut withdrawn = Vec::new();
        for own in meant {
            let kept = self.remove(&own).await?;
            withdrawn.push(WithdrawnService {
                name: own.name.to_string(),
                addr: own.addr.to_string(),
                stored: kept.stored as u64,
                of: kept.of as u64,
            });
        }
        Ok(withdrawn)
    }

    /// Forgets a registration for good, and says so in the network.
    async fn remove(&self, own: &Own) -> Result<KeptBy, ServicesError> {
        let Some(registration) = self.inner.book.get(own) else { return Ok(KeptBy { stored: 0, of: 0 }) };
        let (book, gone) = (self.inner.book.clone(), own.clone());
        on_disk(move || book.remove(&gone)).await??;
        let withdrawing = self.inner.driver.withdraw(self.place(&own.name), registration.number);
        let told = tokio::time::timeout(WITHDRAW_WITHIN, withdrawing).await.ok().flatten();
        // Nobody has heard of it, or it is noticed when nothing more is heard.
        Ok(told.unwrap_or(KeptBy { stored: 0, of: 0 }))
    }

    /// Signs a registration and has it listed; the caller has the turn.
    async fn announce(
        &self,
        own: &Own,
        registration: Registration,
    ) -> Result<Result<KeptBy, RendezvousError>, ServicesError> {
        let book = self.inner.book.clone();
        let seq = on_disk(move || book.next_seq(now_micros())).await??;
        let signed = now();
        let content = Content { addr: own.addr.clone(), attrs: registration.attrs };
        let sign = |seq, body| {
            let statement = ListingStatement {
                place: self.place(&own.name),
                id: ListingId { provider: self.inner.signer.public_key(), number: registration.number },
                seq,
                valid_until: signed + VALID_SECONDS,
                body,
            };
            let signature = self.inner.signer.sign_bytes(&statement.signed_bytes(&self.inner.network.0));
            statement.signed(signature).map(Arc::new).map_err(io::Error::other)
        };
        let (listing, withdrawal): (Arc<Listing>, _) =
            (sign(seq, content.encode())?, sign(seq + 1, Vec::new())?);
        let outcome = self.inner.driver.register(listing, withdrawal).await.ok_or(PlaceError::Stopped)?;
        let kept = match &outcome {
            Ok(kept) => Some(*kept),
            Err(RendezvousError::Unknown { stored, of, .. }) => Some(KeptBy { stored: *stored, of: *of }),
            Err(_) => None,
        };
        // After these nothing is listed, and the next look tries again.
        let is_listed = !matches!(outcome, Err(RendezvousError::Busy | RendezvousError::NotJoined));
        self.inner.book.announced(own, is_listed.then_some(signed), kept);
        Ok(outcome)
    }

    fn is_joined(&self) -> bool {
        self.inner.driver.membership() == Membership::Joined
    }

    fn place(&self, name: &OpenName) -> Key {
        place_of(PlaceKind::Service, self.inner.network, name)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    wall_clock().0 / 1000
}

fn now_micros() -> u64 {
    wall_clock().0.saturating_mul(1000)
}

/// Lets the disk keep only this request waiting.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)
}
