//! How this daemon is reached from outside, and what follows from that: who can be reached is a member, holds shards
//! and is in the tables of others; who cannot is a client ([decision
//! 27](../../../docs/decisions/0027-reachability.md)).
//!
//! ```text
//!  own addresses ─┐              Test           Dial
//!  what others ───┴▶ candidates ─────▶ a member ─────▶ another one ─▶ dials, from a port of its own
//!  see of it                              │                │
//!       policy ◀──────── findings ◀───────┴────────────────┘
//!         └▶ announced addresses, role, status
//! ```

mod ask;
mod candidates;
mod choice;
mod frames;
mod mapping;
mod policy;
mod relays;
mod rounds;
mod scope;
mod serve;
mod sights;
mod start;
mod status;
mod visits;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use chordage_api::types::DaemonRole;
use chordage_dht::NodeId;
use libp2p::Multiaddr;
use tokio::sync::watch;
use tokio::time::Instant;

use self::candidates::Between;
use self::mapping::Mappings;
use self::policy::Policy;
use self::scope::Scope;
use self::serve::Server;
pub(crate) use self::start::{Others, Start, start};
pub(crate) use self::visits::Visits;
use crate::datadir::DataDir;
use crate::driver::DriverHandle;
use crate::portmap::EVERYBODY;
use crate::tasks::Tasks;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reachability {
    inner: Arc<Inner>,
}

struct Inner {
    driver: DriverHandle,
    local: NodeId,
    dir: Arc<DataDir>,
    /// By the settings.
    announced: Vec<Multiaddr>,
    follow: Follow,
    /// Whether others may relay to it.
    relays: bool,
    /// What it is; others in the daemon watch it.
    part: watch::Sender<DaemonRole>,
    /// What a router forwards; nothing, where it is not to be asked.
    mappings: Mappings,
    state: Mutex<State>,
}

/// Whether the role follows from what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Follow {
    /// It does.
    Found,
    /// The settings say what it is; what is found is shown only.
    Settings,
    /// Nobody outside of this machine is meant to reach it, so that nothing is asked.
    Nothing,
}

struct State {
    policy: Policy,
    /// What is between it and others, as they see it.
    between: Option<Between>,
    /// How many of those asked in the last round got in, and how many did not.
    last: Option<Tally>,
    /// Where others reach it through relays, as it announces that.
    relayed: Vec<Multiaddr>,
    /// Since when none of these holds any more.
    relays_lost: Option<Instant>,
    /// Reservations at relays that were made until it was looked last.
    reservations: u64,
    /// Where others have seen it.
    seen: Vec<Multiaddr>,
    /// When the role last changed, by the clock on the wall.
    since: SystemTime,
}

/// Of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tally {
    reached: usize,
    tested: usize,
}

impl Reachability {
    /// Of a daemon that begins like this; asks others in the background.
    pub(crate) fn begin(
        driver: &DriverHandle,
        local: NodeId,
        dir: &Arc<DataDir>,
        begun: Start,
        visits: Visits,
        tasks: &Tasks,
    ) -> Self {
        let Start { standing, follow, announced, part, relays, maps, .. } = begun;
        let reachability = Reachability {
            inner: Arc::new(Inner {
                driver: driver.clone(),
                local,
                dir: dir.clone(),
                announced,
                follow,
                relays,
                part,
                mappings: Mappings::new(EVERYBODY, Scope::Site),
                state: Mutex::new(State {
                    policy: Policy::new(standing, Instant::now()),
                    between: None,
                    last: None,
                    relayed: Vec::new(),
                    relays_lost: None,
                    reservations: 0,
                    seen: Vec::new(),
                    since: SystemTime::now(),
                }),
            }),
        };
        let server = Server::new(driver.clone(), local);
        tasks.background("reachability of others", move || visits.clone().serve(server.clone()));
        if follow != Follow::Nothing {
            let asking = reachability.clone();
            tasks.background("reachability", move || asking.clone().keep_true(maps));
        }
        if maps {
            let mapping = reachability.clone();
            tasks.background("port mapping", move || {
                let mapping = mapping.clone();
                async move { mapping.inner.mappings.keep().await }
            });
        }
        reachability
    }

    /// Has the router forward nothing any more, within a bounded time.
    pub(crate) async fn leave(&self) {
        self.inner.mappings.delete().await;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
