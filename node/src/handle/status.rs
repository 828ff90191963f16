//! What the daemon says of itself: each room tells its part.

use chordage_api::types::{
    DaemonRole, DaemonState, DutyStatus, GatewayStatus, MembershipStatus, MishapStatus, Status,
    TransferStatus,
};

use super::NodeHandle;
use crate::disk;
use crate::dns::DnsServer;
use crate::driver::{Membership, View};
use crate::lines;
use crate::process;

impl NodeHandle {
    /// What the daemon says of itself; `None` once it has stopped.
    pub async fn status(&self) -> Option<Status> {
        let view = self.inner.reader.placement.driver.view().await?;
        let store = &self.inner.reader.holders.store;
        Some(Status {
            identity: view.identity(),
            membership: self.membership(&view),
            overlay: view.overlay(),
            store: store.status(),
            process: process::status(),
            damage: disk::damage(store).await,
            mishaps: self.mishaps(),
            puts: self.inner.putter.status(view.nodes()),
            duties: self.duties().await,
            transfers: self.transfers(),
            gateways: GatewayStatus {
                dns: self.inner.dns.as_ref().map(DnsServer::status),
                restic: self.inner.gateways.restic.get().map(|status| status()),
                webdav: self.inner.gateways.webdav.get().map(|status| status()),
                web: self.inner.gateways.web.get().map(|status| status()),
            },
        })
    }

    /// How far the daemon is with its network, without asking the driver.
    pub fn state(&self) -> DaemonState {
        match self.inner.reader.placement.driver.membership() {
            _ if self.inner.leaving.is_cancelled() => DaemonState::Leaving,
            Membership::Joining => DaemonState::Joining,
            Membership::Joined if self.inner.repairer.drain_status().is_some() => DaemonState::Draining,
            Membership::Joined => DaemonState::Joined,
            Membership::Leaving => DaemonState::Leaving,
        }
    }

    fn membership(&self, view: &View) -> MembershipStatus {
        let driver = &self.inner.reader.placement.driver;
        MembershipStatus {
            state: self.state(),
            role: if view.status.client { DaemonRole::Client } else { DaemonRole::Member },
            reachability: self.inner.reachability.status(),
            relaying: view.relaying,
            holes: view.holes,
            zone: view.local.zone().map(ToString::to_string),
            join_problem: view.join_problem.clone().or_else(|| self.not_let_in()),
            twin: driver.twin().map(|twin| twin.status()),
            lan: view.lan.clone(),
            listen: view.listen.iter().map(ToString::to_string).collect(),
            metric: self.inner.metric.to_string(),
            uptime_seconds: self.inner.started.elapsed().as_secs_f64(),
        }
    }

    fn mishaps(&self) -> MishapStatus {
        MishapStatus {
            found_at_start: self.inner.found_at_start.clone(),
            lost_log_lines: lines::lost(),
            restarted_tasks: self.inner.tasks.restarted(),
        }
    }

    async fn duties(&self) -> DutyStatus {
        DutyStatus {
            repair: self.inner.repairer.status(),
            drain: self.inner.repairer.drain_status(),
            scrub: self.inner.scrubber.status(),
            leases: self.inner.leases.status().await,
        }
    }

    fn transfers(&self) -> TransferStatus {
        TransferStatus {
            reads: self.inner.reader.totals.now(),
            traffic: self.inner.traffic.now(),
            store_syncs: self.inner.reader.holders.store.syncs(),
        }
    }
}
