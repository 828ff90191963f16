//! What a daemon does for others who want to know how they are reached: it tells them where it sees them, has somebody
//! else dial them, and dials whom others ask it to dial.
//!
//! A daemon that dials for others is a tool for whoever would like to have something dialled. So it is done only for
//! addresses at which the one who asks is seen itself, by a daemon that was not chosen by it, never at a name, nothing
//! near for those who are not near ([`may_ask_for`]), and a few times a second in all.

use std::collections::BTreeMap;
use std::future::ready;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use futures::StreamExt;
use futures::stream::{self, FuturesUnordered};
use libp2p::{Multiaddr, PeerId};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout, timeout_at};

use super::ask::ask;
use super::choice::{Shuffle, members_of};
use super::frames::{FRAME_MAX, Outcome, Reply, Request, Witnessed};
use super::scope::{Scope, may_ask_for};
use crate::address::{Use, check_address, dial_order, ip, peer_id};
use crate::clock::wall_clock;
use crate::driver::{DriverHandle, Visit};
use crate::wire::{reaches, read_once, write_once};

/// How long a request may take to come, and its answer to go.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a test may take, which others make.
const TEST_PATIENCE: Duration = Duration::from_secs(7);
/// How long these may take.
const DIAL_PATIENCE: Duration = Duration::from_secs(5);
/// How long a dial goes on after another one has succeeded: whoever answers at one address answers as soon at the
/// others.
const AFTER_SUCCESS: Duration = Duration::from_secs(1);
/// Further daemons that are asked to dial if others do not.
const INSTEAD: usize = 2;
/// Tests that are made or waited for at a time.
const AT_A_TIME: usize = 8;
/// Between two requests of one daemon.
const PAUSE: Duration = Duration::from_millis(500);
/// Daemons that are remembered for that; more are not served until some are forgotten.
const ASKERS_MAX: usize = 1024;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(super) struct Server {
    driver: DriverHandle,
    local: NodeId,
    places: Arc<Semaphore>,
    asked: Arc<Mutex<BTreeMap<[u8; 32], Instant>>>,
}

impl Server {
    pub(super) fn new(driver: DriverHandle, local: NodeId) -> Self {
        Server { driver, local, places: Arc::new(Semaphore::new(AT_A_TIME)), asked: Arc::default() }
    }

    /// Serves one stream.
    pub(super) async fn serve(self, Visit { key, from, stream }: Visit) {
        let (mut stream, _place) = stream.into_parts();
        let Ok(Ok(request)) = timeout(PATIENCE, read_once(&mut stream, FRAME_MAX)).await else { return };
        let Ok(request) = Request::decode(&request) else { return };
        let reply = self.answer(&key, from, request).await.encode();
        if !matches!(timeout(PATIENCE, write_once(&mut stream, &reply)).await, Ok(Ok(()))) {
            tracing::debug!("an answer about reachability did not get through");
        }
    }

    async fn answer(&self, key: &[u8; 32], from: Multiaddr, request: Request) -> Reply {
        if let Request::See = request {
            return Reply::Seen { at: from, clock: wall_clock().0 };
        }
        let (Some(asker), Some(_place)) = (ip(&from), self.place_for(key, Instant::now())) else {
            return Reply::Busy;
        };
        match request {
            Request::See => Reply::Busy,
            Request::Test { at, avoid, by } => {
                let test = self.test((key, asker), &at, &avoid, by.into());
                match timeout(TEST_PATIENCE, test).await {
                    Ok(Some(tests)) => Reply::Tested { seen: from, tests },
                    _ => Reply::Busy,
                }
            }
            Request::Dial { key, at } => match peer_id(&key) {
                Some(peer) => Reply::Dialled(dial(peer, asker, &at).await),
                None => Reply::Busy,
            },
        }
    }

    /// One of the places, unless this one has asked just now.
    fn place_for(&self, key: &[u8; 32], now: Instant) -> Option<SemaphorePermit<'_>> {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, at| now < *at + PAUSE);
        if asked.len() >= ASKERS_MAX || asked.contains_key(key) {
            return None;
        }
        let place = self.places.try_acquire().ok()?;
        asked.insert(*key, now);
        Some(place)
    }

    /// Has so many others dial the daemon with this key, or does so itself if there is nobody else.
    async fn test(
        &self,
        (key, asker): (&[u8; 32], IpAddr),
        at: &[Multiaddr],
        avoid: &[IpAddr],
        by: usize,
    ) -> Option<Vec<Witnessed>> {
        // Somebody on this machine is at every address of it.
        let is_here = Scope::of(asker) == Scope::Machine;
        let own: Vec<bool> = at.iter().map(|addr| is_here || ip(addr) == Some(asker)).collect();
        let wanted: Vec<Multiaddr> =
            at.iter().zip(&own).filter(|(_, own)| **own).map(|(addr, _)| addr.clone()).collect();
        let view = self.driver.view().await?;
        let local = dial_order(&view.local).first().and_then(ip);
        let target = NodeId::from_public_key(key);
        let others = members_of(&view, |peer| peer.id() != target && peer.id() != self.local);
        let request = Request::Dial { key: *key, at: wanted.clone() };
        let asked = witnesses(others, local, avoid).into_iter().take(by + INSTEAD).map(|(witness, from)| {
            let request = &request;
            async move {
                match ask(&self.driver, witness, request, DIAL_PATIENCE).await {
                    Ok(Reply::Dialled(outcomes)) => Some((from, outcomes)),
                    _ => None,
                }
            }
        });
        // At most `by` at a time: who is asked instead of somebody is asked only then.
        let mut asked = stream::iter(asked).buffer_unordered(by).filter_map(ready);
        let mut tests = Vec::new();
        while tests.len() < by
            && let Some((from, outcomes)) = asked.next().await
        {
            tests.push((from, outcomes));
        }
        if tests.is_empty() {
            tests.push((local.unwrap_or(asker), dial(peer_id(key)?, asker, &wanted).await));
        }
        tests.retain(|(_, outcomes)| outcomes.len() == wanted.len());
        let spread = |(from, outcomes): (IpAddr, Vec<Outcome>)| {
            let mut outcomes = outcomes.into_iter();
            let of = |own: &bool| if *own { outcomes.next() } else { None }.unwrap_or(Outcome::Untested);
            Witnessed { from, outcomes: own.iter().map(of).collect() }
        };
        Some(tests.into_iter().map(spread).collect())
    }
}

/// In the order in which to ask them: those from which the one who wants the test knows nobody yet come first.
fn witnesses(others: Shuffle, local: Option<IpAddr>, avoid: &[IpAddr]) -> Vec<(Peer, IpAddr)> {
    let mut witnesses: Vec<(Peer, IpAddr)> = others
        .by_subnet()
        .into_iter()
        .filter_map(|peer| Some((dial_order(&peer).first().and_then(ip)?, peer)))
        .map(|(ip, peer)| (peer, ip))
        .collect();
    // Stable: within each kind they stay shuffled.
    witnesses.sort_by_key(|(_, ip)| (avoid.contains(ip), local == Some(*ip)));
    witnesses
}

/// Dials all of these, for somebody at `asker`.
async fn dial(peer: PeerId, asker: IpAddr, at: &[Multiaddr]) -> Vec<Outcome> {
    let may = |addr: &Multiaddr| {
        ip(addr).is_some_and(|ip| may_ask_for(asker, ip)) && check_address(addr, Use::Announce).is_ok()
    };
    let mut outcomes: Vec<Outcome> =
        at.iter().map(|addr| if may(addr) { Outcome::Failed } else { Outcome::Untested }).collect();
    let mut dials: FuturesUnordered<_> = at
        .iter()
        .enumerate()
        .filter(|(_, addr)| may(addr))
        .map(async |(place, addr)| (place, reaches(peer, addr.clone()).await))
        .collect();
    let mut until = None;
    loop {
        let next = match until {
            None => dials.next().await,
            Some(until) => timeout_at(until, dials.next()).await.ok().flatten(),
        };
        let Some((place, reached)) = next else { return outcomes };
        if reached {
            outcomes[place] = Outcome::Reached;
            until = until.or(Some(Instant::now() + AFTER_SUCCESS));
        }
    }
}
