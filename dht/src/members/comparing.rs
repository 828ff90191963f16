//! When a node compares its lists with another's.

use core::time::Duration;

use super::{Scope, comparison::Comparison};
use crate::{NodeId, Time, params::CLIENT_PATIENCE};

/// Until the next comparison: soon at first, because the one it was made with may have been new here too. The last wait
/// goes on for ever; what spreading misses is rare, and lookups survive it. In a large network it is the one before: it
/// is by comparing that super-peers become known. Design.
const COMPARE_AFTER: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(15), Duration::from_secs(60), Duration::from_secs(300)];

/// The comparison under way, and those before it.
#[derive(Debug, Clone)]
pub(crate) struct Comparing {
    under_way: Option<Comparison>,
    /// When the next begins.
    at: Time,
    /// How many went well.
    well: u8,
    /// Whether one of them was of lists of everybody.
    complete: bool,
    /// With whom this node compared last.
    partner: Option<NodeId>,
}

impl Comparing {
    pub(crate) fn new(now: Time) -> Self {
        Self { under_way: None, at: now, well: 0, complete: false, partner: None }
    }

    pub(crate) fn under_way(&self) -> Option<&Comparison> {
        self.under_way.as_ref()
    }

    pub(crate) fn under_way_mut(&mut self) -> Option<&mut Comparison> {
        self.under_way.as_mut()
    }

    /// Whether lists of everybody have been compared.
    pub(crate) fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether this is with whom this node compared last: nobody else can tell it that a super-peer is gone.
    pub(crate) fn was_with(&self, peer: &NodeId) -> bool {
        self.partner.as_ref() == Some(peer)
    }

    /// Another list is kept from now on: no comparison counts that was made before.
    pub(crate) fn start_anew(&mut self) {
        (self.under_way, self.well, self.complete) = (None, 0, false);
    }

    /// Whether the next may begin.
    pub(crate) fn is_due(&self, now: Time) -> bool {
        self.under_way.is_none() && self.at <= now
    }

    /// The next is after this wait.
    pub(crate) fn again_after(&mut self, now: Time, wait: Duration) {
        self.at = now + wait;
    }

    /// One begins.
    pub(crate) fn begin(&mut self, comparison: Comparison) {
        self.partner = Some(comparison.partner.id());
        self.under_way = Some(comparison);
    }

    /// The one under way has ended, well or not.
    pub(crate) fn end(&mut self, well: bool) {
        let scope = self.under_way.take().map(|comparison| comparison.scope);
        self.complete |= well && scope == Some(Scope::Everybody);
        self.well = self.well.saturating_add(well.into());
    }

    /// How long to wait until the next, in a `large` network or not, for whom `listens` only or not.
    pub(crate) fn wait(&self, large: bool, listens: bool) -> Duration {
        let last = if large { COMPARE_AFTER.len() - 2 } else { COMPARE_AFTER.len() - 1 };
        let well = usize::from(self.well);
        let wait = COMPARE_AFTER[well.min(last)];
        // So that half of the network may be clients.
        if listens && well >= last { wait * CLIENT_PATIENCE } else { wait }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::members::{lists::Lists, lottery::Lottery, tests::peer};

    fn comparison(number: u32, scope: Scope) -> Comparison {
        let lists = Lists::new(8, scope, Lottery::default());
        Comparison::new(peer(number, 1), scope, lists.of(scope), 8).0
    }

    #[test]
    fn waits_grow_with_what_went_well_and_clients_wait_longer_in_the_end() {
        let mut comparing = Comparing::new(Time::ZERO);
        let client = 60 * u64::from(CLIENT_PATIENCE);
        for (small, large, listener) in [(2, 2, 2), (15, 15, 15), (60, 60, client), (300, 60, client)] {
            let waits = [(false, false), (true, false), (true, true)]
                .map(|(large, listens)| comparing.wait(large, listens).as_secs());
            assert_eq!(waits, [small, large, listener]);
            comparing.end(false);
            assert_eq!(comparing.wait(false, false).as_secs(), small, "one that failed counts for nothing");
            comparing.end(true);
        }
    }

    #[test]
    fn one_is_under_way_at_a_time_and_the_last_partner_is_known() {
        let mut comparing = Comparing::new(Time::ZERO);
        assert!(comparing.is_due(Time::ZERO) && !comparing.was_with(peer(1, 1).id_ref()));
        comparing.begin(comparison(1, Scope::SuperPeers));
        assert!(!comparing.is_due(Time::ZERO) && comparing.under_way().is_some());
        comparing.end(true);
        comparing.again_after(Time::ZERO, Duration::from_secs(2));
        assert!(
            !comparing.is_due(Time::from_micros(1_999_999)) && comparing.is_due(Time::from_micros(2_000_000))
        );
        assert!(comparing.was_with(peer(1, 1).id_ref()) && !comparing.was_with(peer(2, 1).id_ref()));
    }

    #[test]
    fn lists_are_complete_when_lists_of_everybody_were_compared_and_until_others_are_kept() {
        let mut comparing = Comparing::new(Time::ZERO);
        for (scope, well, complete) in [
            (Scope::SuperPeers, true, false),
            (Scope::Everybody, false, false),
            (Scope::Everybody, true, true),
            (Scope::SuperPeers, true, true),
        ] {
            comparing.begin(comparison(1, scope));
            comparing.end(well);
            assert_eq!(comparing.is_complete(), complete, "{scope:?}, {well}");
        }
        comparing.start_anew();
        assert!(!comparing.is_complete() && comparing.wait(false, false) == COMPARE_AFTER[0]);
    }
}
