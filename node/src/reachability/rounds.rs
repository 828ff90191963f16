//! Asking others, for as long as the daemon runs.

use std::net::IpAddr;
use std::time::Duration;

use chordage_api::types::DaemonRole;
use chordage_dht::Peer;
use futures::future::join_all;
use libp2p::Multiaddr;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep_until};

use super::ask::ask;
use super::candidates::{Candidate, Own};
use super::choice::members_of;
use super::frames::{AVOIDED_MAX, Outcome, Reply, Request, WITNESSES_MAX, Witnessed};
use super::policy::{ASKED, Findings, Scale, Standing, Test};
use super::start::remember;
use super::{Follow, Reachability, Tally};
use crate::address::{dial_order, ip, is_relayed, split};
use crate::driver::{Acquaintances, Announced, Membership, View};

/// How often it is looked whether addresses of the daemon have changed.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How long a newcomer asks those whom it may join through before it joins as a client.
const FIRST_PATIENCE: Duration = Duration::from_secs(8);
/// How long a newcomer waits for its router to forward ports before it asks others whether they get through.
const ROUTER_PATIENCE: Duration = Duration::from_millis(1500);
/// How long they may take to have it tested: as long as those take whom they ask.
const TEST_PATIENCE: Duration = Duration::from_secs(8);

impl Reachability {
    /// Runs for as long as the daemon does. `maps`: whether a router is asked to forward ports.
    pub(super) async fn keep_true(self, maps: bool) {
        let mut own = Own::default();
        if maps && *self.state().policy.standing() == Standing::Unknown {
            let Some(view) = self.inner.driver.view().await else { return };
            self.own(&view);
            self.inner.mappings.attempted(ROUTER_PATIENCE).await;
        }
        // A newcomer does not join before it knows what it is.
        let mut joins_at = match self.state().policy.standing() {
            Standing::Unknown => Some(Instant::now() + FIRST_PATIENCE),
            Standing::Reached(_) | Standing::Unreached(_) => None,
        };
        loop {
            let (due, _) = self.state().policy.due();
            sleep_until(due.max(Instant::now() + LOOK_EVERY / 20).min(Instant::now() + LOOK_EVERY)).await;
            let Some(view) = self.inner.driver.view().await else { return };
            let is = self.own(&view);
            if is != own {
                own = is;
                self.state().policy.changed(Instant::now());
            }
            let met = self.inner.driver.acquaintances().await;
            let (due, scale) = {
                let mut state = self.state();
                if let Some(at) = met.visited {
                    state.policy.visited(at);
                }
                state.policy.due()
            };
            let servers = match joins_at {
                Some(_) => met.ways_in.clone(),
                None if self.inner.driver.membership() != Membership::Joined => Vec::new(),
                None => members_of(&view, |peer| peer.id() != self.inner.local).by_subnet(),
            };
            if due <= Instant::now() && !servers.is_empty() {
                let found = self.find_out(servers, &own, &met, scale).await;
                let is_known = self.conclude(&found).await;
                joins_at = joins_at.filter(|_| !is_known);
            }
            if joins_at.is_none() {
                self.keep_relays(&view, &own, &met).await;
            }
            if joins_at.is_some_and(|at| at <= Instant::now()) {
                joins_at = None;
                self.become_(DaemonRole::Client, Announced::Nowhere).await;
            }
        }
    }

    /// Its own addresses. Whoever has the router forward ports is told of them.
    fn own(&self, view: &View) -> Own {
        let direct = view.listen.iter().filter(|addr| !is_relayed(addr));
        let listened: Vec<Multiaddr> = direct.map(|addr| split(addr.clone()).0).collect();
        self.inner.mappings.listens_at(&listened);
        Own { announced: self.inner.announced.clone(), listened, mapped: self.inner.mappings.addresses() }
    }

    async fn find_out(&self, others: Vec<Peer>, own: &Own, met: &Acquaintances, scale: Scale) -> Findings {
        let believed = match self.state().policy.standing() {
            Standing::Reached(believed) if scale == Scale::Check => Some(believed.clone()),
            _ => None,
        };
        let asked = if believed.is_some() { 1 } else { ASKED };
        let servers: Vec<Peer> = others.into_iter().take(asked).collect();
        // Those who are asked know this daemon from now on.
        let mut met = met.clone();
        met.known.extend(servers.iter().flat_map(|server| dial_order(server)).filter_map(|addr| ip(&addr)));
        // Where fewer can be asked, each of them has more others dial.
        let by = asked.div_ceil(servers.len().max(1)).min(WITNESSES_MAX);
        let seen = match &believed {
            Some(_) => Vec::new(),
            None => self.look(&servers).await.into_iter().map(|sight| sight.at).collect(),
        };
        if !seen.is_empty() {
            self.state().seen.clone_from(&seen);
        }
        let candidates = believed.unwrap_or_else(|| own.candidates(&seen));
        let tests = join_all(servers.iter().map(|server| self.test(server, &candidates, &met, by))).await;
        let (seen_now, tests): (Vec<Multiaddr>, Vec<Vec<Test>>) = tests.into_iter().flatten().unzip();
        let between = own.between(if seen.is_empty() { &seen_now } else { &seen });
        // Where nothing was dialled nothing was found out.
        let tests: Vec<Test> = tests.into_iter().flatten().filter(|test| !test.outcomes.is_empty()).collect();
        Findings { candidates, between, askable: servers.len().max(tests.len()), tests }
    }

    /// Has one of them have it tested by so many others. Returns where that one sees this daemon, and what came of it.
    async fn test(
        &self,
        server: &Peer,
        candidates: &[Candidate],
        met: &Acquaintances,
        by: usize,
    ) -> Option<(Multiaddr, Vec<Test>)> {
        let at: Vec<Multiaddr> = candidates.iter().map(|candidate| candidate.addr.clone()).collect();
        let avoid: Vec<IpAddr> = met.known.iter().take(AVOIDED_MAX).copied().collect();
        let request = Request::Test { at: at.clone(), avoid, by: by as u8 };
        match ask(&self.inner.driver, server.clone(), &request, TEST_PATIENCE).await {
            Ok(Reply::Tested { seen, mut tests }) => {
                tests.retain(|test| test.outcomes.len() == at.len());
                tests.truncate(by);
                tracing::debug!(peer = %server.id(), ?at, ?tests, known = met.known.len(), "reachability was tested");
                let test = |Witnessed { from, outcomes }: Witnessed| Test {
                    acquainted: met.known.contains(&from),
                    outcomes: at
                        .iter()
                        .cloned()
                        .zip(outcomes)
                        .filter(|(_, outcome)| *outcome != Outcome::Untested)
                        .map(|(addr, outcome)| (addr, outcome == Outcome::Reached))
                        .collect(),
                };
                Some((seen, tests.into_iter().map(test).collect()))
            }
            Ok(reply) => {
                tracing::debug!(peer = %server.id(), ?reply, "reachability was not tested");
                None
            }
            Err(error) => {
                tracing::debug!(peer = %server.id(), %error, "reachability was not tested");
                None
            }
        }
    }

    /// Draws the conclusion, and acts on it if it is a new one. Returns whether there is any.
    async fn conclude(&self, found: &Findings) -> bool {
        let standing = {
            let mut state = self.state();
            let is_new = state.policy.take(Instant::now(), found);
            if found.between.is_some() {
                state.between = found.between;
            }
            if !found.tests.is_empty() {
                let got_in = |test: &&Test| test.outcomes.iter().any(|(_, reached)| *reached);
                let reached = found.tests.iter().filter(got_in).count();
                state.last = Some(Tally { reached, tested: found.tests.len() });
            }
            if !is_new {
                return *state.policy.standing() != Standing::Unknown;
            }
            state.policy.standing().clone()
        };
        if self.inner.follow != Follow::Found {
            return true;
        }
        let (announced, role) = match standing {
            Standing::Reached(reached) => {
                let addrs = reached.into_iter().map(|candidate| candidate.addr).collect();
                (Announced::These(addrs), DaemonRole::Member)
            }
            // Those who relay to it make a member of it; that goes on, or comes soon.
            Standing::Unreached(_) | Standing::Unknown => self.through_relays(),
        };
        self.become_(role, announced).await;
        true
    }

    /// Tells others where to dial it, and the rest of the daemon what it is.
    pub(super) async fn become_(&self, role: DaemonRole, announced: Announced) {
        let is_other = *self.inner.part.borrow() != role;
        if is_other {
            self.state().since = std::time::SystemTime::now();
            tracing::info!(?role, ?announced, "{}", self.reason());
            let dir = self.inner.dir.clone();
            if let Ok(Err(error)) = spawn_blocking(move || remember(&dir, role)).await {
                tracing::warn!(%error, "the role cannot be written down; the next start asks again");
            }
        }
        // Shards are refused before others are told not to bring any, and taken before they are told to.
        self.inner.part.send_replace(role);
        self.inner.driver.announce(announced).await;
    }
}
