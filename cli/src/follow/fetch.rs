//! Fetches files into the stage: many small ones in one go, large ones each by itself, so that it goes on where it
//! broke off.

use std::fs::File;
use std::io::{BufReader, Write};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};

use chordage_api::client::{Client, Download, FILE_RANGES_MAX};
use chordage_api::hex;
use chordage_api::range::ByteRange;
use chordage_node::archive::{ArchiveReader, Kind as ArchiveKind};

use super::events::{Event, Events, PathFields};
use super::listing::{Entry, Kind, Listing};
use super::local::hash_of;
use super::stage::{Stage, give, key};
use super::stop::Stop;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::pieces::{self, Pieces};
use crate::unfinished::{BLOCK, Blocks, Journal};

/// Files from this size on are fetched each by itself.
const LARGE: u64 = 2 * BLOCK as u64;
/// Bytes of small files that are fetched in one go. So many come again at most when it is killed.
const BATCH_BYTES_MAX: u64 = LARGE;
/// Bytes written at a time.
const BUFFER: usize = 256 << 10;
/// After so many files that cannot be had now, the others are not tried before the next attempt.
const MISSING_MAX: usize = 8;

/// A file that cannot be had now.
#[derive(Clone, Debug)]
pub(crate) struct Missing {
    /// Where it belongs.
    pub(crate) path: Vec<u8>,
    /// Why.
    pub(crate) error: CliError,
}

/// What one request fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Job {
    /// Small files: the numbers of their entries, in order.
    Batch(Vec<usize>),
    /// One by itself.
    One(usize),
}

/// A listing that is fetched.
pub(crate) struct Fetch<'a> {
    pub(crate) client: &'a Client,
    pub(crate) link: &'a str,
    pub(crate) listing: &'a Arc<Listing>,
    pub(crate) stop: &'a mut Stop,
    pub(crate) events: &'a mut Events,
}

impl Fetch<'_> {
    /// Fetches the content of these entries. Those that cannot be had now are returned, as far as they were tried.
    pub(crate) async fn run(
        &mut self,
        wanted: &[usize],
        stage: &mut Stage,
    ) -> Result<Vec<Missing>, CliError> {
        let mut missing = Vec::new();
        let mut jobs = jobs(self.listing, wanted);
        jobs.reverse();
        while let Some(job) = jobs.pop() {
            let (done, outcome) = match &job {
                Job::Batch(batch) => self.batch(batch, stage).await?,
                Job::One(at) => (0, self.one(*at, stage).await),
            };
            let Err(error) = outcome else { continue };
            // Of anything but the data itself the others would not come either.
            if !matches!(error.status(), ExitStatus::Unavailable | ExitStatus::Deadline) {
                return Err(error);
            }
            let (at, rest) = match job {
                Job::One(at) => (at, Vec::new()),
                Job::Batch(batch) => match batch.get(done) {
                    Some(at) => (*at, batch[done + 1..].to_vec()),
                    None => continue,
                },
            };
            missing.push(Missing { path: self.listing.entries[at].path.clone(), error });
            if missing.len() >= MISSING_MAX {
                break;
            }
            if !rest.is_empty() {
                jobs.push(Job::Batch(rest));
            }
        }
        Ok(missing)
    }

    /// How many of the batch came, the first, and how it ended.
    async fn batch(
        &mut self,
        batch: &[usize],
        stage: &mut Stage,
    ) -> Result<(usize, Result<(), CliError>), CliError> {
        let ranges = ranges(batch.iter().map(|at| number(&self.listing.entries[*at])));
        let asking = self.client.archive_of_files(self.link, &ranges);
        let download = tokio::select! {
            download = asking => download,
            error = self.stop.wait() => return Err(error),
        };
        let download = match download {
            Ok(download) => download,
            Err(error) => return Ok((0, Err(error.into()))),
        };
        let written = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer {
            listing: self.listing.clone(),
            batch: batch.to_vec(),
            stage: stage.clone(),
            written: written.clone(),
        };
        let (fed, wrote) = self.consume(download, move |pieces| writer.run(pieces)).await;
        let written = std::mem::take(&mut *written.lock().unwrap_or_else(PoisonError::into_inner));
        let done = written.len();
        stage.finish(written).map_err(|error| staging(stage, &error))?;
        for at in &batch[..done] {
            self.tell(*at)?;
        }
        match (fed, wrote?) {
            // The thread only knows that its input broke off.
            (Err(error), _)
                if error.status() == ExitStatus::Interrupted || error.code == Stop::SUPERSEDED =>
            {
                Err(error)
            }
            (Err(error), _) => Ok((done, Err(error))),
            (Ok(()), wrote) => wrote.map(|()| (done, Ok(()))),
        }
    }

    async fn one(&mut self, at: usize, stage: &mut Stage) -> Result<(), CliError> {
        let entry = &self.listing.entries[at];
        let Kind::File { size, .. } = entry.kind else { return Ok(()) };
        let key = key(entry);
        let part = stage.new_file(&key);
        let journal = Journal::open(&stage.journal(&key)).map_err(|error| staging(stage, &error))?;
        let opening = {
            let part = part.clone();
            tokio::task::spawn_blocking(move || Blocks::open(&part, journal))
        };
        let opened = opening.await.map_err(internal)?;
        let (mut blocks, begun) = opened.map_err(|error| staging(stage, &error))?;
        let failed = {
            let stage = stage.clone();
            move |error: &_| staging(&stage, error)
        };
        if begun < size {
            let path = (!self.listing.bare).then_some(&entry.path[..]);
            let range = (begun > 0).then_some(ByteRange::From { start: begun });
            let asking = self.client.content(self.link, path, range);
            let download = tokio::select! {
                download = asking => download?,
                error = self.stop.wait() => return Err(error),
            };
            let write = move |mut pieces: Pieces| {
                while let Some(bytes) = pieces.next().map_err(|error| failed(&error))? {
                    blocks.write(&bytes).map_err(|error| failed(&error))?;
                }
                blocks.end().map_err(|error| failed(&error))
            };
            let (fed, wrote) = self.consume(download, write).await;
            fed.and(wrote?)?;
        } else {
            blocks.end().map_err(|error| failed(&error))?;
        }
        let metadata = entry.metadata;
        let looking = tokio::task::spawn_blocking(move || {
            let mut file = File::open(&part)?;
            give(&file, metadata)?;
            Ok((file.metadata()?.len(), hash_of(&mut file)?))
        });
        let (length, hash) =
            looking.await.map_err(internal)?.map_err(|error: std::io::Error| staging(stage, &error))?;
        if length != size {
            return Err(not_as_listed());
        }
        stage.finish(vec![(key, hash)]).map_err(|error| staging(stage, &error))?;
        self.tell(at)
    }

    async fn consume<T: Send + 'static>(
        &mut self,
        download: Download,
        consume: impl FnOnce(Pieces) -> Result<T, CliError> + Send + 'static,
    ) -> (Result<(), CliError>, Result<Result<T, CliError>, CliError>) {
        pieces::consume(download, |_| {}, self.stop.wait(), consume).await
    }

    fn tell(&mut self, at: usize) -> Result<(), CliError> {
        let entry = &self.listing.entries[at];
        let Kind::File { size, .. } = entry.kind else { return Ok(()) };
        self.events.say(&Event::Fetched { path: PathFields::of(&entry.path), bytes: size })
    }
}

/// Writes a batch as it comes.
struct Writer {
    listing: Arc<Listing>,
    batch: Vec<usize>,
    stage: Stage,
    /// Key and hash of each that is there.
    written: Arc<Mutex<Vec<(String, String)>>>,
}

impl Writer {
    fn run(self, pieces: Pieces) -> Result<(), CliError> {
        let local = |error: &std::io::Error| staging(&self.stage, error);
        let archive = |error| CliError::new(ExitStatus::Internal, "bad_archive", error);
        let mut reader = ArchiveReader::new(BufReader::with_capacity(BUFFER, pieces));
        let mut buffer = vec![0; BUFFER];
        for at in &self.batch {
            let entry = &self.listing.entries[*at];
            let head = reader.next_entry().map_err(archive)?.ok_or_else(not_as_listed)?;
            let Kind::File { size, .. } = entry.kind else { return Err(not_as_listed()) };
            if head.path != entry.path || head.kind != (ArchiveKind::File { size }) {
                return Err(not_as_listed());
            }
            let key = key(entry);
            let mut file = self.stage.create(&key).map_err(|error| local(&error))?;
            let mut hasher = blake3::Hasher::new();
            loop {
                let length = reader.read(&mut buffer).map_err(archive)?;
                if length == 0 {
                    break;
                }
                file.write_all(&buffer[..length]).map_err(|error| local(&error))?;
                hasher.update(&buffer[..length]);
            }
            give(&file, entry.metadata).map_err(|error| local(&error))?;
            let hash = hex(hasher.finalize().as_bytes());
            self.written.lock().unwrap_or_else(PoisonError::into_inner).push((key, hash));
        }
        match reader.next_entry().map_err(archive)? {
            None => Ok(()),
            Some(_) => Err(not_as_listed()),
        }
    }
}

fn number(entry: &Entry) -> u64 {
    match entry.kind {
        Kind::File { number, .. } => number,
        Kind::Dir | Kind::Symlink(_) => u64::MAX,
    }
}

/// Numbers in order, as ranges.
fn ranges(numbers: impl Iterator<Item = u64>) -> Vec<RangeInclusive<u64>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some(last) if last.end().checked_add(1) == Some(number) => *last = *last.start()..=number,
            _ => ranges.push(number..=number),
        }
    }
    ranges
}

/// What is asked for, in the order of the listing.
fn jobs(listing: &Listing, wanted: &[usize]) -> Vec<Job> {
    let mut jobs = Vec::new();
    let (mut batch, mut bytes, mut spans, mut last) = (Vec::new(), 0, 0, None);
    for at in wanted {
        let Kind::File { size, number, .. } = listing.entries[*at].kind else { continue };
        if listing.bare || size >= LARGE {
            jobs.push(Job::One(*at));
            continue;
        }
        let begins = last.is_none_or(|last: u64| last.checked_add(1) != Some(number));
        if bytes + size > BATCH_BYTES_MAX || (begins && spans == FILE_RANGES_MAX) {
            jobs.push(Job::Batch(std::mem::take(&mut batch)));
            (bytes, spans) = (0, 0);
        }
        spans += usize::from(begins || batch.is_empty());
        bytes += size;
        last = Some(number);
        batch.push(*at);
    }
    if !batch.is_empty() {
        jobs.push(Job::Batch(batch));
    }
    jobs
}

fn staging(stage: &Stage, error: &std::io::Error) -> CliError {
    CliError::file("write into", stage.home(), error).state("what has come until now is kept")
}

fn internal(error: tokio::task::JoinError) -> CliError {
    CliError::new(ExitStatus::Internal, "internal", error)
}

fn not_as_listed() -> CliError {
    CliError::new(ExitStatus::Internal, "bad_archive", "what came is not what the listing says")
        .hint("if the daemon and this program are of different versions, use the newer one")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chordage_api::types::EntryForm;

    use super::super::listing::tests::info;
    use super::*;

    #[test]
    fn small_files_come_together_and_large_ones_alone() {
        let mut listing = Listing::default();
        for (name, size) in [("a", 1), ("b", LARGE), ("c", 2), ("d", 3), ("e", 4)] {
            let entry = chordage_api::types::EntryInfo { bytes: size, ..info(name, EntryForm::File, name) };
            listing.add("x", &entry).unwrap();
        }
        assert_eq!(jobs(&listing, &[0, 1, 2, 4]), [Job::One(1), Job::Batch(vec![0, 2, 4])]);
        assert_eq!(ranges([0, 2, 3, 4, 9].into_iter()), [0..=0, 2..=4, 9..=9]);
        assert_eq!(jobs(&listing, &[]), []);
    }

    #[test]
    fn no_request_asks_for_more_ranges_than_are_answered() {
        let mut listing = Listing::default();
        for at in 0..3 * FILE_RANGES_MAX {
            listing.add("x", &info(&format!("{at:05}"), EntryForm::File, "1")).unwrap();
        }
        let every: Vec<usize> = (0..3 * FILE_RANGES_MAX).collect();
        assert_eq!(jobs(&listing, &every), [Job::Batch(every.clone())]);
        let odd: Vec<usize> = every.iter().copied().filter(|at| at % 2 == 1).collect();
        let jobs = jobs(&listing, &odd);
        let counts: Vec<usize> = jobs
            .iter()
            .map(|job| match job {
                Job::Batch(batch) => ranges(batch.iter().map(|at| *at as u64)).len(),
                Job::One(_) => 1,
            })
            .collect();
        assert_eq!(counts, [FILE_RANGES_MAX, FILE_RANGES_MAX / 2]);
    }
}
