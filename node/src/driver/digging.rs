//! When to try again to get direct connections with those who are spoken to through relays only. A hole is dug when a
//! circuit begins, with the addresses that both know then; whoever has got another one meanwhile, or whose router was
//! slow, is dialled anew.

use std::time::Duration;

use tokio::time::Instant;

/// How long after a circuit has begun, and nothing has come of it, it is tried again. Design: libp2p tries three times
/// by then.
const FIRST: Duration = Duration::from_secs(20);
/// The longest pause: some routers let nothing through whatever is tried.
const PAUSE_MAX: Duration = Duration::from_secs(1800);

/// See the module's description.
#[derive(Debug, Default)]
pub(super) struct Digging {
    /// When, and after which pause; none where everybody is spoken to directly.
    due: Option<(Instant, Duration)>,
}

impl Digging {
    /// This daemon is seen elsewhere: what was in vain may not be any more.
    pub(super) fn moved(&mut self, now: Instant) {
        self.due = Some((now, FIRST));
    }

    /// Returns whether to try now. `somebody`: is spoken to through relays only.
    pub(super) fn is_due(&mut self, somebody: bool, now: Instant) -> bool {
        if !somebody {
            self.due = None;
            return false;
        }
        let (due, pause) = *self.due.get_or_insert((now + FIRST, FIRST));
        if due > now {
            return false;
        }
        self.due = Some((now + pause, (pause * 2).min(PAUSE_MAX)));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_tried_ever_more_seldom_and_at_once_at_another_address() {
        let (mut digging, begun) = (Digging::default(), Instant::now());
        let at = |seconds| begun + Duration::from_secs(seconds);
        assert!(!digging.is_due(true, at(0)), "it may still succeed by itself");
        let tried: Vec<u64> = (0..400).filter(|second| digging.is_due(true, at(*second))).collect();
        assert_eq!(tried, [20, 40, 80, 160, 320]);
        assert!(!digging.is_due(true, at(401)));
        digging.moved(at(401));
        assert!(digging.is_due(true, at(402)));
        assert!(!digging.is_due(true, at(403)));
        // Everybody is spoken to directly, and then somebody not.
        assert!(!digging.is_due(false, at(500)));
        assert!(!digging.is_due(true, at(501)));
        assert!(digging.is_due(true, at(521)));
    }

    #[test]
    fn pauses_do_not_grow_for_ever() {
        let (mut digging, mut now) = (Digging::default(), Instant::now());
        let mut last = now;
        for _ in 0..7200 * 4 {
            now += Duration::from_secs(1);
            if digging.is_due(true, now) {
                assert!(now - last <= PAUSE_MAX + Duration::from_secs(1));
                last = now;
            }
        }
        assert!(now - last <= PAUSE_MAX);
    }
}
