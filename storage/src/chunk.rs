//! One chunk: from plain bytes to shards and back.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::codec::{CodecError, CodecId, ErasureCodec, shard_len};
use crate::compress::{Compression, Method, Squeezer};
use crate::descriptor::Descriptor;
use crate::ids::{ChunkId, ChunkKey, ShardHash};
use crate::piece::PieceInfo;
use crate::redundancy::Redundancy;
use crate::reed_solomon::ReedSolomon;
use crate::seal::{self, BODY_START, Cipher, MAX_CHUNK_LEN, OpenError, SEAL_OVERHEAD};
use crate::secret::ConvergenceSecret;

/// Coders that a [`Coder`] keeps ready; a node meets one or two kinds of stripe, never many.
const MAX_CACHED_CODECS: usize = 8;

/// The plaintext of one chunk. Made from bytes, or by [`ObjectWriter`](crate::ObjectWriter), whose packs carry
/// their pieces along, and a hash of those, so that their bytes need not be hashed twice.
///
/// The bytes lie in their buffer as they will lie in the sealed chunk, so that they can be sealed and coded where they
/// are.
#[derive(Clone, PartialEq, Eq)]
pub struct Pack {
    /// Room for the header, then the plaintext.
    buffer: Vec<u8>,
    /// Commits to the bytes.
    digest: Option<[u8; 32]>,
    number: Option<u32>,
    pieces: Vec<PieceInfo>,
}

impl Pack {
    /// Bytes before the plaintext in the buffer of a pack.
    pub(crate) const ROOM: usize = BODY_START;

    /// The pack of this number in its object's table; the plaintext stands behind [`ROOM`](Self::ROOM) in `buffer`,
    /// and `digest` commits to it: if it did not, one key could seal two messages.
    pub(crate) fn of_pieces(buffer: Vec<u8>, digest: [u8; 32], number: u32, pieces: Vec<PieceInfo>) -> Self {
        Self { buffer, digest: Some(digest), number: Some(number), pieces }
    }

    /// A pack that is one piece, and of no object's table.
    pub(crate) fn of_one_piece(bytes: Vec<u8>, piece: PieceInfo) -> Self {
        Self { pieces: vec![piece], ..Self::from(bytes) }
    }

    /// Its number in the object's table, if it holds data of one.
    pub fn number(&self) -> Option<u32> {
        self.number
    }

    /// Takes the list of its pieces, which lie one behind the other.
    pub fn take_pieces(&mut self) -> Vec<PieceInfo> {
        std::mem::take(&mut self.pieces)
    }
}

impl From<Vec<u8>> for Pack {
    fn from(mut bytes: Vec<u8>) -> Self {
        bytes.splice(..0, [0; Self::ROOM]);
        Self { buffer: bytes, digest: None, number: None, pieces: Vec::new() }
    }
}

impl Deref for Pack {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.buffer[Self::ROOM..]
    }
}

impl std::fmt::Debug for Pack {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pack({} bytes)", self.len())
    }
}

/// Where a chunk is, what opens it, and what to expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkRef {
    /// Its address.
    pub id: ChunkId,
    /// What opens it.
    pub key: ChunkKey,
    /// Bytes of plaintext; 0 when not known, which is so only for the root that a link names. (No chunk is
    /// empty.)
    pub plain_len: u32,
    /// k and n when it was written; `None` when not known, which is so only for the root that a link names.
    pub redundancy: Option<Redundancy>,
}

impl ChunkRef {
    /// Bytes of the encoding: id, key, plain_len (u32 LE), k, n. Fixed, so that a table of them can be indexed.
    pub const ENCODED_LEN: usize = 70;

    /// The encoding. An unknown redundancy is 0/0.
    pub fn encode(&self) -> [u8; Self::ENCODED_LEN] {
        let mut out = [0u8; Self::ENCODED_LEN];
        out[..32].copy_from_slice(&self.id.0);
        out[32..64].copy_from_slice(&self.key.0);
        out[64..68].copy_from_slice(&self.plain_len.to_le_bytes());
        out[68] = self.redundancy.map_or(0, Redundancy::k);
        out[69] = self.redundancy.map_or(0, Redundancy::n);
        out
    }

    /// Reads the encoding of a reference to a chunk of known length. `None` if the length or the redundancy is
    /// impossible.
    pub fn decode(encoded: &[u8; Self::ENCODED_LEN]) -> Option<Self> {
        let (id, rest) = encoded.split_first_chunk::<32>()?;
        let (key, rest) = rest.split_first_chunk::<32>()?;
        let (plain_len, rest) = rest.split_first_chunk::<4>()?;
        let plain_len = u32::from_le_bytes(*plain_len);
        let redundancy = Redundancy::new(*rest.first()?, *rest.get(1)?).ok()?;
        if plain_len == 0 || plain_len as usize > MAX_CHUNK_LEN {
            return None;
        }
        Some(Self { id: ChunkId(*id), key: ChunkKey(*key), plain_len, redundancy: Some(redundancy) })
    }
}

/// How chunks are to be encoded.
#[derive(Clone, Debug)]
pub struct EncodeParams {
    /// k and n.
    pub redundancy: Redundancy,
    /// The convergence secret: equal data under the same secret is stored only once.
    pub secret: ConvergenceSecret,
    /// Which cipher seals. It is part of what the key comes from, so writers that should share chunks must agree.
    pub cipher: Cipher,
    /// Whether to compress.
    pub compression: Compression,
}

impl EncodeParams {
    /// AES-256-GCM, compressed when it pays.
    pub fn new(redundancy: Redundancy, secret: ConvergenceSecret) -> Self {
        Self { redundancy, secret, cipher: Cipher::default(), compression: Compression::default() }
    }
}

/// The workspace of one coding thread: coding matrices, zstd's tables and scratch memory, kept from chunk to
/// chunk. It holds a few MiB once used.
#[derive(Default)]
pub struct Coder {
    codecs: BTreeMap<(CodecId, Redundancy), Arc<dyn ErasureCodec>>,
    squeezer: Squeezer,
}

impl Coder {
    /// An empty workspace.
    pub fn new() -> Self {
        Self::default()
    }

    fn codec(&mut self, id: CodecId, redundancy: Redundancy) -> Arc<dyn ErasureCodec> {
        if self.codecs.len() >= MAX_CACHED_CODECS && !self.codecs.contains_key(&(id, redundancy)) {
            self.codecs.clear();
        }
        let codec = self.codecs.entry((id, redundancy)).or_insert_with(|| match id {
            CodecId::ReedSolomonVandermonde => Arc::new(ReedSolomon::new(redundancy)),
        });
        Arc::clone(codec)
    }
}

impl std::fmt::Debug for Coder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coder").field("codecs", &self.codecs.keys()).finish_non_exhaustive()
    }
}

/// A chunk ready to be sent.
#[derive(Clone, Debug)]
pub struct EncodedChunk {
    /// Address and key, for the manifest.
    pub reference: ChunkRef,
    /// What every holder needs to check its shard.
    pub descriptor: Descriptor,
    /// All n shards, in order. They share one allocation, which lives as long as any of them.
    pub shards: Vec<Bytes>,
    /// Bytes of the sealed chunk: what one copy of it costs.
    pub sealed_len: usize,
}

/// Why a pack cannot become a chunk. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A chunk has at least one byte.
    #[error("an empty chunk cannot be stored")]
    Empty,
    /// Longer than [`MAX_CHUNK_LEN`].
    #[error("a chunk of {0} bytes is longer than {MAX_CHUNK_LEN}")]
    TooLong(usize),
}

/// Why a chunk could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The descriptor belongs to another chunk.
    #[error("descriptor is not the one of chunk {0}")]
    WrongDescriptor(ChunkId),
    /// Not enough shards that fit: get more.
    #[error(transparent)]
    Shards(#[from] CodecError),
    /// Sealed by a newer version.
    #[error("sealed chunk version {0} is not known")]
    UnsupportedVersion(u8),
    /// Sealed with a cipher that this version does not know.
    #[error("cipher {0} is not known")]
    UnsupportedCipher(u8),
    /// Compressed in a way that this version does not know.
    #[error("compression {0} is not known")]
    UnsupportedCompression(u8),
    /// The key does not open it: it belongs to another chunk, or a shard that was not verified is wrong.
    #[error("the key does not open the chunk")]
    Authentication,
    /// It was sealed with the right key but does not hold what it says: its writer was broken or lied.
    #[error("the chunk's content contradicts its header")]
    Malformed,
}

/// Why missing shards could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RebuildError {
    /// Not enough shards that fit, or an index that the chunk does not have.
    #[error(transparent)]
    Shards(#[from] CodecError),
    /// The rebuilt shard is not the one that the descriptor names. If all shards given were verified, the
    /// stripe was made wrong by its writer and no set of shards will do.
    #[error("rebuilt shard {index} does not match the descriptor")]
    Inconsistent {
        /// The first shard that does not match.
        index: u8,
    },
}

/// Makes a chunk: compresses it if that pays, seals, codes and hashes it. A pure function; the coder only saves
/// time.
pub fn encode_chunk(
    plain: Pack,
    params: &EncodeParams,
    coder: &mut Coder,
) -> Result<EncodedChunk, EncodeError> {
    if plain.is_empty() {
        return Err(EncodeError::Empty);
    }
    if plain.len() > MAX_CHUNK_LEN {
        return Err(EncodeError::TooLong(plain.len()));
    }
    let plain_len = plain.len() as u32; // at most 4 MiB
    let redundancy = params.redundancy;
    let codec = coder.codec(CodecId::ReedSolomonVandermonde, redundancy);
    let compressed = match params.compression {
        Compression::WhenItPays => coder.squeezer.compress(&plain),
        Compression::Off => None,
    };
    // One copy serves all holders when one shard is the whole chunk.
    let distinct = if redundancy.k() == 1 { 1 } else { usize::from(redundancy.n()) };
    let body_len = compressed.map_or(plain.len(), <[u8]>::len);
    let sealed_len = body_len + SEAL_OVERHEAD;
    let shard_len = shard_len(sealed_len, redundancy.k());
    let stripe_len = distinct * shard_len;
    let (method, digest, mut stripe) = match compressed {
        Some(compressed) => {
            let mut stripe = vec![0u8; stripe_len];
            stripe[BODY_START..][..body_len].copy_from_slice(compressed);
            (Method::Zstd, None, stripe)
        }
        None => {
            let Pack { buffer: mut stripe, digest, .. } = plain;
            stripe.resize(stripe_len, 0);
            (Method::Stored, digest, stripe)
        }
    };
    let body = &stripe[BODY_START..][..body_len];
    let key = seal::derive_key(&params.secret, params.cipher, method, plain_len, body, digest.as_ref());
    seal::seal(&mut stripe[..sealed_len], &key, params.cipher, method, plain_len);
    if distinct > 1 {
        codec.encode(&mut stripe, shard_len).expect("the stripe was laid out for this code just above");
    }

    let stripe = Bytes::from(stripe);
    let mut shards: Vec<Bytes> =
        (0..distinct).map(|i| stripe.slice(i * shard_len..(i + 1) * shard_len)).collect();
    let mut hashes: Vec<ShardHash> = shards.iter().map(|shard| ShardHash::of(shard)).collect();
    if redundancy.k() == 1 {
        shards.resize(redundancy.n().into(), stripe);
        hashes.resize(redundancy.n().into(), hashes[0]);
    }
    let descriptor = Descriptor::new(codec.id(), redundancy, sealed_len as u32, hashes);
    let reference = ChunkRef { id: descriptor.id(), key, plain_len, redundancy: Some(redundancy) };
    Ok(EncodedChunk { reference, descriptor, shards, sealed_len })
}

/// Reads a chunk from any k of its shards, given with their indices. Each should have passed
/// [`Descriptor::verify_shard`]; a wrong one that did not is noticed, but not which one it was.
pub fn decode_chunk(
    reference: &ChunkRef,
    descriptor: &Descriptor,
    shards: Vec<(u8, Bytes)>,
    coder: &mut Coder,
) -> Result<Bytes, DecodeError> {
    if descriptor.id() != reference.id {
        return Err(DecodeError::WrongDescriptor(reference.id));
    }
    let mut sealed = join_data_shards(descriptor, shards, coder)?;
    let (method, plain_len, body_len) =
        seal::open(&mut sealed, &reference.key).map_err(|error| match error {
            OpenError::Version(version) => DecodeError::UnsupportedVersion(version),
            OpenError::Cipher(cipher) => DecodeError::UnsupportedCipher(cipher),
            OpenError::Authentication => DecodeError::Authentication,
        })?;
    let method = Method::from_byte(method).ok_or(DecodeError::UnsupportedCompression(method))?;
    let expected = if reference.plain_len == 0 { plain_len } else { reference.plain_len };
    if plain_len != expected || plain_len == 0 || plain_len as usize > MAX_CHUNK_LEN {
        return Err(DecodeError::Malformed);
    }
    match method {
        Method::Stored if body_len == plain_len as usize => {
            let _header = sealed.split_to(BODY_START);
            sealed.truncate(body_len);
            Ok(sealed.freeze())
        }
        Method::Stored => Err(DecodeError::Malformed),
        Method::Zstd => {
            let body = &sealed[BODY_START..][..body_len];
            let plain = coder.squeezer.decompress(body, plain_len as usize);
            plain.map(Bytes::from).map_err(|_| DecodeError::Malformed)
        }
    }
}

/// The sealed chunk, from any k shards.
fn join_data_shards(
    descriptor: &Descriptor,
    shards: Vec<(u8, Bytes)>,
    coder: &mut Coder,
) -> Result<BytesMut, CodecError> {
    let redundancy = descriptor.redundancy();
    let (k, shard_len) = (usize::from(redundancy.k()), descriptor.shard_len());
    if shards.iter().any(|(index, shard)| *index >= redundancy.n() || shard.len() != shard_len) {
        return Err(CodecError::BadShard);
    }
    if k == 1 {
        let (_, whole) = shards.into_iter().next().ok_or(CodecError::TooFewShards { needed: 1, found: 0 })?;
        // Without a copy if nobody else holds on to the bytes.
        return Ok(BytesMut::from(whole));
    }
    let mut data: Vec<Option<&Bytes>> = vec![None; k];
    for (index, shard) in &shards {
        if let Some(place) = data.get_mut(usize::from(*index)) {
            *place = Some(shard);
        }
    }
    if data.iter().all(Option::is_some) {
        let mut sealed = BytesMut::with_capacity(k * shard_len);
        data.iter().flatten().for_each(|shard| sealed.extend_from_slice(shard));
        sealed.truncate(descriptor.sealed_len());
        return Ok(sealed);
    }
    let mut sealed = BytesMut::zeroed(k * shard_len);
    for (shard, out) in data.iter().zip(sealed.chunks_exact_mut(shard_len)) {
        if let Some(shard) = shard {
            out.copy_from_slice(shard);
        }
    }
    let present: Vec<(u8, &[u8])> = shards.iter().map(|(index, shard)| (*index, &shard[..])).collect();
    let mut missing: Vec<(u8, &mut [u8])> = sealed
        .chunks_exact_mut(shard_len)
        .zip(0u8..)
        .zip(&data)
        .filter(|(_, shard)| shard.is_none())
        .map(|((out, index), _)| (index, out))
        .collect();
    coder.codec(descriptor.codec(), redundancy).rebuild(&present, &mut missing)?;
    sealed.truncate(descriptor.sealed_len());
    Ok(sealed)
}

/// Makes the shards `wanted` from any k others, without the key, and checks them against the descriptor: this is
/// repair. The shards given should have passed [`Descriptor::verify_shard`].
pub fn rebuild_shards(
    descriptor: &Descriptor,
    shards: &[(u8, Bytes)],
    wanted: &[u8],
    coder: &mut Coder,
) -> Result<Vec<(u8, Bytes)>, RebuildError> {
    let redundancy = descriptor.redundancy();
    let shard_len = descriptor.shard_len();
    if wanted.iter().any(|index| *index >= redundancy.n()) {
        return Err(CodecError::BadShard.into());
    }
    let present: Vec<(u8, &[u8])> = shards.iter().map(|(index, shard)| (*index, &shard[..])).collect();
    let mut out = vec![0u8; shard_len * wanted.len()];
    let mut targets: Vec<(u8, &mut [u8])> =
        wanted.iter().copied().zip(out.chunks_exact_mut(shard_len)).collect();
    coder.codec(descriptor.codec(), redundancy).rebuild(&present, &mut targets)?;
    for (index, shard) in &targets {
        descriptor.verify_shard(*index, shard).map_err(|_| RebuildError::Inconsistent { index: *index })?;
    }
    let out = Bytes::from(out);
    Ok(wanted
        .iter()
        .enumerate()
        .map(|(i, index)| (*index, out.slice(i * shard_len..(i + 1) * shard_len)))
        .collect())
}

#[cfg(test)]
mod tests;
