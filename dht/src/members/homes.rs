//! The super-peers that a node asks first, because they answer fastest.

use alloc::vec::Vec;
use core::time::Duration;

use crate::{NodeId, Time, peer::Peer, rtt::Rtt};

/// How many are kept: two are asked, two are there in case (the protocol's "2 homes + 2 spare").
pub(crate) const HOMES_MAX: usize = 4;
/// How many are asked by a lookup.
pub(crate) const HOMES_ASKED: usize = 2;
/// One that has been silent for so long is asked whether it is there. Design.
const SILENCE: Duration = Duration::from_secs(30);
/// Questions left unanswered in a row until one is given up. Design.
const MISSES_MAX: u8 = 2;

/// A super-peer, and this node's experience with it.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    pub(crate) peer: Peer,
    pub(crate) rtt: Rtt,
    /// Share of questions answered, the latest counting most, in 1/65,536.
    score: u32,
    missed: u8,
    heard: Time,
}

impl Home {
    /// Share of questions answered, 0 to 1.
    pub(crate) fn score(&self) -> f64 {
        f64::from(self.score) / 65_536.0
    }

    fn count(&mut self, answered: bool) {
        self.score = self.score - self.score / 8 + if answered { 8_192 } else { 0 };
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Homes(Vec<Home>);

impl Homes {
    pub(crate) fn as_slice(&self) -> &[Home] {
        &self.0
    }

    /// A super-peer has answered, after so long.
    pub(crate) fn answered(&mut self, peer: &Peer, rtt: Duration, now: Time) {
        match self.0.iter_mut().find(|home| home.peer.id_ref() == peer.id_ref()) {
            Some(home) => {
                home.rtt.sample(rtt);
                home.peer = peer.clone();
                (home.missed, home.heard) = (0, now);
                home.count(true);
            }
            None => {
                let mut measured = Rtt::default();
                measured.sample(rtt);
                let home = Home { peer: peer.clone(), rtt: measured, score: 65_536, missed: 0, heard: now };
                self.0.push(home);
            }
        }
        self.0.sort_by_key(|home| (home.missed, home.rtt.smoothed()));
        self.0.truncate(HOMES_MAX);
    }

    /// One has left a question unanswered.
    pub(crate) fn missed(&mut self, id: &NodeId) {
        if let Some(home) = self.0.iter_mut().find(|home| home.peer.id_ref() == id) {
            home.missed += 1;
            home.count(false);
        }
        self.0.retain(|home| home.missed < MISSES_MAX);
        self.0.sort_by_key(|home| (home.missed, home.rtt.smoothed()));
    }

    /// Lets go of those that are no super-peers any more.
    pub(crate) fn keep(&mut self, is_super_peer: impl Fn(&NodeId) -> bool) {
        self.0.retain(|home| is_super_peer(home.peer.id_ref()));
    }

    pub(crate) fn has(&self, id: &NodeId) -> bool {
        self.0.iter().any(|home| home.peer.id_ref() == id)
    }

    /// Those to be asked whether they are there.
    pub(crate) fn silent(&self, now: Time) -> impl Iterator<Item = &Peer> {
        self.0
            .iter()
            .filter(move |home| home.missed > 0 || now.since(home.heard) > SILENCE)
            .map(|home| &home.peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::tests::peer;

    #[test]
    fn the_fastest_are_kept_and_the_silent_are_let_go() {
        let mut homes = Homes::default();
        for number in 1..=6 {
            homes.answered(&peer(number, 1), Duration::from_millis(100 - 10 * u64::from(number)), Time::ZERO);
        }
        let kept: Vec<NodeId> = homes.as_slice().iter().map(|home| home.peer.id()).collect();
        assert_eq!(kept, [6, 5, 4, 3].map(|number| peer(number, 1).id()));
        homes.missed(&kept[0]);
        assert_eq!(homes.as_slice()[0].peer.id(), kept[1]);
        assert!(homes.as_slice()[3].score() < 1.0);
        homes.missed(&kept[0]);
        assert!(!homes.has(&kept[0]));
    }
}
