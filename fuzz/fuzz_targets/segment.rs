#![no_main]

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::sync::{Arc, LazyLock, Mutex};

use chordage_storage::store::{Files, StoreFile};
use chordage_storage::{
    Coder, ConvergenceSecret, Descriptor, EncodeParams, Pack, ShardPut, ShardStore, StoreConfig, encode_chunk,
};
use libfuzzer_sys::fuzz_target;

#[derive(Clone, Default)]
struct Memory(Arc<Mutex<BTreeMap<String, Arc<MemoryFile>>>>);

#[derive(Debug, Default)]
struct MemoryFile(Mutex<Vec<u8>>);

impl Files for Memory {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn StoreFile>>> {
        let file = self.0.lock().unwrap().get(name).cloned();
        Ok(file.map(|file| file as Arc<dyn StoreFile>))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoreFile>> {
        let file = Arc::new(MemoryFile::default());
        self.0.lock().unwrap().insert(name.to_owned(), Arc::clone(&file));
        Ok(file)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.0.lock().unwrap().keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        Ok(())
    }
}

impl StoreFile for MemoryFile {
    fn size(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    fn allocated(&self) -> io::Result<u64> {
        self.size()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = self.0.lock().unwrap();
        let from = bytes.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(from.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let (mut bytes, written) = (self.0.lock().unwrap(), parts.concat());
        let end = offset as usize + written.len();
        let len = bytes.len().max(end);
        bytes.resize(len, 0);
        bytes[offset as usize..end].copy_from_slice(&written);
        Ok(())
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.0.lock().unwrap().resize(size as usize, 0);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn punch_hole(&self, _offset: u64, _len: u64) -> io::Result<bool> {
        Ok(false)
    }
}

const CONFIG: StoreConfig = StoreConfig { index_cache_bytes: 1 << 20, ..StoreConfig::with_quota(1 << 30) };

/// Shards, and the segment that a store makes of them.
static GOOD: LazyLock<(Vec<ShardPut>, Vec<u8>)> = LazyLock::new(|| {
    let params = EncodeParams::new("2/4".parse().unwrap(), ConvergenceSecret::new([1; 32]));
    let chunk = encode_chunk(Pack::from(vec![9; 3000]), &params, &mut Coder::new()).unwrap();
    let descriptor = chunk.descriptor.encode();
    let put = |(index, payload)| ShardPut {
        chunk: chunk.reference.id,
        descriptor: descriptor.clone(),
        index,
        payload,
    };
    let puts: Vec<_> = (0u8..).zip(chunk.shards).map(put).collect();
    let files = Memory::default();
    let store = ShardStore::open_files(Box::new(files.clone()), CONFIG).unwrap();
    assert!(store.put_batch(&puts).iter().all(Result::is_ok));
    drop(store);
    let segment = files.0.lock().unwrap()["segment-00000000"].0.lock().unwrap().clone();
    (puts, segment)
});

// The input is changes to a good segment, three bytes each: where, and to what. A last odd byte cuts it off.
fuzz_target!(|changes: &[u8]| {
    let (puts, good) = &*GOOD;
    let mut segment = good.clone();
    let (changes, rest) = changes.as_chunks::<3>();
    for [low, high, byte] in changes {
        let at = usize::from(u16::from_le_bytes([*low, *high])) % segment.len();
        segment[at] = *byte;
    }
    if let [cut, ..] = rest {
        segment.truncate(segment.len() * usize::from(*cut) / 255);
    }
    let files = Memory::default();
    files.create("segment-00000000").unwrap().write_all_at(&[&segment], 0).unwrap();
    files.create("format").unwrap().write_all_at(&[b"chordage shard store, format 1\n"], 0).unwrap();
    let store = ShardStore::open_files(Box::new(files), CONFIG).unwrap();
    for (key, _) in store.iterate(None, 100).unwrap() {
        let held = store.get(&key.chunk).unwrap();
        assert!(held.corrupt.is_empty());
        for shard in held.shards {
            let descriptor = Descriptor::decode(&shard.descriptor).unwrap();
            assert_eq!(descriptor.id(), key.chunk);
            assert_eq!(descriptor.verify_shard(shard.index, &shard.payload), Ok(()));
        }
    }
    // The store still works.
    let results = store.put_batch(puts);
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert_eq!(store.get(&puts[0].chunk).unwrap().shards.len(), puts.len());
});
