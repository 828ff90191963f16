#![no_main]

use bytes::Bytes;
use chordage_storage::volume::{ChunkWriter, MapBuilder, NodeSource, ValueRef};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, ChunkSink, Pack, Redundancy};
use libfuzzer_sys::fuzz_target;

/// Chunks by their order.
#[derive(Default)]
struct Store(Vec<Bytes>, usize);

impl Store {
    fn reference(&self, number: usize) -> ChunkRef {
        let (mut id, plain_len) = ([0; 32], self.0[number].len() as u32);
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        ChunkRef {
            id: ChunkId(id),
            key: ChunkKey([7; 32]),
            plain_len,
            redundancy: Redundancy::new(2, 3).ok(),
        }
    }
}

impl NodeSource for Store {
    type Error = &'static str;

    fn load(&mut self, chunk: &ChunkRef) -> Result<Bytes, Self::Error> {
        let number = chunk.id.0.first_chunk().map(|number| u64::from_le_bytes(*number));
        number.and_then(|number| self.0.get(usize::try_from(number).ok()?)).cloned().ok_or("no such chunk")
    }
}

impl ChunkSink for Store {
    type Error = &'static str;

    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
        self.0.push(Bytes::copy_from_slice(&pack));
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
        let settled = std::mem::replace(&mut self.1, self.0.len());
        Ok((settled..self.0.len()).map(|number| self.reference(number)).collect())
    }
}

// How long a value is said to be, less its length, and its chunk. Only what is as long as it is said to be is read, and
// it is the same after it was written to a map.
fuzz_target!(|bytes: &[u8]| {
    let [more, chunk @ ..] = bytes else { return };
    let mut store = Store(vec![Bytes::copy_from_slice(chunk)], 1);
    let (len, chunks) = (chunk.len() as u32 + u32::from(*more), vec![store.reference(0)]);
    let Ok(value) = (ValueRef::Spilled { len, chunks }).load(&mut store) else { return };
    assert_eq!(len as usize, chunk.len());
    assert!(value.bytes.len() + value.chunks.len() * ChunkRef::ENCODED_LEN < chunk.len());
    let mut writer = ChunkWriter::new(store);
    let mut builder = MapBuilder::new();
    builder.push(&mut writer, b"key".to_vec(), value.clone()).expect("it fits");
    let root = builder.finish(&mut writer).expect("it is in memory");
    let mut store = writer.into_sink();
    let found = root.get(b"key", &mut store).expect("our own map").expect("it is there");
    assert_eq!(found.load(&mut store), Ok(value));
});
