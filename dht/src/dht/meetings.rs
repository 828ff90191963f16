//! Peers that others have named, and that are being met: whoever has not answered yet is in no table.

use alloc::{boxed::Box, vec::Vec};

use crate::{Distance, NodeId};

/// Most peers met at the same time because they may be neighbours. Design: one and a half full leaf sets.
const MEETINGS_MAX: usize = 64;

/// The meetings under way, and what holds once all of them are over.
#[derive(Debug, Clone, Default)]
pub(super) struct Meetings {
    /// Bounded, and each at most once.
    under_way: Vec<NodeId>,
    /// How far neighbours have told us whom they know; true of our own leaf set when all of them have been met.
    told: Option<Box<[Distance; 2]>>,
}

impl Meetings {
    pub(super) fn as_slice(&self) -> &[NodeId] {
        &self.under_way
    }

    pub(super) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }

    pub(super) fn contains(&self, id: &NodeId) -> bool {
        self.under_way.contains(id)
    }

    /// Whether there is room to meet one more possible neighbour, which is not being met.
    pub(super) fn admit(&self, id: &NodeId) -> bool {
        self.under_way.len() < MEETINGS_MAX && !self.contains(id)
    }

    /// A peer is being met.
    pub(super) fn begin(&mut self, id: NodeId) {
        self.under_way.push(id);
    }

    /// A peer has answered, or will not.
    pub(super) fn end(&mut self, id: &NodeId) {
        self.under_way.retain(|met| met != id);
    }

    pub(super) fn clear(&mut self) {
        self.under_way.clear();
    }

    /// A neighbour has told whom it knows, as far as `told`. Of what several have told the farthest counts.
    pub(super) fn is_told(&mut self, told: [Distance; 2]) {
        let before = self.told.take().map_or([Distance::ZERO; 2], |before| *before);
        self.told = Some(Box::new([told[0].max(before[0]), told[1].max(before[1])]));
    }

    /// Whether something has been told and waits for meetings to end.
    pub(super) fn has_been_told(&self) -> bool {
        self.told.is_some()
    }

    /// Shortens what has been told, because somebody who was named is not met.
    pub(super) fn shorten(&mut self, shorten: impl FnOnce(&mut [Distance; 2])) {
        if let Some(told) = &mut self.told {
            shorten(told);
        }
    }

    /// What has been told, if nobody is being met any more that is `wanted`. Returns it once.
    pub(super) fn take_told(&mut self, wanted: impl Fn(&NodeId) -> bool) -> Option<[Distance; 2]> {
        self.told.as_ref()?;
        if self.under_way.iter().any(wanted) {
            return None;
        }
        self.told.take().map(|told| *told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> NodeId {
        NodeId::from_bytes([number; 32])
    }

    const fn far(distance: u64) -> Distance {
        Distance([0, 0, 0, distance])
    }

    #[test]
    fn each_is_met_once_and_no_more_than_fit() {
        let mut meetings = Meetings::default();
        for number in 0..64 {
            assert!(meetings.admit(&id(number)));
            meetings.begin(id(number));
            assert!(!meetings.admit(&id(number)) && meetings.contains(&id(number)));
        }
        assert!(!meetings.admit(&id(64)), "there is no room");
        meetings.end(&id(7));
        assert!(meetings.admit(&id(64)) && meetings.admit(&id(7)));
        meetings.clear();
        assert!(meetings.is_empty() && meetings.as_slice().is_empty());
    }

    #[test]
    fn what_was_told_counts_when_all_who_are_wanted_have_been_met_and_once() {
        let mut meetings = Meetings::default();
        assert_eq!(meetings.take_told(|_| false), None);
        meetings.begin(id(1));
        meetings.begin(id(2));
        meetings.is_told([far(5), far(1)]);
        meetings.is_told([far(3), far(6)]);
        assert!(meetings.has_been_told());
        meetings.shorten(|told| told[1] = far(4));
        assert_eq!(meetings.take_told(|id| *id == self::id(2)), None, "it is being met");
        meetings.end(&id(2));
        assert_eq!(
            meetings.take_told(|id| *id == self::id(2)),
            Some([far(5), far(4)]),
            "the farthest on each side"
        );
        assert!(meetings.take_told(|_| false).is_none() && !meetings.has_been_told());
        meetings.shorten(|_| unreachable!("there is nothing to shorten"));
    }
}
