//! What reading has taught about holders: how soon each answers, and whom not to count on just now.
//!
//! The estimate of a holder's time per shard and the patience with it are those of a TCP retransmission timer: smoothed
//! mean and mean deviation, patience = mean + 4 deviations (RFC 6298, section 2). Who is not known yet is expected to
//! be like all the others together.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chordage_dht::{NodeId, Peer};
use tokio::time::Instant;

/// Holders remembered; beyond, the one that was heard of longest ago is forgotten.
const REMEMBERED_MAX: usize = 1024;
/// Nobody is given up on sooner: on a busy machine a thread may wait as long for its turn.
const PATIENCE_MIN: Duration = Duration::from_millis(60);
/// Nor later, however slow all have been.
const PATIENCE_MAX: Duration = Duration::from_secs(2);
/// The least that a stranger is given: the connection may have to be made first.
const PATIENCE_FIRST: Duration = Duration::from_millis(150);
/// How long a holder that was late or failed is asked last; doubled each time it happens again in a row.
const DISTRUST: Duration = Duration::from_secs(2);
const DISTRUST_MAX: Duration = Duration::from_secs(64);
/// How long one that sent a false shard is.
const LIAR: Duration = Duration::from_secs(600);

/// See the module's description.
#[derive(Default)]
pub(crate) struct Scores {
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    known: BTreeMap<NodeId, Holder>,
    all: Option<Estimate>,
}

struct Holder {
    estimate: Option<Estimate>,
    /// Shards asked for and not yet there.
    asking: u32,
    strikes: u32,
    distrusted_until: Option<Instant>,
    /// Answers in time do not shorten this.
    liar_until: Option<Instant>,
    heard: Instant,
}

/// Smoothed time per shard, seconds.
#[derive(Clone, Copy)]
struct Estimate {
    mean: f64,
    deviation: f64,
}

impl Estimate {
    fn of(sample: f64) -> Self {
        Estimate { mean: sample, deviation: sample / 2.0 }
    }

    fn learn(&mut self, sample: f64) {
        self.deviation += ((sample - self.mean).abs() - self.deviation) / 4.0;
        self.mean += (sample - self.mean) / 8.0;
    }

    fn patience(self) -> Duration {
        Duration::from_secs_f64(self.mean + 4.0 * self.deviation).clamp(PATIENCE_MIN, PATIENCE_MAX)
    }
}

impl Scores {
    /// `candidates`, which stand in the order of placement, in the order in which to ask them. Of the first `n`, who
    /// most likely hold a shard each, the fastest come first; within a factor of two the order of placement stays,
    /// because it begins with those that hold data rather than parity. Who is distrusted comes behind the others of
    /// the `n`, and all further candidates after that.
    pub(crate) fn order(&self, mut candidates: Vec<Peer>, n: u8, now: Instant) -> Vec<Peer> {
        let book = self.book();
        let likely = candidates.len().min(n.into());
        candidates[..likely].sort_by_cached_key(|peer| book.rank(peer.id(), now));
        candidates
    }

    /// A shard was asked for.
    pub(crate) fn asked(&self, id: NodeId, now: Instant) {
        self.book().holder(id, now).asking += 1;
    }

    /// How long to wait for a shard before another holder is asked as well.
    pub(crate) fn patience(&self, id: NodeId) -> Duration {
        let book = self.book();
        match book.known.get(&id).and_then(|holder| holder.estimate) {
            Some(own) => own.patience(),
            None => book.all.map_or(PATIENCE_FIRST, |all| all.patience().max(PATIENCE_FIRST)),
        }
    }

    /// A shard that was asked for `took` ago has come.
    pub(crate) fn answered(&self, id: NodeId, took: Duration, now: Instant) {
        let mut book = self.book();
        let sample = took.as_secs_f64();
        match &mut book.all {
            Some(all) => all.learn(sample),
            all => *all = Some(Estimate::of(sample)),
        }
        let holder = book.holder(id, now);
        match &mut holder.estimate {
            Some(estimate) => estimate.learn(sample),
            estimate => *estimate = Some(Estimate::of(sample)),
        }
        holder.asking = holder.asking.saturating_sub(1);
        holder.strikes = 0;
        holder.distrusted_until = None;
    }

    /// A shard is no longer waited for: others were quicker, or this holder has none.
    pub(crate) fn let_go(&self, id: NodeId, now: Instant) {
        let mut book = self.book();
        let holder = book.holder(id, now);
        holder.asking = holder.asking.saturating_sub(1);
    }

    /// The holder has let a shard wait for longer than one is patient, or failed.
    pub(crate) fn disappointed(&self, id: NodeId, now: Instant) {
        let mut book = self.book();
        let holder = book.holder(id, now);
        // Several shards that are late at the same time are one disappointment.
        if holder.distrusted_until.is_none_or(|until| until <= now) {
            let pause = DISTRUST.saturating_mul(1 << holder.strikes.min(8)).min(DISTRUST_MAX);
            holder.strikes += 1;
            holder.distrusted_until = Some(now + pause);
        }
    }

    /// The holder sent a shard that does not match its hash.
    pub(crate) fn lied(&self, id: NodeId, now: Instant) {
        self.book().holder(id, now).liar_until = Some(now + LIAR);
    }

    /// Whether it did so lately.
    pub(crate) fn is_liar(&self, id: NodeId, now: Instant) -> bool {
        self.book().known.get(&id).and_then(|holder| holder.liar_until).is_some_and(|until| until > now)
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        // Every change is of one field at a time and leaves the book valid.
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Book {
    fn holder(&mut self, id: NodeId, now: Instant) -> &mut Holder {
        if self.known.len() >= REMEMBERED_MAX && !self.known.contains_key(&id) {
            let idle = self.known.iter().filter(|(_, holder)| holder.asking == 0);
            if let Some(oldest) = idle.min_by_key(|(_, holder)| holder.heard).map(|(id, _)| *id) {
                self.known.remove(&oldest);
            }
        }
        let holder = self.known.entry(id).or_insert(Holder {
            estimate: None,
            asking: 0,
            strikes: 0,
            distrusted_until: None,
            liar_until: None,
            heard: now,
        });
        holder.heard = now;
        holder
    }

    /// Smaller is better: whether it is distrusted, then in which power of two of microseconds a shard is expected.
    fn rank(&self, id: NodeId, now: Instant) -> (bool, u32) {
        let Some(holder) = self.known.get(&id) else { return (false, rank_of(self.all, 0)) };
        let distrusted = holder.distrusted_until.max(holder.liar_until).is_some_and(|until| until > now);
        (distrusted, rank_of(holder.estimate.or(self.all), holder.asking))
    }
}

fn rank_of(estimate: Option<Estimate>, asking: u32) -> u32 {
    let micros = estimate.map_or(0.0, |estimate| estimate.mean * 1e6) * f64::from(1 + asking / 4);
    // Below a quarter of a millisecond nobody is slow.
    (micros as u64).max(256).ilog2()
}

#[cfg(test)]
mod tests {
    use chordage_dht::PeerInfo;

    use super::*;

    fn peers(count: u8) -> Vec<Peer> {
        (0..count).map(|i| Peer::new(PeerInfo::new([i; 32], Vec::new(), 0).expect("no addresses"))).collect()
    }

    fn order(holders: &Scores, peers: &[Peer], n: u8, now: Instant) -> Vec<usize> {
        let place =
            |peer: &Peer| peers.iter().position(|other| other.id() == peer.id()).expect("a candidate");
        holders.order(peers.to_vec(), n, now).iter().map(place).collect()
    }

    fn learn(holders: &Scores, peer: &Peer, millis: u64, now: Instant) {
        for _ in 0..20 {
            holders.asked(peer.id(), now);
            holders.answered(peer.id(), Duration::from_millis(millis), now);
        }
    }

    #[test]
    fn who_is_much_slower_comes_later_and_the_like_keep_the_order_of_placement() {
        let (holders, peers, now) = (Scores::default(), peers(6), Instant::now());
        assert_eq!(order(&holders, &peers, 4, now), [0, 1, 2, 3, 4, 5]);
        for (peer, millis) in peers.iter().zip([5, 90, 7, 6, 1, 1]) {
            learn(&holders, peer, millis, now);
        }
        assert_eq!(order(&holders, &peers, 4, now), [0, 2, 3, 1, 4, 5], "4 and 5 hold nothing, however fast");
    }

    #[test]
    fn who_is_late_is_asked_last_for_a_while_and_longer_each_time() {
        let (holders, peers, now) = (Scores::default(), peers(4), Instant::now());
        let after = |seconds| now + Duration::from_secs(seconds);
        holders.disappointed(peers[0].id(), now);
        holders.disappointed(peers[0].id(), now);
        assert_eq!(order(&holders, &peers, 3, after(1)), [1, 2, 0, 3]);
        assert_eq!(order(&holders, &peers, 3, after(3)), [0, 1, 2, 3], "two at once count as one");
        holders.disappointed(peers[0].id(), after(3));
        assert_eq!(order(&holders, &peers, 3, after(6)), [1, 2, 0, 3]);
        learn(&holders, &peers[0], 5, after(6));
        assert_eq!(order(&holders, &peers, 3, after(6)), [0, 1, 2, 3], "an answer makes it good");
    }

    #[test]
    fn who_has_lied_is_asked_last_whatever_it_answers_then() {
        let (holders, peers, now) = (Scores::default(), peers(4), Instant::now());
        holders.lied(peers[0].id(), now);
        learn(&holders, &peers[0], 1, now);
        assert_eq!(order(&holders, &peers, 3, now + LIAR / 2), [1, 2, 0, 3]);
        assert_eq!(order(&holders, &peers, 3, now + LIAR), [0, 1, 2, 3]);
    }

    #[test]
    fn patience_follows_what_was_seen_within_its_limits() {
        let (holders, peers, now) = (Scores::default(), peers(3), Instant::now());
        assert_eq!(holders.patience(peers[0].id()), PATIENCE_FIRST);
        learn(&holders, &peers[0], 100, now);
        let known = holders.patience(peers[0].id());
        assert!(known >= Duration::from_millis(100) && known < Duration::from_millis(120), "{known:?}");
        assert_eq!(holders.patience(peers[1].id()), PATIENCE_FIRST);
        learn(&holders, &peers[2], 1, now);
        assert_eq!(holders.patience(peers[2].id()), PATIENCE_MIN);
    }

    #[test]
    fn the_book_stays_small() {
        let (holders, now) = (Scores::default(), Instant::now());
        for i in 0..2 * REMEMBERED_MAX as u64 {
            let mut key = [0; 32];
            key[..8].copy_from_slice(&i.to_le_bytes());
            let peer = PeerInfo::new(key, Vec::new(), 0).expect("no addresses");
            holders.asked(peer.id(), now);
            holders.let_go(peer.id(), now);
        }
        assert!(holders.book().known.len() <= REMEMBERED_MAX);
    }
}
