//! An open network with a genesis: whoever has it may take part, if its key shows the work that the genesis asks for.
//!
//! Two daemons whose keys show the work let each other pass at the gate without a word. Whoever dials and lacks it is
//! told why in the frame in which private networks answer, if it asks at the gate as their daemons do; whoever begins
//! to negotiate at once finds no protocol, as with any other network.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use libp2p::{Multiaddr, PeerId};

use super::{AccessError, KEY_FILE, own_key};
use crate::address::public_key;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::network::NetworkFingerprint;
use crate::network::frames::Answer;
use crate::network::genesis::Genesis;
use crate::network::open_invite::OpenInvite;
use crate::network::text::ADDRESSES_MAX;
use crate::network::work::IdWork;
use crate::wire::{Doorkeeper, Gate, Refusal, Verdict};

/// The part of a daemon in its open network. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Open {
    inner: Arc<Inner>,
}

struct Inner {
    genesis: Genesis,
    own: [u8; 32],
    founder: bool,
    keeper: Arc<Keeper>,
}

/// Looks at keys.
struct Keeper {
    work: IdWork,
    /// Whether this daemon's own key shows the work, so that it has nothing to ask at the gate of others.
    is_sound: bool,
    /// What others have said, if they did not let this daemon in.
    refused: Mutex<Option<String>>,
}

impl Open {
    /// That of the daemon of this data directory, or why it had better not start.
    pub(super) fn of(dir: &DataDir, config: &Config, genesis: Genesis) -> Result<Self, AccessError> {
        let work = genesis.work();
        let founding = genesis.founding();
        if dir.read("key")?.is_none() {
            return Err(AccessError::KeyLost(dir.join("key")));
        }
        let own = own_key(dir)?.public_key;
        let is_sound = work.is_shown_by(&own);
        if !is_sound {
            let network = founding.name.clone();
            let error = AccessError::LacksWork { path: dir.join("key"), network, bits: work.bits() };
            if !config.debug_id_without_work {
                return Err(error);
            }
            tracing::warn!("{error}");
        }
        let founder = match dir.read(KEY_FILE)? {
            None => false,
            Some(_) => super::secret_pair(dir, KEY_FILE)?.public().to_bytes() == *genesis.key(),
        };
        let keeper = Arc::new(Keeper { work, is_sound, refused: Mutex::default() });
        Ok(Open { inner: Arc::new(Inner { genesis, own, founder, keeper }) })
    }

    /// The settings as the genesis has them, or why these contradict.
    pub(super) fn adapt(&self, config: Config, dir: &Path) -> Result<Config, AccessError> {
        super::adapted(config, self.inner.genesis.founding(), dir)
    }

    /// Names the network.
    pub(crate) fn fingerprint(&self) -> NetworkFingerprint {
        self.inner.genesis.fingerprint()
    }

    /// What it asks of keys.
    pub(crate) fn work(&self) -> IdWork {
        self.inner.keeper.work
    }

    /// The network's key.
    pub(crate) fn key(&self) -> &[u8; 32] {
        self.inner.genesis.key()
    }

    /// Whether this daemon has the secret half of it.
    pub(crate) fn is_founder(&self) -> bool {
        self.inner.founder
    }

    /// At which the keys of others are looked at. There is none where no work is asked for.
    pub(super) fn gate(&self) -> Gate {
        match self.work().bits() {
            0 => Gate::default(),
            _ => Gate::kept_by(self.inner.keeper.clone()),
        }
    }

    /// Why others did not let this daemon in when it last asked, if they did not.
    pub(crate) fn refused(&self) -> Option<String> {
        self.inner.keeper.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The line with which anybody can come in, through this daemon at these addresses. None if it has none.
    pub(crate) fn invite(&self, addresses: Vec<Multiaddr>) -> Option<OpenInvite> {
        let addresses = addresses.into_iter().take(ADDRESSES_MAX).collect();
        OpenInvite::new(self.inner.genesis.clone(), self.inner.own, addresses)
    }
}

impl Keeper {
    fn lets_in(&self, peer: &PeerId) -> bool {
        public_key(peer).is_some_and(|key| self.work.is_shown_by(&key))
    }

    fn why_not(&self) -> String {
        format!("its key lacks the work that the network asks for, {} bits", self.work.bits())
    }
}

impl Doorkeeper for Keeper {
    fn at_sight(&self, peer: &PeerId, was_dialled: bool) -> Option<Result<(), Refusal>> {
        if self.lets_in(peer) {
            // Whoever lacks the work itself asks why it does not enter.
            let asks = was_dialled && !self.is_sound;
            return if asks { None } else { Some(Ok(())) };
        }
        tracing::debug!(%peer, bits = self.work.bits(), "a peer is refused: its key lacks the work");
        // Whoever has dialled is told so in an answer.
        was_dialled.then(|| Err(Refusal(self.why_not())))
    }

    /// There is nothing to show but the key.
    fn papers(&self, _: &PeerId) -> Vec<u8> {
        Vec::new()
    }

    /// Only those come here whose keys lack the work.
    fn judge(&self, _: &PeerId, _: &[u8]) -> Verdict {
        let why = format!("{}: `chordage join` makes one that has it, in an empty directory", self.why_not());
        Verdict { answer: Answer::Refused(why).encode(), enters: false }
    }

    fn judge_answer(&self, _: &PeerId, answer: &[u8]) -> Result<(), Refusal> {
        let why = match Answer::decode(answer) {
            Ok(Answer::Refused(why)) => why,
            _ => "what it answered is none of the answers there are".to_owned(),
        };
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.clone());
        Err(Refusal(why))
    }
}

#[cfg(test)]
mod tests;
