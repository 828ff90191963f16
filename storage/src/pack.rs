//! Packing: pieces of files, in the order in which they come, into chunks of about 2 MiB.
//!
//! The piece is the unit of deduplication, the pack only of coding and placement: thousands of small files become
//! a few dozen chunks. A pack closes where the content says so, not at a fixed length, so that after a change
//! early in a tree the later packs soon begin at the same pieces as before, and are the same chunks.

use std::collections::{HashMap, VecDeque};

use crate::chunk::Pack;
use crate::cut::{Cutter, MAX_PIECE};
use crate::ids::PieceHash;
use crate::piece::PieceInfo;
use crate::seal::MAX_CHUNK_LEN;
use crate::secret::ConvergenceSecret;
use crate::table::Table;

/// A pack does not close before this length, unless nothing follows.
const MIN_PACK: usize = 3 << 19;
/// From there on it closes after this many more bytes on average: 2 MiB altogether.
const MEAN_EXTRA: u64 = 1 << 19;
/// It does close at this length, so that even a last piece of [`MAX_PIECE`] leaves it within [`MAX_CHUNK_LEN`].
const FULL_PACK: usize = 3 << 20;
const _: () = assert!(FULL_PACK + MAX_PIECE <= MAX_CHUNK_LEN);
/// Pieces that are remembered: 16 GiB of large files, in about 8 MiB of memory.
const REMEMBERED_PIECES: usize = 1 << 16;

/// Where a piece, or several that follow each other, lie in the object's chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of the chunk in the object's table.
    pub chunk: u32,
    /// Where in its plaintext.
    pub offset: u32,
    /// How many bytes.
    pub len: u32,
}

/// Cuts, deduplicates and packs one stream of bytes after another.
///
/// Incoming bytes are appended to the open pack itself, behind its pieces; cutting turns the front of that tail
/// into a further piece, where it already lies. Only when a pack closes does its tail, under 1 MiB, move on.
pub(crate) struct Packer {
    cutter: Cutter,
    secret: ConvergenceSecret,
    buffer: Vec<u8>,
    /// Bytes in the open pack: behind them, and [`Pack::ROOM`], the tail begins.
    packed: usize,
    /// Hash of the lengths and hashes of the open pack's pieces.
    digest: blake3::Hasher,
    pieces: Vec<PieceInfo>,
    /// Number of the open pack, once it has a piece.
    chunk: u32,
    /// The open pack is to be closed before the next piece.
    full: bool,
    seen: Seen,
}

impl Packer {
    pub(crate) fn new(secret: &ConvergenceSecret) -> Self {
        Self {
            cutter: Cutter::new(secret),
            secret: secret.clone(),
            buffer: Vec::new(),
            packed: 0,
            digest: digest(),
            pieces: Vec::new(),
            chunk: 0,
            full: false,
            seen: Seen::default(),
        }
    }

    /// Takes as many bytes as it needs before the next piece can be cut; returns how many.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> usize {
        if self.buffer.is_empty() {
            self.buffer = buffer();
        }
        let taken = bytes.len().min(MAX_PIECE - self.tail().len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        taken
    }

    /// Bytes that are not yet in a piece.
    fn tail(&self) -> &[u8] {
        self.buffer.get(Pack::ROOM + self.packed..).unwrap_or_default()
    }

    /// Cuts the next piece, if there are bytes enough to know where it ends. At the end of a file, any bytes are
    /// enough. It has to be [packed](Self::pack) or [left out](Self::leave_out) before the next one.
    pub(crate) fn next_piece(&self, end_of_file: bool) -> Option<PieceInfo> {
        let tail = self.tail();
        if tail.is_empty() || self.full || (tail.len() < MAX_PIECE && !end_of_file) {
            return None;
        }
        let piece = &tail[..self.cutter.first_piece(tail)];
        Some(PieceInfo { hash: self.secret.piece_hash(piece), len: piece.len() as u32 }) // at most MAX_PIECE
    }

    /// Where the object has the piece already, if it is remembered.
    pub(crate) fn seen(&self, piece: &PieceInfo) -> Option<Place> {
        self.seen.find(piece)
    }

    /// Drops the piece: it lies elsewhere.
    pub(crate) fn leave_out(&mut self, piece: &PieceInfo) {
        let start = Pack::ROOM + self.packed;
        self.buffer.drain(start..start + piece.len as usize);
    }

    /// Puts the piece into the open pack. The first one gives the pack its number.
    pub(crate) fn pack(&mut self, piece: PieceInfo, table: &mut Table) -> Place {
        if self.packed == 0 {
            self.chunk = table.add_pack();
        }
        // All of these are at most MAX_CHUNK_LEN.
        let place = Place { chunk: self.chunk, offset: self.packed as u32, len: piece.len };
        self.seen.remember(piece.hash, place);
        self.digest.update(&piece.len.to_le_bytes());
        self.digest.update(piece.hash.as_bytes());
        self.pieces.push(piece);
        self.packed += piece.len as usize;
        self.full = self.packed >= FULL_PACK || (self.packed >= MIN_PACK && ends_pack(&piece));
        place
    }

    /// The open pack, once it is full.
    pub(crate) fn take_full(&mut self) -> Option<Pack> {
        if self.full { self.take() } else { None }
    }

    /// The open pack if it has any piece. Later pieces go into the next one.
    pub(crate) fn take(&mut self) -> Option<Pack> {
        if self.packed == 0 {
            return None;
        }
        let mut next = Vec::new();
        if !self.tail().is_empty() {
            next = buffer();
            next.extend_from_slice(self.tail());
        }
        let mut bytes = std::mem::replace(&mut self.buffer, next);
        bytes.truncate(Pack::ROOM + self.packed);
        let digest = std::mem::replace(&mut self.digest, digest());
        let pieces = std::mem::take(&mut self.pieces);
        self.packed = 0;
        self.full = false;
        Some(Pack::of_pieces(bytes, *digest.finalize().as_bytes(), self.chunk, pieces))
    }
}

/// An empty pack, with room for the largest.
fn buffer() -> Vec<u8> {
    let mut buffer = Vec::with_capacity(Pack::ROOM + FULL_PACK + MAX_PIECE);
    buffer.resize(Pack::ROOM, 0);
    buffer
}

fn digest() -> blake3::Hasher {
    blake3::Hasher::new_derive_key("chordage v1 pack digest")
}

/// Whether a pack that is long enough ends behind this piece: with a chance of one in [`MEAN_EXTRA`] per byte,
/// decided by the piece's own hash.
fn ends_pack(piece: &PieceInfo) -> bool {
    let [a, b, c, d, ..] = *piece.hash.as_bytes();
    let draw = u32::from_le_bytes([a, b, c, d]);
    u64::from(draw) * MEAN_EXTRA < u64::from(piece.len) << 32
}

/// The pieces that were packed last. A lookup table only: its order is never used.
#[derive(Default)]
struct Seen {
    places: HashMap<PieceHash, Place>,
    oldest_first: VecDeque<PieceHash>,
}

impl Seen {
    fn find(&self, piece: &PieceInfo) -> Option<Place> {
        self.places.get(&piece.hash).copied().filter(|place| place.len == piece.len)
    }

    fn remember(&mut self, hash: PieceHash, place: Place) {
        if self.places.len() >= REMEMBERED_PIECES
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.places.remove(&oldest);
        }
        self.places.insert(hash, place);
        self.oldest_first.push_back(hash);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct Packed {
        packs: Vec<Pack>,
        files: Vec<Vec<Place>>,
    }

    /// Packs files, each fed in steps of the given lengths.
    fn pack(files: &[Vec<u8>], steps: &[usize]) -> Packed {
        let mut packer = Packer::new(&ConvergenceSecret::new([5; 32]));
        let mut table = Table::default();
        let mut next = |packer: &mut Packer, end_of_file| {
            let piece = packer.next_piece(end_of_file)?;
            let seen = packer.seen(&piece);
            if seen.is_some() {
                packer.leave_out(&piece);
            }
            seen.or_else(|| Some(packer.pack(piece, &mut table)))
        };
        let mut out = Packed { packs: vec![], files: vec![] };
        let mut steps = steps.iter().cycle();
        for file in files {
            let mut places = vec![];
            let mut rest = &file[..];
            while !rest.is_empty() {
                let (mut now, later) = rest.split_at(rest.len().min(*steps.next().unwrap()));
                rest = later;
                while !now.is_empty() {
                    now = &now[packer.append(now)..];
                    while let Some(place) = next(&mut packer, false) {
                        places.push(place);
                        out.packs.extend(packer.take_full());
                    }
                }
            }
            while let Some(place) = next(&mut packer, true) {
                places.push(place);
                out.packs.extend(packer.take_full());
            }
            out.files.push(places);
        }
        out.packs.extend(packer.take());
        out
    }

    fn read(packed: &Packed, file: usize) -> Vec<u8> {
        let bytes = |p: &Place| &packed.packs[p.chunk as usize][p.offset as usize..][..p.len as usize];
        packed.files[file].iter().flat_map(bytes).copied().collect()
    }

    fn noise(len: usize, seed: u64) -> Vec<u8> {
        let mut out = vec![0u8; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut out);
        out
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn files_come_back_and_the_steps_of_writing_do_not_show(
            lens in prop::collection::vec(prop_oneof![0usize..3000, 0usize..3_000_000], 1..8),
            steps in prop::collection::vec(1usize..700_000, 1..5),
        ) {
            let mut files: Vec<_> = (0u64..).zip(&lens).map(|(seed, len)| noise(*len, seed)).collect();
            files.push(files[0].clone());
            let packed = pack(&files, &steps);
            for (i, file) in files.iter().enumerate() {
                prop_assert!(read(&packed, i) == *file);
            }
            prop_assert!(packed.packs.iter().all(|pack| !pack.is_empty() && pack.len() <= MAX_CHUNK_LEN));
            let whole = pack(&files, &[usize::MAX]);
            prop_assert!(packed.packs == whole.packs && packed.files == whole.files);
        }
    }

    #[test]
    fn packs_are_about_two_mebibytes_and_repeated_files_take_no_room() {
        let files: Vec<_> = (0..2000u64).map(|seed| noise(20_000, seed % 1800)).collect();
        let packed = pack(&files, &[usize::MAX]);
        let total: usize = packed.packs.iter().map(|pack| pack.len()).sum();
        assert_eq!(total, 1800 * 20_000);
        let average = total / packed.packs.len();
        assert!((1_700_000..2_500_000).contains(&average), "{average}");
    }

    #[test]
    fn after_an_early_change_later_packs_are_the_same_again() {
        let mut files: Vec<_> = (0..3000u64).map(|seed| noise(20_000, seed)).collect();
        let before = pack(&files, &[usize::MAX]);
        files.insert(10, noise(12_345, 99_999));
        let after = pack(&files, &[usize::MAX]);
        let kept = after.packs.iter().filter(|pack| before.packs.contains(pack)).count();
        assert!(kept + 6 > after.packs.len(), "{kept} of {} packs are the same", after.packs.len());
    }
}
