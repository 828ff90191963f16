//! What is in files. It is read in runs, which grow while somebody reads on, and the next one is fetched ahead. All
//! runs together have a limit; those that nobody has used for longest go first.
//!
//! A read never waits for a right to read ahead, and a run never waits for a read: it is filled by a task of its own,
//! which has a deadline, whoever waits for it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::inodes::Inside;
use super::source::{Permit, Source, Trouble};

/// Bytes of a run where somebody jumps about in a file.
const RANDOM: u64 = 256 << 10;
/// Bytes of the first run for somebody who begins at the beginning …
const FIRST: u64 = 512 << 10;
/// … and of the longest one for somebody who goes on. Chunks have some 2 MiB, and one is fetched again for every run
/// that begins in it.
const LONGEST: u64 = 4 << 20;
/// Somebody who reads so near the end of what was read last goes on reading: the kernel asks for several pieces at a
/// time.
const NEAR: u64 = 1 << 20;
/// Bytes of all runs of all files.
const KEPT_BYTES: u64 = 64 << 20;

/// A file that is open.
#[derive(Debug)]
pub(super) struct File {
    inside: Arc<Inside>,
    number: u64,
    pace: Mutex<Pace>,
}

/// How somebody reads.
#[derive(Clone, Copy, Debug)]
struct Pace {
    end: u64,
    run: u64,
}

/// What to fetch for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    run: u64,
    goes_on: bool,
}

impl File {
    pub(super) fn new(inside: Arc<Inside>, number: u64) -> Self {
        File { inside, number, pace: Mutex::new(Pace { end: 0, run: FIRST }) }
    }

    /// What it is.
    pub(super) fn inside(&self) -> &Inside {
        &self.inside
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a read.
    fn plan(&self, bytes: &Range<u64>) -> Plan {
        let mut pace = self.pace();
        let goes_on = bytes.start.abs_diff(pace.end) <= NEAR;
        if goes_on {
            pace.end = pace.end.max(bytes.end);
        } else {
            *pace = Pace { end: bytes.end, run: FIRST };
        }
        Plan { run: if goes_on { pace.run } else { RANDOM }, goes_on }
    }

    /// Notes that a run was begun for somebody who goes on.
    fn went_on(&self) {
        let mut pace = self.pace();
        pace.run = (pace.run * 2).min(LONGEST);
    }
}

/// How far a run is.
#[derive(Clone, Debug)]
enum Filled {
    To(u64),
    Failed(Trouble),
}

/// Bytes of a file, on their way or there.
#[derive(Debug)]
struct Run {
    bytes: Range<u64>,
    data: Mutex<Vec<u8>>,
    filled: watch::Sender<Filled>,
}

impl Run {
    fn new(bytes: Range<u64>) -> Self {
        let filled = watch::Sender::new(Filled::To(bytes.start));
        Run { bytes, data: Mutex::default(), filled }
    }

    fn data(&self) -> MutexGuard<'_, Vec<u8>> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_whole(&self) -> bool {
        matches!(&*self.filled.borrow(), Filled::To(end) if *end >= self.bytes.end)
    }

    fn has_failed(&self) -> bool {
        matches!(&*self.filled.borrow(), Filled::Failed(_))
    }

    /// Takes what has come.
    fn push(&self, piece: &[u8]) {
        let mut data = self.data();
        let room = (self.bytes.end - self.bytes.start) as usize - data.len();
        data.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let end = self.bytes.start + data.len() as u64;
        drop(data);
        self.filled.send_replace(Filled::To(end));
    }

    /// Copies some of its bytes, when they have come.
    async fn copy(&self, bytes: Range<u64>, out: &mut Vec<u8>) -> Result<(), Trouble> {
        let mut filled = self.filled.subscribe();
        let is_there = |filled: &Filled| match filled {
            Filled::To(end) => *end >= bytes.end,
            Filled::Failed(_) => true,
        };
        let reached = filled.wait_for(is_there).await.map(|filled| filled.clone());
        if let Ok(Filled::Failed(trouble)) = reached {
            return Err(trouble);
        }
        let from = (bytes.start - self.bytes.start) as usize;
        let data = self.data();
        let part = data.get(from..from + (bytes.end - bytes.start) as usize);
        out.extend_from_slice(
            part.ok_or_else(|| Trouble::Failed("a file is shorter than it was".to_owned()))?,
        );
        Ok(())
    }
}

/// Runs by file and beginning, with when each was used last.
#[derive(Debug, Default)]
struct Cache {
    runs: BTreeMap<(u64, u64), (Arc<Run>, u64)>,
    bytes: u64,
    uses: u64,
}

impl Cache {
    /// The run that has a byte of a file.
    fn find(&mut self, file: u64, at: u64) -> Option<Arc<Run>> {
        self.uses += 1;
        let (_, (run, used)) = self.runs.range_mut((file, 0)..=(file, at)).next_back()?;
        if run.bytes.end <= at {
            return None;
        }
        *used = self.uses;
        Some(run.clone())
    }

    /// A new run from `at` on: of `wanted` bytes if there is room, and of `least` in any case.
    fn begin(&mut self, file: u64, at: u64, least: u64, wanted: u64) -> Arc<Run> {
        let next = self.runs.range((file, at + 1)..=(file, u64::MAX)).next().map(|((_, start), _)| *start);
        let end = |length: u64| next.unwrap_or(u64::MAX).min(at.saturating_add(length));
        let wanted = end(wanted.max(least));
        self.make_room(wanted - at);
        let fits = self.bytes + (wanted - at) <= KEPT_BYTES;
        let run = Arc::new(Run::new(at..if fits { wanted } else { end(least) }));
        self.bytes += run.bytes.end - at;
        self.uses += 1;
        self.runs.insert((file, at), (run.clone(), self.uses));
        run
    }

    /// Drops whole runs, those first that were not used for longest.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes + bytes > KEPT_BYTES {
            let whole = self.runs.iter().filter(|(_, (run, _))| run.is_whole());
            let Some(key) = whole.min_by_key(|(_, (_, used))| *used).map(|(key, _)| *key) else { break };
            self.remove(key);
        }
    }

    fn remove(&mut self, key: (u64, u64)) {
        if let Some((run, _)) = self.runs.remove(&key) {
            self.bytes -= run.bytes.end - run.bytes.start;
        }
    }
}

/// See the module's description.
#[derive(Debug)]
pub(super) struct Contents {
    source: Arc<Source>,
    runtime: Handle,
    deadline: Duration,
    cache: Mutex<Cache>,
}

impl Contents {
    /// A daemon that gives nothing for `deadline` has failed.
    pub(super) fn new(source: Arc<Source>, runtime: Handle, deadline: Duration) -> Self {
        Contents { source, runtime, deadline, cache: Mutex::default() }
    }

    /// Some bytes of a file; fewer at its end.
    pub(super) async fn read(
        self: &Arc<Self>,
        file: &File,
        offset: u64,
        size: u32,
    ) -> Result<Vec<u8>, Trouble> {
        let length = file.inside.item.size;
        let wanted = offset..offset.saturating_add(size.into()).min(length);
        let mut out = Vec::new();
        if wanted.is_empty() {
            return Ok(out);
        }
        out.reserve((wanted.end - wanted.start) as usize);
        let plan = file.plan(&wanted);
        let mut at = wanted.start;
        while at < wanted.end {
            let run = self.run(file, at, &wanted, plan);
            let end = run.bytes.end.min(wanted.end);
            if plan.goes_on && end == wanted.end {
                self.read_ahead(file, &run, end);
            }
            run.copy(at..end, &mut out).await?;
            at = end;
        }
        Ok(out)
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // Each change leaves it whole.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The run that has a byte of a file; begins one if there is none.
    fn run(self: &Arc<Self>, file: &File, at: u64, wanted: &Range<u64>, plan: Plan) -> Arc<Run> {
        let mut cache = self.cache();
        if let Some(run) = cache.find(file.number, at).filter(|run| !run.has_failed()) {
            return run;
        }
        cache.remove((file.number, at));
        let run = cache.begin(file.number, at, wanted.end - at, plan.run.min(file.inside.item.size - at));
        drop(cache);
        if plan.goes_on {
            file.went_on();
        }
        self.fill(file, run.clone(), None);
        run
    }

    /// Begins the run behind this one when somebody is in its second half, if there is a right to do so.
    fn read_ahead(self: &Arc<Self>, file: &File, run: &Run, reached: u64) {
        let (next, length) = (run.bytes.end, file.inside.item.size);
        if next >= length || reached - run.bytes.start < (next - run.bytes.start) / 2 {
            return;
        }
        let wanted = file.pace().run.min(length - next);
        let mut cache = self.cache();
        if cache.find(file.number, next).is_some() {
            return;
        }
        let Some(permit) = self.source.permit_ahead() else { return };
        cache.make_room(wanted);
        if cache.bytes + wanted > KEPT_BYTES {
            return;
        }
        let run = cache.begin(file.number, next, 1, wanted);
        drop(cache);
        file.went_on();
        self.fill(file, run, Some(permit));
    }

    /// Fills a run, whether or not anybody waits for it.
    fn fill(self: &Arc<Self>, file: &File, run: Arc<Run>, permit: Option<Permit>) {
        let (contents, inside, key) = (self.clone(), file.inside.clone(), (file.number, run.bytes.start));
        self.runtime.spawn(async move {
            let Err(trouble) = contents.download(&inside, &run, permit).await else { return };
            run.filled.send_replace(Filled::Failed(trouble));
            // Whoever reads here next tries again.
            let mut cache = contents.cache();
            if cache.runs.get(&key).is_some_and(|(kept, _)| Arc::ptr_eq(kept, &run)) {
                cache.remove(key);
            }
        });
    }

    async fn download(&self, inside: &Inside, run: &Run, permit: Option<Permit>) -> Result<(), Trouble> {
        let late = |_| Trouble::Failed(format!("nothing came within {} s", self.deadline.as_secs()));
        let begin = async {
            let permit = match permit {
                Some(permit) => permit,
                None => self.source.permit().await,
            };
            let download = self.source.content(&inside.snapshot, &inside.path, run.bytes.clone()).await?;
            Ok::<_, Trouble>((permit, download))
        };
        let (_permit, mut download) = tokio::time::timeout(self.deadline, begin).await.map_err(late)??;
        run.data().reserve_exact((run.bytes.end - run.bytes.start) as usize);
        loop {
            let piece = tokio::time::timeout(self.deadline, download.chunk()).await.map_err(late)?;
            match piece? {
                Some(piece) => run.push(&piece),
                None if run.is_whole() => return Ok(()),
                None => return Err(Trouble::Failed("a file is shorter than it was".to_owned())),
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use fuser::FileType;

    use super::super::attributes::{Item, Owner};
    use super::*;

    fn file(size: u64) -> File {
        let item = Item { kind: FileType::RegularFile, size, ..Item::above(Owner { uid: 0, gid: 0 }, 0) };
        File::new(Arc::new(Inside { snapshot: "ab".into(), path: b"f".to_vec(), item: Arc::new(item) }), 9)
    }

    #[test]
    fn who_reads_on_gets_longer_runs_and_who_jumps_does_not() {
        let file = file(1 << 30);
        assert_eq!(file.plan(&(0..1)), Plan { run: FIRST, goes_on: true });
        for _ in 0..9 {
            file.went_on();
        }
        // Pieces that the kernel asks for at the same time may come in any order.
        assert_eq!(file.plan(&(300_000..400_000)), Plan { run: LONGEST, goes_on: true });
        assert_eq!(file.plan(&(100_000..200_000)), Plan { run: LONGEST, goes_on: true });
        assert_eq!(file.plan(&(500 << 20..501 << 20)), Plan { run: RANDOM, goes_on: false });
        assert_eq!(file.plan(&(501 << 20..502 << 20)), Plan { run: FIRST, goes_on: true });
    }

    #[test]
    fn runs_do_not_overlap_and_have_a_limit() {
        let mut cache = Cache::default();
        let later = cache.begin(1, 1000, 10, 100);
        assert_eq!(cache.begin(1, 900, 10, 500).bytes, 900..1000);
        assert!(
            cache.find(1, 899).is_none() && cache.find(1, 1100).is_none() && cache.find(2, 950).is_none()
        );
        assert!(Arc::ptr_eq(&cache.find(1, 1099).unwrap(), &later));
        // None is whole, so none can go.
        assert_eq!(cache.begin(2, 0, 10, KEPT_BYTES).bytes, 0..10);
        later.push(&[0; 100]);
        let room = KEPT_BYTES - cache.bytes;
        assert_eq!(cache.begin(3, 0, 10, room + 100).bytes, 0..room + 100);
        assert!(cache.find(1, 1000).is_none(), "the one that was whole made room");
        assert_eq!(cache.bytes, KEPT_BYTES);
    }

    #[tokio::test]
    async fn bytes_are_there_when_they_have_come_and_a_failure_is_told() {
        let run = Run::new(10..20);
        run.push(b"abcde");
        let mut out = Vec::new();
        run.copy(11..14, &mut out).await.unwrap();
        assert_eq!(out, b"bcd");
        run.push(b"fghijklm");
        assert!(run.is_whole());
        run.copy(18..20, &mut out).await.unwrap();
        assert_eq!(out, b"bcdij");
        let failed = Run::new(0..5);
        failed.filled.send_replace(Filled::Failed(Trouble::Gone));
        assert_eq!(failed.copy(0..1, &mut out).await, Err(Trouble::Gone));
    }
}
