//! A holder's claims beside its shards. All changes are made by the thread that writes shards, one at a time: nobody
//! puts a shard between the look at its claims and its deletion.

use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chordage_storage::lease::{
    Claim, Claims, Dropped, LeaseClock, Limits, Listed, NewClaim, ORPHAN, Reading, Totals,
};
use chordage_storage::repair::Moment;
use chordage_storage::{ChunkId, ShardKey, ShardStore, Writer};

use super::CHUNKS_MAX;
use super::asked::Asked;
use super::mine::Mine;
use crate::clock::wall_clock;
use crate::config::LeaseConfig;

/// Claims that one step ends, and chunks whose shards one step deletes. The writer of shards does nothing else
/// meanwhile.
const ENDED_MAX: usize = 512;
const FREED_MAX: usize = 64;
/// Chunks that wait to be freed whose bytes are counted.
const COUNTED_MAX: usize = 1 << 14;
/// Writers whose claims are summed up.
const WRITERS_MAX: usize = 1 << 12;

/// A shard that was put, and who wants it kept.
pub(crate) struct Put {
    pub(crate) chunk: ChunkId,
    pub(crate) bytes: u64,
    /// Shards of the chunk that were held before.
    pub(crate) held_before: usize,
    pub(crate) written: bool,
    pub(crate) by: Writer,
    pub(crate) asked: Asked,
}

/// What a step of freeing came to.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Freed {
    pub(crate) shards: u64,
    pub(crate) bytes: u64,
    /// There may be more to do.
    pub(crate) more: bool,
}

/// What is claimed here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Claimed {
    pub(crate) all: Totals,
    pub(crate) nobodys: Totals,
    pub(crate) freeing: Totals,
}

/// See the module's description.
pub(crate) struct HeldLeases {
    claims: Claims,
    clock: LeaseClock,
    counted: Mutex<Counted>,
    limits: Limits,
    /// How long what nobody claims is kept where all claims were lost, and where only a crash can have taken some.
    orphans: Duration,
    nobodys: Duration,
    anew_until: Moment,
    expire: bool,
}

/// For how long this daemon has been in its network. Elsewhere no lease time passes: nobody could renew.
#[derive(Clone, Copy, Debug, Default)]
struct Counted {
    before: Duration,
    since: Option<Instant>,
}

impl Counted {
    fn at(&self, now: Instant) -> Duration {
        self.before + self.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    fn set(&mut self, counts: bool, now: Instant) {
        *self = Counted { before: self.at(now), since: counts.then_some(now) };
    }

    fn pass(&mut self, time: Duration) {
        self.before = self.before.saturating_add(time);
    }
}

impl HeldLeases {
    /// Opens the book in `directory`, beside so many shards; `None` if another process has it open.
    pub(crate) fn open(directory: &Path, config: &LeaseConfig, shards: u64) -> io::Result<Option<Self>> {
        let Some(claims) = Claims::open(directory)? else { return Ok(None) };
        let last = claims.reading()?;
        let clock = LeaseClock::resume(last);
        let orphans = Duration::from_secs(config.orphan_seconds.into());
        let (limits, expire) = (config.limits(), config.expire);
        let (counted, nobodys) = (Mutex::default(), config.nobodys());
        // One that was never written down is new.
        if last == Reading::default() && shards > 0 {
            claims.begin_anew(clock.now(Duration::ZERO).after(orphans))?;
        }
        let anew_until = claims.anew_until()?;
        let held = Self { claims, clock, counted, limits, orphans, nobodys, anew_until, expire };
        let lengthened = held.claims.lengthen_all(held.now().after(orphans))?;
        if lengthened > 0 {
            tracing::info!(
                claims = lengthened,
                "claims of an earlier version, under which none ended, are kept long enough for their writers to renew"
            );
        }
        // From here on it is known when the clock began.
        held.flush()?;
        Ok(Some(held))
    }

    /// Whether the book was found damaged and begun anew.
    pub(crate) fn begun_anew(&self) -> bool {
        self.claims.begun_anew() > 0
    }

    /// What is granted to others.
    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    fn now(&self) -> Moment {
        self.clock.now(self.counted().at(Instant::now()))
    }

    /// How long what nobody claims is kept, from now on. A finished put has seen its claims durable, so that a crash
    /// takes only those of what is not finished, and of what a repair has just made: whoever needs it renews soon.
    /// Where the book was lost, it may be anybody's.
    fn grace(&self) -> Duration {
        if self.begun_anew() { self.orphans } else { self.nobodys.max(self.anew_until.since(self.now())) }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        // Each change is one step, so that a thread that panicked left it whole.
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on lease time passes, or stands still because this daemon is cut off from its network.
    pub(crate) fn count(&self, counts: bool) {
        self.counted().set(counts, Instant::now());
    }

    /// Counts so much lease time as passed at once, and writes that down. Only experiments do.
    pub(crate) fn pass(&self, time: Duration) -> io::Result<()> {
        self.counted().pass(time);
        self.flush()
    }

    /// Writes down what the clock shows, and makes every claim durable.
    pub(crate) fn flush(&self) -> io::Result<()> {
        self.claims.flush(Reading { lease: self.now(), wall: wall_clock() })
    }

    /// Enters the claims on shards that were put; tells of each whether anybody's found a place.
    pub(crate) fn entered(&self, puts: &[Put]) -> io::Result<Vec<bool>> {
        let mut claims = Vec::new();
        let mut counts = Vec::with_capacity(puts.len());
        for put in puts {
            let before = claims.len();
            let new = |claim: Claim, in_person: bool| NewClaim {
                chunk: put.chunk,
                claim,
                bytes: put.bytes,
                held_before: put.bytes.saturating_mul(put.held_before as u64),
                written: put.written,
                hearsay: !in_person,
                said: if in_person { put.asked.said } else { 0 },
            };
            for claim in &put.asked.claims {
                let in_person = claim.writer == put.by;
                claims.push(new(self.limits.cut(*claim), in_person));
            }
            if put.asked.claims.is_empty() {
                // Who wants it is not known: when in doubt, it is kept until its writer renews.
                let lease_seconds = u32::try_from(self.orphans.as_secs()).unwrap_or(u32::MAX);
                claims.push(new(Claim { writer: ORPHAN, lease_seconds, retain_seconds: 0 }, false));
            }
            counts.push(claims.len() - before);
        }
        let entered = self.claims.enter(self.now(), &claims, self.grace())?;
        let mut entered = entered.into_iter();
        Ok(counts
            .into_iter()
            .map(|count| entered.by_ref().take(count).fold(false, |any, one| any | one))
            .collect())
    }

    /// Enters one writer's claim on those of the chunks of which shards are held; the shards of each, none where the
    /// claim was not entered. Durable when it returns.
    pub(crate) fn renew(
        &self,
        shards: &ShardStore,
        claim: Claim,
        said: u64,
        chunks: &[ChunkId],
    ) -> io::Result<Vec<Vec<u8>>> {
        let mut held = shards.has(chunks).map_err(unreadable)?;
        let known = self.claims.of(chunks)?;
        let mut claims = Vec::new();
        for ((chunk, held), known) in chunks.iter().zip(&held).zip(known) {
            if held.is_empty() {
                continue;
            }
            // Only a claim that is new needs to know how large the shards are.
            let bytes = if known.iter().any(|state| state.writer == claim.writer) {
                1
            } else {
                let descriptor = shards.descriptor(chunk).map_err(unreadable)?;
                descriptor.map_or(1, |descriptor| (descriptor.shard_len() * held.len()) as u64)
            };
            claims.push(NewClaim {
                chunk: *chunk,
                claim,
                bytes,
                held_before: bytes.max(1),
                written: false,
                hearsay: false,
                said,
            });
        }
        let mut entered = self.claims.enter(self.now(), &claims, self.grace())?.into_iter();
        for held in held.iter_mut().filter(|held| !held.is_empty()) {
            if !entered.next().unwrap_or(false) {
                held.clear();
            }
        }
        Ok(held)
    }

    /// Drops one writer's claims, durably.
    pub(crate) fn drop_claims(&self, writer: Writer, said: u64, chunks: &[ChunkId]) -> io::Result<Dropped> {
        self.claims.drop_claims(self.now(), writer, said, self.nobodys, chunks)
    }

    /// What is left of the claims on a chunk, for a new holder. `None` if there were some and all have ended; with none
    /// at all it is not known who wants it.
    pub(crate) fn of(&self, chunk: ChunkId) -> io::Result<Option<Vec<Claim>>> {
        let now = self.now();
        let states: Vec<_> = self.claims.of(&[chunk])?.into_iter().flatten().collect();
        let left: Vec<Claim> =
            states.iter().filter(|state| state.end() > now).map(|state| state.left(now)).collect();
        let over = self.expire && !states.is_empty();
        let ended = left.is_empty() && (over || self.claims.waiting(&[chunk])?.contains(&true));
        Ok((!ended).then_some(left))
    }

    /// At most [`CHUNKS_MAX`] chunks that are kept for a writer, behind `after`, and where to go on if there are more.
    pub(crate) fn kept_for(
        &self,
        shards: &ShardStore,
        writer: Writer,
        after: Option<ChunkId>,
    ) -> io::Result<(Vec<Mine>, Option<ChunkId>)> {
        let now = self.now();
        let Listed { claims, next } = self.claims.listed(writer, after, CHUNKS_MAX)?;
        let mut kept = Vec::with_capacity(claims.len());
        for (chunk, state) in claims {
            // Of what is damaged or gone nobody has to know.
            let Some(descriptor) = shards.descriptor(&chunk).map_err(unreadable)? else { continue };
            let n = descriptor.redundancy().n();
            kept.push(Mine { chunk, n, lease_seconds: state.left(now).lease_seconds, said: state.said });
        }
        Ok((kept, next))
    }

    /// Gives what nobody claims a claim that is nobody's; returns how many chunks that were.
    pub(crate) fn adopt(&self, chunks: &[(ChunkId, u64)]) -> io::Result<usize> {
        self.claims.adopt(self.now(), chunks, self.grace())
    }

    /// Ends some claims whose time has come, and deletes the shards of some chunks on which none is left.
    pub(crate) fn free(&self, shards: &ShardStore) -> io::Result<Freed> {
        let ended = if self.expire { self.claims.expire(self.now(), ENDED_MAX)? } else { 0 };
        let chunks = self.claims.to_free(FREED_MAX)?;
        if chunks.is_empty() {
            return Ok(Freed { more: ended == ENDED_MAX, ..Freed::default() });
        }
        // The book never lists a chunk that is claimed; deleting is worth a second look all the same.
        let claimed = self.claims.of(&chunks)?;
        let held = shards.has(&chunks).map_err(unreadable)?;
        let free = chunks.iter().zip(held).zip(claimed).filter(|(_, claims)| claims.is_empty());
        let keys: Vec<ShardKey> = free
            .flat_map(|((chunk, held), _)| held.into_iter().map(|index| ShardKey { chunk: *chunk, index }))
            .collect();
        let before = shards.usage().payload_bytes;
        let deleted = shards.delete(&keys).map_err(io::Error::other)?;
        self.claims.freed(&chunks)?;
        Ok(Freed {
            shards: deleted as u64,
            bytes: before.saturating_sub(shards.usage().payload_bytes),
            more: true,
        })
    }

    /// What is claimed here, and what waits to be freed.
    pub(crate) fn totals(&self) -> io::Result<Claimed> {
        let mut claimed = Claimed { freeing: self.claims.freeing(COUNTED_MAX)?, ..Claimed::default() };
        for (writer, totals) in self.claims.writers(WRITERS_MAX)? {
            claimed.all.claims += totals.claims;
            claimed.all.bytes += totals.bytes;
            if writer == ORPHAN {
                claimed.nobodys = totals;
            }
        }
        Ok(claimed)
    }
}

fn unreadable(error: chordage_storage::GetError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_passes_in_the_network_only() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut counted = Counted::default();
        assert_eq!(counted.at(at(9)), Duration::ZERO);
        counted.set(true, at(10));
        counted.set(true, at(12));
        assert_eq!(counted.at(at(15)), Duration::from_secs(5));
        counted.set(false, at(20));
        assert_eq!(counted.at(at(1000)), Duration::from_secs(10));
        counted.set(true, at(1000));
        assert_eq!(counted.at(at(1001)), Duration::from_secs(11));
    }

    /// A shard that one writer wants kept for so many days.
    fn put_for(days: u64) -> Put {
        let lease_seconds = u32::try_from(days * 86_400).expect("few days");
        let by = Writer([1; 32]);
        let claims = vec![Claim { writer: by, lease_seconds, retain_seconds: 0 }];
        let asked = Asked { said: 1, claims };
        Put { chunk: ChunkId([days as u8; 32]), bytes: 9, held_before: 0, written: true, by, asked }
    }

    #[test]
    fn claims_end_when_their_time_was_counted_as_passed() {
        let (dir, config) = (tempfile::tempdir().expect("a directory"), LeaseConfig::default());
        let day = Duration::from_secs(86_400);
        let held = HeldLeases::open(dir.path(), &config, 0).expect("opened").expect("ours");
        let puts = [put_for(1), put_for(200)];
        assert_eq!(held.entered(&puts).expect("entered"), [true, true]);
        held.pass(199 * day).expect("written down");
        let left = |held: &HeldLeases, put: &Put| {
            let claims = held.of(put.chunk).expect("read")?;
            Some(claims.iter().map(|claim| claim.lease_seconds).max().expect("one"))
        };
        assert_eq!(left(&held, &puts[0]), None);
        drop(held);
        // The next run goes on from there.
        let held = HeldLeases::open(dir.path(), &config, 2).expect("opened").expect("ours");
        let seconds = left(&held, &puts[1]).expect("it stands");
        assert!((86_300..=86_400).contains(&seconds), "{seconds} s");
        held.pass(day).expect("written down");
        assert_eq!(held.claims.expire(held.now(), 10).expect("ended"), 2);
        assert_eq!(left(&held, &puts[1]), None);
    }

    #[test]
    fn what_nobody_claims_is_kept_for_long_only_where_the_book_was_lost() {
        let config = LeaseConfig::default();
        let [fortnight, year] = [config.nobodys(), Duration::from_secs(config.orphan_seconds.into())];
        for (shards, grace) in [(0, fortnight), (7, year)] {
            let dir = tempfile::tempdir().expect("a temporary directory");
            for _ in 0..2 {
                let held = HeldLeases::open(dir.path(), &config, shards).expect("opened").expect("ours");
                assert_eq!(held.grace(), grace, "with {shards} shards, also at the next start");
            }
        }
        // A start that finds shards beside a book that was there has lost nothing.
        let dir = tempfile::tempdir().expect("a temporary directory");
        drop(HeldLeases::open(dir.path(), &config, 0));
        let held = HeldLeases::open(dir.path(), &config, 7).expect("opened").expect("ours");
        assert_eq!(held.grace(), fortnight);
    }
}
