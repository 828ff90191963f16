//! What holders keep for a writer whose book does not know of it.

use std::io;

use super::keeps::{Keeps, Kept, KeptState, REFS, pair};
use crate::database::failed;
use crate::ids::ChunkId;
use crate::repair::Moment;

/// What the chunks are parts of that holders keep for this writer, and of which its book knew nothing.
pub const RECOVERED: ChunkId = ChunkId([0; 32]);

impl Keeps {
    /// Those of some chunks that belong to no object at all, kept or not.
    pub fn unknown(&self, chunks: &[ChunkId]) -> io::Result<Vec<ChunkId>> {
        self.db.read(|txn| {
            let refs = txn.open_table(REFS).map_err(failed)?;
            let mut unknown = Vec::new();
            for chunk in chunks {
                let (first, last) = (pair(*chunk, ChunkId([0; 32])), pair(*chunk, ChunkId([0xff; 32])));
                if refs.range::<&[u8; 64]>(&first..=&last).map_err(failed)?.next().is_none() {
                    unknown.push(*chunk);
                }
            }
            Ok(unknown)
        })
    }

    /// Keeps chunks, each with its n, of which only holders know that they are kept, durably: as parts of
    /// [`RECOVERED`], since nobody but a reader knows of which object they are.
    pub fn recover(&self, now: Moment, chunks: &[(ChunkId, u8)]) -> io::Result<()> {
        let before = self.get(RECOVERED)?.filter(|kept| kept.state == KeptState::Kept);
        let object = Kept {
            root: RECOVERED,
            state: KeptState::Kept,
            put: false,
            since: now,
            bytes: 0,
            stored_bytes: 0,
            until: None,
            retained_until: Moment(0),
            chunks: before.map_or(0, |before| before.chunks) + chunks.len() as u64,
            confirmed: true,
        };
        self.keep(&object, chunks)
    }
}
