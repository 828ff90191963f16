//! A disk that misbehaves within the rules.
//!
//! Every file has *live* bytes, which reads see, and *durable* ones. What was written since the last sync is
//! pending; when the power fails, each pending sector of 512 bytes reaches the platter or does not, regardless of
//! order, and so do changes of length, holes, and the creation and removal of files since the directory was
//! synced. Nothing that was synced is ever lost, and nothing is ever changed that was not written: damage of that
//! kind is another matter.
//!
//! Besides, the disk can fill up, and any operation can be made to fail. A sync that fails drops what was pending
//! as an operating system may: reads still see it, but a later sync that succeeds does not make it durable.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex};

use chordage_storage::store::{Files, StoreFile};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const SECTOR: u64 = 512;

/// A handle; clones share the disk.
#[derive(Clone)]
pub struct Disk(Arc<Mutex<State>>);

struct State {
    rng: ChaCha8Rng,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    files: BTreeMap<usize, Contents>,
    next_file: usize,
    operations: u64,
    power_fails_at: Option<u64>,
    error_at: Option<(u64, ErrorKind)>,
    sync_fails: bool,
    capacity: u64,
    reserve: u64,
    room: u64,
    off: bool,
    holes: bool,
}

#[derive(Default, Clone)]
struct Contents {
    live: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(u64, Vec<u8>),
    Size(u64),
    Hole(u64, u64),
}

impl Disk {
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(State {
            rng: ChaCha8Rng::seed_from_u64(seed),
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            files: BTreeMap::new(),
            next_file: 0,
            operations: 0,
            power_fails_at: None,
            error_at: None,
            sync_fails: false,
            capacity: u64::MAX,
            reserve: 0,
            room: u64::MAX,
            off: false,
            holes: true,
        })))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power fails during the operation that comes after so many others.
    pub fn fail_power_after(&self, operations: u64) {
        let mut state = self.state();
        state.power_fails_at = Some(state.operations + operations);
    }

    /// The operation that comes after so many others fails.
    pub fn fail_once_after(&self, operations: u64) {
        self.fail_once_with(ErrorKind::Other, operations);
    }

    /// The same with an error of this kind.
    pub fn fail_once_with(&self, kind: ErrorKind, operations: u64) {
        let mut state = self.state();
        state.error_at = Some((state.operations + operations, kind));
    }

    /// Whether a failure that was to come has not come yet.
    pub fn is_armed(&self) -> bool {
        self.state().error_at.is_some()
    }

    /// The next sync of a file fails.
    pub fn fail_next_sync(&self) {
        self.state().sync_fails = true;
    }

    /// Takes back failures that did not happen yet.
    pub fn disarm(&self) {
        let mut state = self.state();
        state.power_fails_at = None;
        state.error_at = None;
        state.sync_fails = false;
    }

    pub fn set_capacity(&self, bytes: u64) {
        self.state().capacity = bytes;
    }

    /// Bytes by which the capacity grows when a book needs room.
    pub fn set_reserve(&self, bytes: u64) {
        self.state().reserve = bytes;
    }

    pub fn reserve(&self) -> u64 {
        self.state().reserve
    }

    /// Bytes that shards may take.
    pub fn set_room(&self, bytes: u64) {
        self.state().room = bytes;
    }

    pub fn set_holes(&self, possible: bool) {
        self.state().holes = possible;
    }

    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.state().used()
    }

    pub fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power if it is still on, and turns it on again: what is left is what the platter has.
    pub fn power_cycle(&self) {
        let mut guard = self.state();
        let state = &mut *guard;
        // Some crashes lose or keep everything: those are the likely ones in life.
        let keep = match state.rng.next_u32() % 4 {
            0 => 0,
            1 => 100,
            _ => state.rng.next_u32() % 101,
        };
        let survives = |state_rng: &mut ChaCha8Rng| state_rng.next_u32() % 100 < keep;
        let all: BTreeSet<String> = state.names.keys().chain(state.durable_names.keys()).cloned().collect();
        for name in all {
            let (live, durable) = (state.names.get(&name), state.durable_names.get(&name));
            if live != durable && survives(&mut state.rng) {
                match state.names.get(&name).copied() {
                    Some(file) => state.durable_names.insert(name, file),
                    None => state.durable_names.remove(&name),
                };
            }
        }
        state.names = state.durable_names.clone();
        let kept: BTreeSet<usize> = state.names.values().copied().collect();
        state.files.retain(|file, _| kept.contains(file));
        for contents in state.files.values_mut() {
            let pending = std::mem::take(&mut contents.pending);
            for change in pending {
                match change {
                    Change::Write(offset, bytes) => {
                        for (at, sector) in sectors(offset, &bytes) {
                            if survives(&mut state.rng) {
                                write(&mut contents.durable, at, sector);
                            }
                        }
                    }
                    other => {
                        if survives(&mut state.rng) {
                            apply(&mut contents.durable, &other);
                        }
                    }
                }
            }
            contents.live = contents.durable.clone();
        }
        state.off = false;
        state.power_fails_at = None;
        state.error_at = None;
        state.sync_fails = false;
    }
}

/// Splits a write at sector boundaries.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut out = vec![];
    let (mut at, mut rest) = (offset, bytes);
    while !rest.is_empty() {
        let len = (SECTOR - at % SECTOR).min(rest.len() as u64);
        let (sector, later) = rest.split_at(len as usize);
        out.push((at, sector));
        at += len;
        rest = later;
    }
    out
}

fn write(to: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let end = offset as usize + bytes.len();
    if to.len() < end {
        to.resize(end, 0);
    }
    to[offset as usize..end].copy_from_slice(bytes);
}

fn apply(to: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(offset, bytes) => write(to, *offset, bytes),
        Change::Size(size) => to.resize(*size as usize, 0),
        Change::Hole(offset, len) => {
            let end = ((offset + len) as usize).min(to.len());
            if let Some(hole) = to.get_mut(*offset as usize..end) {
                hole.fill(0);
            }
        }
    }
}

impl Contents {
    /// Bytes that the file takes: whole blocks of zeros count as holes.
    fn used(&self) -> u64 {
        self.live.chunks(4096).filter(|block| block.iter().any(|byte| *byte != 0)).count() as u64 * 4096
    }
}

impl State {
    /// Counts an operation; an error if the power or the operation fails. `Err(true)` means that the operation
    /// may still have had its effect.
    fn operate(&mut self) -> io::Result<()> {
        if self.off {
            return Err(io::Error::other("the power is off"));
        }
        let now = self.operations;
        self.operations += 1;
        if self.power_fails_at == Some(now) {
            self.off = true;
            return Err(io::Error::other("the power failed"));
        }
        if let Some((_, kind)) = self.error_at.take_if(|(at, _)| *at == now) {
            return Err(io::Error::new(kind, "the operation failed"));
        }
        Ok(())
    }

    fn used(&self) -> u64 {
        self.files.values().map(Contents::used).sum()
    }

    fn change(&mut self, file: usize, change: Change) -> io::Result<()> {
        let result = self.operate();
        if result.is_err() && !self.off && self.rng.next_u32().is_multiple_of(2) {
            return result;
        }
        // A failed operation may have happened, or not, or by half.
        let change = match change {
            Change::Write(offset, mut bytes) => {
                if result.is_err() {
                    bytes.truncate(self.rng.next_u32() as usize % (bytes.len() + 1));
                }
                Change::Write(offset, bytes)
            }
            other => other,
        };
        if self.capacity != u64::MAX {
            let mut after = self.files[&file].clone();
            let before = after.used();
            apply(&mut after.live, &change);
            if after.used() > before && self.used() - before + after.used() > self.capacity {
                return Err(ErrorKind::StorageFull.into());
            }
        }
        let contents = self.files.get_mut(&file).unwrap();
        apply(&mut contents.live, &change);
        contents.pending.push(change);
        result
    }
}

struct OpenFile {
    disk: Disk,
    file: usize,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OpenFile({})", self.file)
    }
}

impl Files for Disk {
    fn room(&self) -> io::Result<u64> {
        Ok(self.state().room)
    }

    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn StoreFile>>> {
        let mut state = self.state();
        state.operate()?;
        let file = state.names.get(name).copied();
        Ok(file.map(|file| Arc::new(OpenFile { disk: self.clone(), file }) as Arc<dyn StoreFile>))
    }

    fn create(&self, name: &str) -> io::Result<Arc<dyn StoreFile>> {
        let mut state = self.state();
        state.operate()?;
        let file = state.next_file;
        state.next_file += 1;
        state.files.insert(file, Contents::default());
        state.names.insert(name.to_owned(), file);
        Ok(Arc::new(OpenFile { disk: self.clone(), file }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.names.remove(name);
        Ok(())
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut state = self.state();
        state.operate()?;
        Ok(state.names.keys().cloned().collect())
    }

    fn sync_directory(&self) -> io::Result<()> {
        let mut state = self.state();
        state.operate()?;
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl StoreFile for OpenFile {
    fn give_reserve_back(&self) -> bool {
        let mut state = self.disk.state();
        let reserve = std::mem::take(&mut state.reserve);
        state.capacity = state.capacity.saturating_add(reserve);
        reserve > 0
    }

    fn size(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.operate()?;
        Ok(state.files.get(&self.file).map_or(0, |contents| contents.live.len() as u64))
    }

    fn allocated(&self) -> io::Result<u64> {
        let mut state = self.disk.state();
        state.operate()?;
        Ok(state.files.get(&self.file).map_or(0, Contents::used))
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        state.operate()?;
        let live = &state.files[&self.file].live;
        let bytes = live.get(offset as usize..).and_then(|rest| rest.get(..buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_all_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.disk.state().change(self.file, Change::Write(offset, parts.concat()))
    }

    fn set_size(&self, size: u64) -> io::Result<()> {
        self.disk.state().change(self.file, Change::Size(size))
    }

    fn sync(&self) -> io::Result<()> {
        let mut guard = self.disk.state();
        let state = &mut *guard;
        let mut result = state.operate();
        if std::mem::take(&mut state.sync_fails) && result.is_ok() {
            result = Err(io::Error::other("the sync failed"));
        }
        if state.off {
            return result;
        }
        let contents = state.files.get_mut(&self.file).unwrap();
        for change in std::mem::take(&mut contents.pending) {
            if result.is_ok() {
                apply(&mut contents.durable, &change);
            } else if let Change::Write(offset, bytes) = &change {
                for (at, sector) in sectors(*offset, bytes) {
                    if state.rng.next_u32().is_multiple_of(2) {
                        write(&mut contents.durable, at, sector);
                    }
                }
            } else {
                apply(&mut contents.durable, &change);
            }
        }
        result
    }

    fn punch_hole(&self, offset: u64, len: u64) -> io::Result<bool> {
        let mut state = self.disk.state();
        if !state.holes {
            state.operate()?;
            return Ok(false);
        }
        state.change(self.file, Change::Hole(offset, len)).map(|()| true)
    }
}
