//! Becoming part of a network with an invite, before a daemon runs on the data directory.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chordage_api::types::MayBe;
use futures::StreamExt;
use libp2p::swarm::SwarmEvent;
use libp2p::{Multiaddr, PeerId};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::founding::{check_free, hex, worked};
use super::{AccessError, PAPERS_FILE, Trying, now, own_key};
use crate::address::peer_id;
use crate::config::ConnectionConfig;
use crate::datadir::DataDir;
use crate::driver::{PEERS_FILE, why_not_dialled};
use crate::network::certificate::Role;
use crate::network::frames::{Answer, Hello};
use crate::network::invite::Invite;
use crate::network::kept::Kept;
use crate::network::open_invite::OpenInvite;
use crate::network::papers::Papers;
use crate::network::text::WayIn;
use crate::wire::{Doorkeeper, Gate, NetworkSwarm, Protocols, Refusal, RelaySettings, Verdict, build};

/// How long one address may take.
const PATIENCE: Duration = Duration::from_secs(12);

/// A network that was joined.
#[derive(Clone, Debug)]
pub struct Joined {
    /// Its name.
    pub network: String,
    /// Names it among all of the same name, 32 hexadecimal digits.
    pub fingerprint: String,
    /// Why the daemon of this data directory belongs to it.
    pub by: JoinedAs,
    /// The directory belonged to the network already.
    pub renewed: bool,
}

/// Why a daemon belongs to a network that was joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JoinedAs {
    /// To a private one, by a certificate, which is a new one.
    Certified {
        /// What it may be.
        role: MayBe,
        /// Whether it may let others in.
        delegate: bool,
        /// When the certificate ends, seconds since 1970. It is renewed by itself.
        not_after: i64,
    },
    /// To an open one, because its key has the work.
    Worked {
        /// How many bits of work the network asks for.
        id_bits: u8,
    },
}

/// Shows that it has an invite, and keeps what it is given.
struct Joiner {
    hello: Vec<u8>,
    answer: Mutex<Option<Answer>>,
}

impl Doorkeeper for Joiner {
    fn papers(&self, _: &PeerId) -> Vec<u8> {
        self.hello.clone()
    }

    /// Nobody enters while it joins.
    fn judge(&self, _: &PeerId, _: &[u8]) -> Verdict {
        Verdict { answer: Answer::Refused(String::new()).encode(), enters: false }
    }

    fn judge_answer(&self, _: &PeerId, answer: &[u8]) -> Result<(), Refusal> {
        let answer = Answer::decode(answer).map_err(|error| Refusal(error.to_string()))?;
        *self.answer.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Ok(())
    }
}

/// Joins the network of an invite with the daemon of the data directory `dir`, which does not run. Into a private
/// network this takes as many times 12 seconds as the invite has addresses, at most; into an open one nobody is asked,
/// and keys are tried on all cores until one has the work. Needs a tokio runtime around it.
pub async fn join(dir: &Path, invite: &str, trying: &Arc<Trying>) -> Result<Joined, AccessError> {
    match invite.parse().map_err(|error| AccessError::BadInvite(format!("{error}")))? {
        WayIn::Private(invite) => tokio::select! {
            joined = join_private(dir, invite) => joined,
            () = trying.until_stopped() => Err(AccessError::Stopped),
        },
        WayIn::Open(invite) => {
            let (dir, trying) = (dir.to_owned(), trying.clone());
            let joined = spawn_blocking(move || join_open(&dir, &invite, &trying));
            joined.await.map_err(|error| AccessError::System(error.to_string()))?
        }
    }
}

/// What of this belongs to the network already is left as it is, but for the addresses.
fn join_open(path: &Path, invite: &OpenInvite, trying: &Trying) -> Result<Joined, AccessError> {
    let genesis = invite.genesis();
    let joined = |renewed| Joined {
        network: genesis.founding().name.clone(),
        fingerprint: hex(&genesis.fingerprint().0),
        by: JoinedAs::Worked { id_bits: genesis.work().bits() },
        renewed,
    };
    let daemon = peer_id(invite.daemon()).ok_or(AccessError::Foreign)?;
    if path.exists() {
        let dir = DataDir::open(path)?;
        let before = dir.read(PAPERS_FILE)?.and_then(|bytes| Kept::decode(&bytes).ok());
        if before.is_some_and(|kept| kept.genesis().id() == genesis.id()) {
            let known = dir.read(PEERS_FILE)?.unwrap_or_default();
            let known = format!("{}{}", lines(invite.addresses(), daemon), String::from_utf8_lossy(&known));
            dir.write(PEERS_FILE, known.as_bytes())?;
            return Ok(joined(true));
        }
    }
    let (dir, own) = worked(path, genesis.work(), trying)?;
    dir.set_secret("key", &own)?;
    // If that is cut off in between, joining again finds that it belongs to the network, and adds the addresses.
    dir.write(PAPERS_FILE, &Kept::Open(genesis.clone()).encode())?;
    dir.write(PEERS_FILE, lines(invite.addresses(), daemon).as_bytes())?;
    Ok(joined(false))
}

/// What is remembered of a daemon for the first start.
fn lines(addresses: &[Multiaddr], peer: PeerId) -> String {
    addresses.iter().map(|addr| format!("{addr}/p2p/{peer}\n")).collect()
}

async fn join_private(dir: &Path, invite: Invite) -> Result<Joined, AccessError> {
    let invitation = invite.invitation().clone();
    // By its own clock it would be told the same by the daemon that made it; with a clock that is wrong it had better
    // ask.
    let has_ended = invitation.expires.saturating_add(24 * 3600) < now();
    if has_ended {
        return Err(AccessError::Expired);
    }
    let dir = DataDir::open(dir)?;
    let before = dir.read(PAPERS_FILE)?.and_then(|bytes| Papers::decode(&bytes).ok());
    let belongs = before.as_ref().is_some_and(|papers| papers.network() == invitation.network);
    if !belongs {
        check_free(&dir)?;
    }
    let own = own_key(&dir)?;
    let hello = Hello::Invited { id: invite.id(), proof: invite.prove(&own.public_key) }.encode();
    let joiner = Arc::new(Joiner { hello, answer: Mutex::new(None) });
    let protocols = Protocols::new(&invitation.name, "ring");
    let gate = Gate::kept_by(joiner.clone());
    let mut swarm =
        build(own.keypair, protocols, gate, &ConnectionConfig::default(), &RelaySettings::default())
            .map_err(|error| AccessError::System(error.to_string()))?;
    let issuer = peer_id(&invitation.issuer).ok_or(AccessError::Foreign)?;
    let mut failed = Vec::new();
    for address in &invitation.addresses {
        let dialled = timeout(PATIENCE, dial(&mut swarm, address, issuer)).await;
        match dialled.unwrap_or_else(|_| Err("no answer in time".to_owned())) {
            Ok(()) => break,
            Err(why) => failed.push(format!("{address}: {why}")),
        }
    }
    let answer = joiner.answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    let papers = match answer {
        None => return Err(AccessError::Unreachable(failed.join("; "))),
        Some(Answer::Refused(why)) => return Err(AccessError::Refused(why)),
        Some(Answer::Welcome { .. }) => return Err(AccessError::Foreign),
        Some(Answer::Granted(papers)) => papers,
    };
    let mut papers = Papers::decode(&papers).map_err(|_| AccessError::Foreign)?;
    let admitted =
        papers.check_own(&own.public_key, now()).map_err(|error| AccessError::Refused(error.to_string()))?;
    if papers.network() != invitation.network || !papers.trusted().is_network_key(&invitation.network_key) {
        return Err(AccessError::Foreign);
    }
    if let Some(before) = &before {
        papers.learn(before.revocations().iter().cloned());
    }
    dir.write(PAPERS_FILE, &papers.encode())?;
    dir.write(PEERS_FILE, lines(&invitation.addresses, issuer).as_bytes())?;
    Ok(Joined {
        network: invitation.name,
        fingerprint: hex(&invitation.network.0),
        by: JoinedAs::Certified {
            role: may_be(admitted.rights.role),
            delegate: admitted.rights.delegate,
            not_after: i64::try_from(admitted.until).unwrap_or(i64::MAX),
        },
        renewed: belongs,
    })
}

/// A role, as the API says it.
pub(crate) fn may_be(role: Role) -> MayBe {
    match role {
        Role::Member => MayBe::Member,
        Role::Client => MayBe::Client,
    }
}

/// Dials one address of the daemon that made the invite, and waits until the gate has been passed or not.
async fn dial(swarm: &mut NetworkSwarm, address: &Multiaddr, issuer: PeerId) -> Result<(), String> {
    let address = address.clone().with_p2p(issuer).unwrap_or_else(|address| address);
    swarm.dial(address).map_err(|error| why_not_dialled(&error))?;
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::ConnectionEstablished { .. } => return Ok(()),
            SwarmEvent::OutgoingConnectionError { error, .. } => return Err(why_not_dialled(&error)),
            _ => {}
        }
    }
}
