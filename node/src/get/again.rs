//! Asking again: what is not found while the network looks smaller than it was may be there as soon as others are back.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::GetError;
use crate::awake;
use crate::driver::NetworkSize;

/// How long what is missing is waited for. Less than a chunk may take in all, so that it ends with what is missing and
/// not with the time.
const BACK_WITHIN: Duration = Duration::from_secs(10);

/// Waits for the network as long as one chunk is asked for.
pub(super) struct Again {
    size: watch::Receiver<NetworkSize>,
    /// As it was when the last attempt began.
    before: NetworkSize,
    until: Instant,
}

impl Again {
    /// The first attempt begins.
    pub(super) fn begin(mut size: watch::Receiver<NetworkSize>) -> Self {
        let before = *size.borrow_and_update();
        Again { size, before, until: Instant::now() + BACK_WITHIN }
    }

    /// An attempt has failed: waits until another one is worth while, because the network has shrunk and more of it is
    /// there than when that attempt began. Otherwise, or if that takes too long, `error` is what came of it.
    pub(super) async fn or(&mut self, error: GetError) -> Result<(), GetError> {
        let is_missing = matches!(error, GetError::Unavailable { .. } | GetError::Find(_));
        let before = self.before;
        if !is_missing || !(before.shrunk || self.size.borrow().shrunk) {
            return Err(error);
        }
        let mut lowest = before.nodes;
        let is_back = |now: &NetworkSize| {
            // More may have vanished since.
            lowest = lowest.min(now.nodes);
            now.nodes > lowest || before.shrunk && !now.shrunk
        };
        match awake::timeout_at(self.until, self.size.wait_for(is_back)).await {
            Ok(Ok(now)) => {
                self.before = *now;
                Ok(())
            }
            // The time is over, or the daemon ends.
            Ok(Err(_)) | Err(_) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::FindError;

    const MISSING: GetError = GetError::Unavailable { chunks: 1, unreadable: 1, best: 1, k: 3 };

    fn size(nodes: u64, shrunk: bool) -> NetworkSize {
        NetworkSize { nodes, shrunk }
    }

    /// Whether an attempt that began when the network had the first size, and failed at the second, is made again once
    /// it has the third; and how long that was waited for.
    async fn is_made_again(error: GetError, sizes: [NetworkSize; 3]) -> (bool, Duration) {
        let (sender, receiver) = watch::channel(sizes[0]);
        let mut again = Again::begin(receiver);
        sender.send_replace(sizes[1]);
        let started = Instant::now();
        let later = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            sender.send_replace(sizes[2]);
            std::future::pending::<()>().await;
        };
        let made = tokio::select! {
            made = again.or(error) => made.is_ok(),
            () = later => unreachable!("it pends"),
        };
        (made, started.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_missing_in_a_whole_network_is_not_waited_for() {
        for sizes in [[size(9, false); 3], [size(9, false), size(8, false), size(9, false)]] {
            assert_eq!(is_made_again(MISSING, sizes).await, (false, Duration::ZERO), "{sizes:?}");
        }
        // Nor is anything but what is missing.
        let shrunk = [size(1, true), size(1, true), size(9, false)];
        assert_eq!(is_made_again(GetError::NoMemory, shrunk).await, (false, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn in_a_shrunk_network_it_is_asked_for_again_as_soon_as_others_are_there() {
        let second = Duration::from_secs(1);
        for (sizes, waited) in [
            ([size(1, true), size(1, true), size(2, true)], second),
            ([size(1, true), size(2, true), size(3, true)], Duration::ZERO),
            ([size(4, true), size(9, false), size(9, false)], Duration::ZERO),
            ([size(9, false), size(1, true), size(2, true)], second),
        ] {
            assert_eq!(is_made_again(MISSING, sizes).await, (true, waited), "{sizes:?}");
        }
        let nobody = GetError::Find(FindError::Lookup(chordage_dht::LookupError::NotJoined));
        assert!(is_made_again(nobody, [size(1, true), size(1, true), size(2, true)]).await.0);
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_not_waited_for_longer_than_a_get_may_take() {
        let sizes = [size(5, true), size(3, true), size(2, true)];
        assert_eq!(is_made_again(MISSING, sizes).await, (false, BACK_WITHIN));
    }
}
