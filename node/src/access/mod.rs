//! To which network a daemon belongs, and who may enter it. Of a private network: the papers on its disk, the gate at
//! which they are shown, and what keeps them true (renewing what ends, passing on what is revoked). Of an open one: its
//! genesis, and the work that it asks of keys.
//!
//! The formats are in `network`, the gate itself in `wire`. A daemon whose data directory has neither belongs to a
//! network that is nothing but a name, open to everybody who knows it; then there is none of this.

mod belongs;
mod doorkeeper;
mod error;
mod exchange;
mod founding;
mod issuing;
mod joining;
mod open;
mod rounds;
mod succeeding;
#[cfg(test)]
mod tests;
mod trying;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chordage_dht::{EXCLUDED_MAX, NodeId};
use libp2p::identity::ed25519;
use tokio::sync::{Notify, watch};

pub use self::error::AccessError;
pub use self::founding::{Founded, ID_BITS_DEFAULT, ID_BITS_MAX, found, found_open};
pub use self::joining::{Joined, JoinedAs, join};
use self::succeeding::newest_key;
pub use self::trying::Trying;
use crate::clock::wall_clock;
use crate::config::{Config, Role as ConfiguredRole};
use crate::datadir::{DataDir, DataDirError};
use crate::identity::Identity;
use crate::network::NetworkFingerprint;
use crate::network::certificate::{Admitted, Certificate, Chain, Role};
use crate::network::genesis::Founding;
use crate::network::invites::{Invites, Shown};
use crate::network::papers::Papers;
use crate::network::revocation::Revocation;
use crate::wire::Gate;

pub(crate) use self::belongs::Belongs;
pub(crate) use self::founding::hex;
pub(crate) use self::issuing::{IssuingError, RevokingError, WithdrawingError};
pub(crate) use self::joining::may_be;
pub(crate) use self::succeeding::NewKeyError;

/// The papers of a private network or the genesis of an open one, in the data directory.
const PAPERS_FILE: &str = "network";
/// The network's own key, at its founder's.
const KEY_FILE: &str = "network.key";
/// The invites that were issued from here.
const INVITES_FILE: &str = "invites";
/// Members that are remembered with their certificates. More than a daemon is ever connected to.
const PEERS_MAX: usize = 4096;
/// Delegates that are remembered, to be asked for a new certificate.
const DELEGATES_MAX: usize = 64;

/// The part of a daemon in its private network. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Access {
    inner: Arc<Inner>,
}

struct Inner {
    dir: Arc<DataDir>,
    /// The daemon's key.
    pair: ed25519::Keypair,
    state: Mutex<State>,
    /// Something has changed that others are to know.
    changed: Notify,
    /// Who may only be a client, of all who were let in since the start, whether they are connected or not.
    clients: watch::Sender<BTreeSet<NodeId>>,
    /// For how many seconds what is signed here is valid at most.
    validity: u64,
}

struct State {
    papers: Papers,
    /// The newest network key, at its founder's.
    founder: Option<ed25519::Keypair>,
    invites: Invites,
    /// Who was let in since the start, by key.
    peers: BTreeMap<[u8; 32], Known>,
    /// Of these, all who may sign certificates, whether they are connected or not.
    delegates: BTreeSet<[u8; 32]>,
    /// A delegate was let in since it was last tried to renew the own certificate.
    delegate_came: bool,
    /// What was last answered to this daemon's papers, if it was not let in.
    refused: Option<String>,
}

/// Somebody who was let in.
struct Known {
    chain: Chain,
    admitted: Admitted,
    /// Of the revocations that it knows.
    digest: [u8; 32],
}

/// What a daemon knows of its private network.
pub(crate) struct Membership {
    /// The newest network key.
    pub(crate) key: [u8; 32],
    /// The one before, if there was one, and until when it counts.
    pub(crate) key_before: Option<([u8; 32], u64)>,
    /// Whether this daemon has the newest.
    pub(crate) founder: bool,
    pub(crate) certificate: Certificate,
    pub(crate) revocations: Vec<Revocation>,
    pub(crate) invites: Vec<Shown>,
    /// Others who may sign, and how many certificates by each are known here.
    pub(crate) delegates: Vec<([u8; 32], usize)>,
}

/// Seconds since 1970.
fn now() -> u64 {
    wall_clock().0 / 1000
}

impl Access {
    /// That of a daemon with these papers.
    fn of(dir: &Arc<DataDir>, config: &Config, papers: Papers) -> Result<Access, AccessError> {
        let invites = match dir.read(INVITES_FILE)? {
            None => Invites::default(),
            // Without the book nobody can join with an invite of before, and nothing else is lost.
            Some(bytes) => Invites::decode(&bytes).unwrap_or_else(|_| {
                tracing::warn!("the book of invites cannot be read: those that are open are void");
                Invites::default()
            }),
        };
        let founder = newest_key(dir, &papers)?;
        let pair = secret_pair(dir, "key")?;
        let state = Mutex::new(State {
            papers,
            founder,
            invites,
            peers: BTreeMap::new(),
            delegates: BTreeSet::new(),
            delegate_came: false,
            refused: None,
        });
        let validity = config.debug_certificate_seconds.map_or(u64::MAX, std::num::NonZeroU64::get);
        let (changed, clients) = (Notify::new(), watch::Sender::default());
        let inner = Inner { dir: dir.clone(), pair, state, changed, clients, validity };
        Ok(Access { inner: Arc::new(inner) })
    }

    /// The settings as the papers of the network have them, or why these contradict.
    pub(crate) fn adapt(&self, config: Config) -> Result<Config, AccessError> {
        let state = self.state();
        let mut config = adapted(config, state.papers.genesis().founding(), self.inner.dir.path())?;
        if state.papers.own().certificate().rights().role == Role::Client {
            config.overlay.role = ConfiguredRole::Client;
        }
        Ok(config)
    }

    /// Names the network.
    pub(crate) fn fingerprint(&self) -> NetworkFingerprint {
        self.state().papers.network()
    }

    /// Why others did not let this daemon in when it last asked, if they did not.
    pub(crate) fn refused(&self) -> Option<String> {
        self.state().refused.clone()
    }

    /// The gate of the network, at which this daemon's papers are shown.
    pub(crate) fn gate(&self) -> Gate {
        Gate::kept_by(Arc::new(self.clone()))
    }

    /// Why this daemon belongs to the network, and who does not.
    pub(crate) fn membership(&self) -> Membership {
        let state = self.state();
        let papers = &state.papers;
        Membership {
            key: *papers.trusted().newest().unwrap_or(papers.genesis().key()),
            key_before: papers.trusted().older().map(|(key, until)| (*key, until)),
            founder: state.founder.is_some(),
            certificate: papers.own().certificate().clone(),
            revocations: papers.revocations().iter().cloned().collect(),
            invites: state.invites.open(now()).collect(),
            delegates: state.delegates().collect(),
        }
    }

    fn own_key(&self) -> [u8; 32] {
        self.inner.pair.public().to_bytes()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // What is done under the lock does not panic half-way.
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Somebody has shown what it may be.
    fn has_role(&self, Admitted { subject, rights, .. }: &Admitted) {
        let id = NodeId::from_public_key(subject);
        self.inner.clients.send_if_modified(|clients| match rights.role {
            Role::Client => clients.len() < EXCLUDED_MAX && clients.insert(id),
            Role::Member => clients.remove(&id),
        });
    }

    /// Takes in what others know of revocations. Waits for the disk.
    fn learn(&self, revocations: Vec<Revocation>) -> Result<(), DataDirError> {
        let mut state = self.state();
        let merged = state.papers.learn(revocations);
        if merged.subjects.is_empty() {
            return Ok(());
        }
        // Kept in memory even if the disk is full: then the next start hears of them again.
        self.inner.changed.notify_one();
        self.inner.dir.write(PAPERS_FILE, &state.papers.encode())
    }
}

impl State {
    /// Others who may sign, as far as they have been met and are not revoked, and how many certificates by each are
    /// known.
    fn delegates(&self) -> impl Iterator<Item = ([u8; 32], usize)> {
        let (revocations, trusted) = (self.papers.revocations(), self.papers.trusted());
        let stands = |key: &&[u8; 32]| !revocations.is_revoked(key, true, trusted);
        let signed = |key: &[u8; 32]| {
            let chains = self.peers.values().map(|known| &known.chain).chain([self.papers.own()]);
            chains.filter(|chain| chain.certificate().issuer() == key).count()
        };
        self.delegates.iter().filter(stands).map(move |key| (*key, signed(key)))
    }

    /// Somebody was let in.
    fn admitted(&mut self, chain: Chain, admitted: Admitted, digest: [u8; 32]) {
        if self.peers.len() >= PEERS_MAX
            && !self.peers.contains_key(&admitted.subject)
            && let Some(first) = self.peers.iter().min_by_key(|(_, known)| known.admitted.until)
        {
            let first = *first.0;
            self.peers.remove(&first);
        }
        if admitted.rights.delegate {
            self.delegate_came = true;
            if self.delegates.len() < DELEGATES_MAX {
                self.delegates.insert(admitted.subject);
            }
        }
        self.peers.insert(admitted.subject, Known { chain, admitted, digest });
    }
}

/// The settings as the founder of a network has them, or why these contradict.
fn adapted(mut config: Config, founding: &Founding, dir: &Path) -> Result<Config, AccessError> {
    if config.network != Config::default().network && config.network != founding.name {
        return Err(AccessError::Belongs { path: dir.to_owned(), network: founding.name.clone() });
    }
    config.network.clone_from(&founding.name);
    config.metric = founding.metric;
    Ok(config)
}

/// A key pair whose secret half is in a file of the data directory, made if it is not there.
fn secret_pair(dir: &DataDir, name: &str) -> Result<ed25519::Keypair, DataDirError> {
    let mut secret = dir.secret(name)?;
    let secret = ed25519::SecretKey::try_from_bytes(&mut secret.bytes)
        .map_err(|_| DataDirError::Damaged { path: dir.join(name), problem: "not an Ed25519 key" })?;
    Ok(secret.into())
}

/// The daemon's own key, made if there is none.
fn own_key(dir: &DataDir) -> Result<Identity, DataDirError> {
    Identity::load(dir)
}

/// A random number that names a certificate.
fn serial() -> Result<u64, getrandom::Error> {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes)?;
    Ok(u64::from_be_bytes(bytes))
}
