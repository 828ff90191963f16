//! What a daemon stands on: its settings, and the network that it belongs to.

use std::sync::Arc;

use super::StartError;
use crate::access::Access;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::network::NetworkFingerprint;
use crate::tasks::Tasks;
use crate::wire::Gate;

/// See the module's description.
pub(super) struct Ground {
    /// As the papers of a private network have them, if there is one.
    pub(super) config: Config,
    pub(super) network: NetworkFingerprint,
    /// In a private network.
    pub(super) access: Option<Access>,
}

impl Ground {
    /// That of the daemon of this data directory.
    pub(super) fn of(dir: &Arc<DataDir>, config: Config) -> Result<Self, StartError> {
        let Some(access) = Access::load(dir, &config)? else {
            let network = NetworkFingerprint::of(&config.network, config.metric);
            return Ok(Ground { config, network, access: None });
        };
        let config = access.adapt(config)?;
        // What was right before may not fit to a client, say.
        config.check()?;
        Ok(Ground { config, network: access.fingerprint(), access: Some(access) })
    }

    /// Who stands at the door.
    pub(super) fn gate(&self) -> Gate {
        self.access.as_ref().map(Access::gate).unwrap_or_default()
    }

    /// Keeps the papers true in the background.
    pub(super) fn start(&self, driver: &crate::driver::DriverHandle, tasks: &Tasks) {
        if let Some(access) = &self.access {
            let (access, driver) = (access.clone(), driver.clone());
            tasks.background("papers", move || access.clone().keep_true(driver.clone()));
        }
    }
}
