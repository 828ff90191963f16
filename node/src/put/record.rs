//! Entering into the catalog what a put has stored, while it goes on: a chunk when its placement is acknowledged, a
//! file when all its chunks are. So a put that is interrupted has left a trace of all that it achieved.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chordage_storage::catalog::{Catalog, Changes, NewChunk, NewFile, PieceInfo};
use chordage_storage::{ChunkRef, Fingerprint, PieceHash, Place, Redundancy};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// Notes that wait to be entered; further ones wait to be taken.
const NOTES_MAX: usize = 4096;
/// Notes are gathered for so long, so that one change of the catalog serves many.
const GATHER: Duration = Duration::from_millis(100);
/// Files that wait for their chunks; further ones are not catalogued. (One pack can hold a million tiny ones.)
const WAITING_MAX: usize = 1 << 16;
/// The catalog is made durable after so many rows or so long. What a crash loses is found out again.
const DURABLE_ROWS: usize = 4096;
const DURABLE_AFTER: Duration = Duration::from_secs(2);

/// What happened.
pub(super) enum Note {
    /// A pack is stored, with its number in the object's table if it holds data.
    Stored { table: Option<u32>, reference: ChunkRef, sealed_len: u32, pieces: Vec<PieceInfo> },
    /// The object uses a chunk from before, under this number of its table.
    Used { table: u32, number: u64 },
    /// A file lies there.
    File { fingerprint: Fingerprint, places: Vec<Place> },
    /// A piece was used that would be forgotten.
    KeepPiece(PieceHash),
    /// A file was used that would be forgotten.
    KeepFile(Fingerprint),
}

/// Takes notes. Cheap to clone; what was noted is entered when the last one is dropped.
#[derive(Clone)]
pub(super) struct Recorder(Option<mpsc::Sender<Note>>);

impl Recorder {
    /// Starts to record for one put. The handle ends when everything is entered and can be seen by the next put.
    pub(super) fn start(catalog: Option<Arc<Catalog>>, redundancy: Redundancy) -> (Self, JoinHandle<()>) {
        let Some(catalog) = catalog else { return (Recorder(None), tokio::spawn(async {})) };
        let (sender, notes) = mpsc::channel(NOTES_MAX);
        let book = Book { redundancy, ..Book::default() };
        (Recorder(Some(sender)), tokio::spawn(record(catalog, book, notes)))
    }

    /// From async code.
    pub(super) async fn note(&self, note: Note) {
        if let Some(notes) = &self.0 {
            // The other end stops only when the catalog failed, and has said so.
            let _ = notes.send(note).await;
        }
    }

    /// From a blocking thread.
    pub(super) fn note_blocking(&self, note: Note) {
        if let Some(notes) = &self.0 {
            let _ = notes.blocking_send(note);
        }
    }
}

/// What is known of the put so far.
struct Book {
    redundancy: Redundancy,
    /// Numbers in the catalog of the chunks of the object's table.
    numbers: Vec<Option<u64>>,
    waiting: VecDeque<(Fingerprint, Vec<Place>)>,
}

impl Default for Book {
    fn default() -> Self {
        Book { redundancy: Redundancy::for_network(1), numbers: Vec::new(), waiting: VecDeque::new() }
    }
}

async fn record(catalog: Arc<Catalog>, mut book: Book, mut notes: mpsc::Receiver<Note>) {
    let (mut rows, mut last) = (0, Instant::now());
    let mut open = true;
    while open {
        let mut batch = Vec::new();
        open = gather(&mut notes, &mut batch).await;
        if batch.is_empty() {
            break;
        }
        rows += batch.iter().map(Note::rows).sum::<usize>();
        let durable = rows >= DURABLE_ROWS || last.elapsed() >= DURABLE_AFTER;
        if durable {
            (rows, last) = (0, Instant::now());
        }
        if book.takes_without_writing(&batch) {
            continue;
        }
        let catalog = catalog.clone();
        let entering = tokio::task::spawn_blocking(move || {
            let entered = catalog.change(durable, |changes| book.enter(changes, batch));
            (entered, book)
        });
        book = match entering.await {
            Ok((Ok(()), book)) => book,
            Ok((Err(error), _)) => {
                tracing::warn!(%error, "the catalog cannot be written; a later put will send again what this one has sent");
                return;
            }
            Err(_) => return,
        };
    }
    if rows > 0 {
        // Nobody has to wait for this.
        tokio::task::spawn_blocking(move || {
            if let Err(error) = catalog.change(true, |_| Ok(())) {
                tracing::warn!(%error, "the catalog cannot be made durable");
            }
        });
    }
}

/// Takes what comes within a moment; `false` when there will be no more.
async fn gather(notes: &mut mpsc::Receiver<Note>, batch: &mut Vec<Note>) -> bool {
    let Some(first) = notes.recv().await else { return false };
    batch.push(first);
    let deadline = Instant::now() + GATHER;
    while batch.len() < NOTES_MAX {
        match timeout_at(deadline, notes.recv()).await {
            Ok(Some(note)) => batch.push(note),
            Ok(None) => return false,
            Err(_) => break,
        }
    }
    true
}

impl Note {
    fn rows(&self) -> usize {
        match self {
            Note::Stored { pieces, .. } => 1 + pieces.len(),
            Note::Used { .. } => 0,
            Note::File { .. } | Note::KeepPiece(_) | Note::KeepFile(_) => 1,
        }
    }
}

impl Book {
    /// Where the notes only say which chunks from before are used, and nobody waits to hear that, there is nothing to
    /// write: a put of what is all stored already changes nothing.
    fn takes_without_writing(&mut self, notes: &[Note]) -> bool {
        let used = |note: &Note| match note {
            Note::Used { table, number } => Some((*table, *number)),
            _ => None,
        };
        let Some(used) = notes.iter().map(used).collect::<Option<Vec<_>>>() else { return false };
        if !self.waiting.is_empty() {
            return false;
        }
        for (table, number) in used {
            self.number(table, number);
        }
        true
    }

    fn enter(&mut self, changes: &mut Changes<'_>, notes: Vec<Note>) -> std::io::Result<()> {
        let mut numbered = false;
        for note in notes {
            match note {
                Note::Stored { table, reference, sealed_len, pieces } => {
                    let number = changes.add_chunk(&NewChunk { reference, sealed_len, pieces: &pieces })?;
                    if let Some(table) = table {
                        self.number(table, number);
                        numbered = true;
                    }
                }
                Note::Used { table, number } => {
                    self.number(table, number);
                    numbered = true;
                }
                Note::File { fingerprint, places } => match self.resolve(&places) {
                    Some(extents) => self.add(changes, fingerprint, &extents)?,
                    None if self.waiting.len() < WAITING_MAX => {
                        self.waiting.push_back((fingerprint, places));
                    }
                    None => {}
                },
                Note::KeepPiece(hash) => changes.keep_piece(self.redundancy, &hash)?,
                Note::KeepFile(fingerprint) => changes.keep_file(self.redundancy, &fingerprint)?,
            }
        }
        if numbered {
            for (fingerprint, places) in std::mem::take(&mut self.waiting) {
                match self.resolve(&places) {
                    Some(extents) => self.add(changes, fingerprint, &extents)?,
                    None => self.waiting.push_back((fingerprint, places)),
                }
            }
        }
        Ok(())
    }

    fn add(
        &self,
        changes: &mut Changes<'_>,
        fingerprint: Fingerprint,
        extents: &[(u64, u32, u32)],
    ) -> std::io::Result<()> {
        changes.add_file(&NewFile { fingerprint, redundancy: self.redundancy, extents })
    }

    fn number(&mut self, table: u32, number: u64) {
        let table = table as usize;
        if self.numbers.len() <= table {
            self.numbers.resize(table + 1, None);
        }
        self.numbers[table] = Some(number);
    }

    /// The file's extents, if all its chunks have numbers.
    fn resolve(&self, places: &[Place]) -> Option<Vec<(u64, u32, u32)>> {
        let number = |place: &Place| self.numbers.get(place.chunk as usize).copied().flatten();
        places.iter().map(|place| Some((number(place)?, place.offset, place.len))).collect()
    }
}

#[cfg(test)]
mod tests {
    use chordage_storage::{ChunkId, ChunkKey, ConvergenceSecret};

    use super::*;

    #[tokio::test]
    async fn a_file_is_entered_when_its_last_chunk_is_stored_and_not_before() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let secret = ConvergenceSecret::new([1; 32]);
        let catalog = Arc::new(Catalog::open(dir.path(), &secret).expect("opens").expect("free"));
        let redundancy = Redundancy::new(2, 3).expect("valid");
        let (recorder, ended) = Recorder::start(Some(catalog.clone()), redundancy);
        let stored = |table: u32| Note::Stored {
            table: Some(table),
            reference: ChunkRef {
                id: ChunkId::from([table as u8; 32]),
                key: ChunkKey([0; 32]),
                plain_len: 100,
                redundancy: Some(redundancy),
            },
            sealed_len: 123,
            pieces: vec![PieceInfo { hash: PieceHash([table as u8; 32]), len: 100 }],
        };
        let places = vec![Place { chunk: 1, offset: 0, len: 100 }, Place { chunk: 2, offset: 50, len: 50 }];
        recorder.note(Note::File { fingerprint: Fingerprint([7; 32]), places }).await;
        let lost = vec![Place { chunk: 3, offset: 0, len: 1 }];
        recorder.note(Note::File { fingerprint: Fingerprint([8; 32]), places: lost }).await;
        recorder.note(stored(2)).await;
        recorder.note(stored(1)).await;
        drop(recorder);
        ended.await.expect("ends");
        let snapshot = catalog.snapshot().expect("readable");
        let file = snapshot.file(redundancy, &Fingerprint([7; 32])).expect("readable").expect("entered");
        assert_eq!((file.size, file.extents.len()), (150, 2));
        assert_eq!(file.extents[0].chunk.reference.id, ChunkId::from([1; 32]));
        assert_eq!(snapshot.file(redundancy, &Fingerprint([8; 32])).expect("readable"), None);
    }
}
