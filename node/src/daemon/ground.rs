//! What a daemon stands on: its settings, and the network that it belongs to.

use std::sync::Arc;

use super::StartError;
use crate::access::Belongs;
use crate::config::Config;
use crate::datadir::DataDir;
use crate::network::NetworkFingerprint;
use crate::tasks::Tasks;

/// See the module's description.
pub(super) struct Ground {
    /// As the network has them, if it is more than a name.
    pub(super) config: Config,
    pub(super) network: NetworkFingerprint,
    pub(super) belongs: Belongs,
}

impl Ground {
    /// That of the daemon of this data directory.
    pub(super) fn of(dir: &Arc<DataDir>, config: Config) -> Result<Self, StartError> {
        let belongs = Belongs::load(dir, &config)?;
        let config = belongs.adapt(config, dir.path())?;
        // What was right before may not fit to a client, say.
        config.check()?;
        Ok(Ground { network: belongs.fingerprint(&config), config, belongs })
    }

    /// Keeps the papers true in the background.
    pub(super) fn start(&self, driver: &crate::driver::DriverHandle, tasks: &Tasks) {
        if let Some(access) = self.belongs.access() {
            let (access, driver) = (access.clone(), driver.clone());
            tasks.background("papers", move || access.clone().keep_true(driver.clone()));
        }
    }
}
