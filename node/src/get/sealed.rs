//! What is known of an object's chunks: all of it with a read link, what the own book says with a verify link.

use std::sync::Arc;

use chordage_api::types::{ObjectForm, ObjectStat};
use chordage_storage::lease::{Kept, KeptState};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, Redundancy};

use super::Reader;
use super::fetch::code_of;
use super::{GetError, JOIN_PATIENCE, OpenObject};
use crate::leases::CHUNKS_LISTED;

/// What a link stands for, as far as it is known.
pub(crate) struct Known {
    /// Every chunk that is known of, once, in the order of their addresses. Those of a verify link have no keys.
    pub(crate) chunks: Vec<ChunkRef>,
    /// How the root is coded.
    pub(crate) redundancy: Redundancy,
    /// The object in numbers.
    pub(crate) stat: ObjectStat,
}

impl Known {
    /// All that there is to know.
    pub(crate) fn of(object: &OpenObject) -> Self {
        Known { chunks: object.distinct_chunks(), redundancy: object.redundancy(), stat: object.stat() }
    }

    /// What can be known without the key: of an object that is kept from here its chunks, and of any other its root.
    pub(crate) async fn sealed(reader: &Arc<Reader>, root: ChunkId) -> Result<Self, GetError> {
        if !reader.placement.driver.joined_unless_problem(JOIN_PATIENCE).await {
            return Err(GetError::NotJoined);
        }
        let redundancy = match code_of(reader, root).await {
            Ok(redundancy) => redundancy,
            Err(error) => return Err(super::chunks::forgotten_or(reader, root, error).await),
        };
        // The log says why the book cannot be read.
        let kept = reader.keeping.get(root).await.ok().flatten();
        let kept = kept.filter(|kept| kept.state == KeptState::Kept);
        let listed = if kept.is_some() { listed(reader, root).await.unwrap_or_default() } else { Vec::new() };
        let kept = kept.filter(|_| !listed.is_empty());
        let sealed = |id, n| ChunkRef {
            id,
            key: ChunkKey([0; 32]),
            plain_len: 0,
            // The book does not have k. What is put together is coded alike.
            redundancy: Some(Redundancy::new(redundancy.k(), n).unwrap_or(redundancy)),
        };
        let chunks: Vec<ChunkRef> = if listed.is_empty() {
            vec![sealed(root, redundancy.n())]
        } else {
            listed.into_iter().map(|(id, n)| sealed(id, n)).collect()
        };
        let stat = stat(kept, chunks.len() as u64, redundancy);
        Ok(Known { chunks, redundancy, stat })
    }
}

/// The chunks of a kept object, with how many shards they have.
async fn listed(reader: &Reader, root: ChunkId) -> std::io::Result<Vec<(ChunkId, u8)>> {
    let mut chunks: Vec<(ChunkId, u8)> = Vec::new();
    loop {
        let after = chunks.last().map(|(id, _)| *id);
        let page = reader.keeping.chunks_of(root, after).await?;
        let is_last = page.len() < CHUNKS_LISTED;
        chunks.extend(page);
        if is_last {
            return Ok(chunks);
        }
    }
}

fn stat(kept: Option<Kept>, chunks: u64, redundancy: Redundancy) -> ObjectStat {
    let unknown = match &kept {
        Some(_) => {
            "a verify link does not open the object: this daemon keeps it, and so knows its size and its chunks, but \
                    not whether it is a file or a directory, nor what is in it"
        }
        None => {
            "a verify link does not open the object: only its root chunk is known, which lists the others; its size, \
                 what it is and what is in it need the read link"
        }
    };
    ObjectStat {
        kind: ObjectForm::Unknown,
        unknown: Some(unknown.to_owned()),
        bytes: kept.map_or(0, |kept| kept.bytes),
        files: 0,
        dirs: 0,
        symlinks: 0,
        chunks,
        k: redundancy.k(),
        n: redundancy.n(),
        health: None,
    }
}
