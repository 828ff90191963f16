//! To which network a data directory belongs, which is said by what lies in it and by nothing else.

use std::path::Path;
use std::sync::Arc;

use super::open::Open;
use super::{Access, AccessError, PAPERS_FILE};
use crate::config::Config;
use crate::datadir::{DataDir, DataDirError};
use crate::network::NetworkFingerprint;
use crate::network::kept::Kept;
use crate::network::work::IdWork;
use crate::wire::Gate;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Belongs {
    /// The network is a name, which the settings say; anybody who knows it takes part.
    Named,
    /// To an open one with a genesis.
    Open(Open),
    /// To a private one.
    Private(Access),
}

impl Belongs {
    pub(crate) fn load(dir: &Arc<DataDir>, config: &Config) -> Result<Self, AccessError> {
        let Some(bytes) = dir.read(PAPERS_FILE)? else {
            if dir.lost().contains(PAPERS_FILE) {
                return Err(AccessError::PapersLost(dir.join(PAPERS_FILE)));
            }
            return Ok(Self::Named);
        };
        let problem = "what it says of the network cannot be read";
        let damaged = |_| DataDirError::Damaged { path: dir.join(PAPERS_FILE), problem };
        Ok(match Kept::decode(&bytes).map_err(damaged)? {
            Kept::Open(genesis) => Self::Open(Open::of(dir, config, genesis)?),
            Kept::Private(papers) => Self::Private(Access::of(dir, config, papers)?),
        })
    }

    /// The settings as the network has them, or why these contradict.
    pub(crate) fn adapt(&self, config: Config, dir: &Path) -> Result<Config, AccessError> {
        match self {
            Self::Named => Ok(config),
            Self::Open(open) => open.adapt(config, dir),
            Self::Private(access) => access.adapt(config),
        }
    }

    /// Names the network, of which these are the settings.
    pub(crate) fn fingerprint(&self, config: &Config) -> NetworkFingerprint {
        match self {
            Self::Named => NetworkFingerprint::of(&config.network, config.metric),
            Self::Open(open) => open.fingerprint(),
            Self::Private(access) => access.fingerprint(),
        }
    }

    /// What the network is called in the names of its protocols. Daemons of two open networks with one name, neither of
    /// which has a gate that would keep them apart, do not understand each other.
    pub(crate) fn spoken(&self, config: &Config) -> String {
        match self {
            // A name has no full stop.
            Self::Open(open) => format!("{}.{}", config.network, super::hex(&open.fingerprint().0)),
            Self::Named | Self::Private(_) => config.network.clone(),
        }
    }

    /// Who stands at the door.
    pub(crate) fn gate(&self) -> Gate {
        match self {
            Self::Named => Gate::default(),
            Self::Open(open) => open.gate(),
            Self::Private(access) => access.gate(),
        }
    }

    /// What the network asks of keys.
    pub(crate) fn work(&self) -> IdWork {
        self.open().map(Open::work).unwrap_or_default()
    }

    /// In an open network that has a genesis.
    pub(crate) fn open(&self) -> Option<&Open> {
        match self {
            Self::Open(open) => Some(open),
            Self::Named | Self::Private(_) => None,
        }
    }

    /// In a private network.
    pub(crate) fn access(&self) -> Option<&Access> {
        match self {
            Self::Private(access) => Some(access),
            Self::Named | Self::Open(_) => None,
        }
    }

    /// Why others did not let this daemon in when it last asked, if they did not.
    pub(crate) fn refused(&self) -> Option<String> {
        match self {
            Self::Named => None,
            Self::Open(open) => open.refused(),
            Self::Private(access) => access.refused(),
        }
    }
}
