//! What others see of a daemon: where it listens, and the record that says so.

use std::sync::Arc;

use chordage_dht::PeerInfo;
use libp2p::Multiaddr;

use super::StartError;
use super::ground::Ground;
use crate::clock::wall_time;
use crate::config::Role;
use crate::datadir::DataDir;
use crate::driver::Signer;
use crate::identity::Identity;
use crate::listen::{LISTEN_FILE, listen, remember};
use crate::reachability::{Others, Start, start};
use crate::record::Versions;
use crate::wire::{NetworkSwarm, Protocols, RelaySettings, build, listening};

/// All of it.
pub(super) struct Presence {
    pub(super) swarm: NetworkSwarm,
    pub(super) signer: Signer,
    pub(super) local: PeerInfo,
    pub(super) versions: Versions,
    /// Where it listens, as it was asked for, with the ports that the system chose.
    pub(super) bound: Vec<Multiaddr>,
    /// What it begins as.
    pub(super) start: Start,
}

impl Presence {
    /// Listens, unless it is a client, and makes the record.
    pub(super) async fn begin(
        dir: &Arc<DataDir>,
        identity: Identity,
        ground: &Ground,
        others: &Others,
    ) -> Result<Self, StartError> {
        let config = &ground.config;
        let system = |error: &dyn std::fmt::Display| StartError::System(error.to_string());
        let mut protocols = Protocols::new(&ground.belongs.spoken(config), &config.metric.to_string());
        if config.debug_old_wire {
            protocols = protocols.without_newest();
        }
        let signer = Signer::new(identity.keypair.clone());
        // In an open network nobody would dial a client through a relay.
        let relays = match ground.belongs.access() {
            Some(_) => RelaySettings::of(&config.relay, true),
            None => RelaySettings::default(),
        };
        let mut swarm =
            build(identity.keypair, protocols, ground.belongs.gate(), &config.connections, &relays)
                .map_err(|error| system(&error))?;
        let mut bound = Vec::new();
        if config.overlay.role != Role::Client {
            let last = dir.read(LISTEN_FILE)?.unwrap_or_default();
            bound = listen(&mut swarm, &config.listens_on(others.elsewhere), &String::from_utf8_lossy(&last))
                .await?;
            remember(dir, bound.iter())?;
        }
        let listened = listening(&swarm);
        let start = start(config, listened.clone(), others, dir, ground.belongs.access().is_some())?;
        // A record without addresses is what makes a client.
        let addrs = start.first.addresses(&listened);
        let (version, versions) = Versions::begin(dir.clone(), wall_time())?;
        let local = PeerInfo::new(identity.public_key, addrs, version).map_err(|error| system(&error))?;
        Ok(Presence { swarm, signer, local: local.in_zone(config.zone.clone()), versions, bound, start })
    }
}
