//! Chordage's data formats and its shard store.
//!
//! What happens to a file on its way in, one module per step:
//!
//! ```text
//!  bytes ─▶ cut ─▶ pack ─▶ compress ─▶ seal ─▶ code ─▶ descriptor ─▶ n shards, one address
//!           pieces  chunks  when it     AEAD    k of n   hashes of
//!           by      of about pays               Reed-    all shards
//!           content 2 MiB                       Solomon
//! ```
//!
//! [`ObjectWriter`] cuts and packs files and directories, hands each pack to a [`ChunkSink`], and ends with a
//! [`Link`]. [`encode_chunk`] is everything from compression to the shards, as one pure function that a sink may
//! run on any thread. On the way back, [`decode_chunk`] makes the pack from any k shards, and
//! [`ManifestLoader`] says which chunks it needs until it can hand out a [`Manifest`]. [`ShardStore`] keeps
//! shards on disk, and [`repair`] decides what to do when others lose theirs.
//!
//! [`volume`] keeps what changes: sorted maps, and trees of files with all that a file system knows of them, as trees
//! of chunks. [`Catalog`](catalog::Catalog) remembers what was put before, and [`lease`] who keeps what, and for how
//! long.
//!
//! Nothing here knows a network, a clock or a source of chance. Only [`store`], [`catalog`], [`lease`], [`rows`] and
//! the ledger of [`repair`] touch files.

#![cfg_attr(test, allow(clippy::unwrap_used))]
pub mod catalog;
mod chunk;
mod codec;
mod combine;
mod compress;
mod content;
mod cut;
mod database;
mod descriptor;
mod files;
mod ids;
pub mod lease;
mod link;
mod manifest;
mod matrix;
mod pack;
mod path;
mod piece;
pub mod possession;
pub mod private;
mod redundancy;
mod reed_solomon;
mod reopening;
pub mod repair;
pub mod rows;
mod seal;
mod secret;
mod shard_set;
mod sink;
pub mod store;
mod submitted;
mod table;
mod varint;
pub mod volume;
mod write_error;
mod writer;

pub use chunk::{
    ChunkRef, Coder, DecodeError, EncodeError, EncodeParams, EncodedChunk, Pack, RebuildError, decode_chunk,
    encode_chunk, rebuild_shards,
};
pub use codec::{CodecError, CodecId, ErasureCodec};
pub use compress::Compression;
pub use descriptor::{Descriptor, DescriptorError, MAX_DESCRIPTOR_LEN, ShardError};
pub use ids::{ChunkId, ChunkKey, Fingerprint, PieceHash, ShardHash, Writer};
pub use link::{Link, LinkError};
pub use manifest::{
    Entries, Entry, EntryKind, Extent, FileEntry, MAX_MANIFEST_LEN, MAX_TARGET_LEN, Manifest, ManifestError,
    ManifestLoader, Metadata, ObjectKind, OrderError, Step, Summary,
};
pub use pack::Place;
pub use path::{EntryPath, PathError};
pub use redundancy::{Redundancy, RedundancyError};
pub use reed_solomon::ReedSolomon;
pub use seal::{Cipher, MAX_CHUNK_LEN};
pub use secret::ConvergenceSecret;
pub use shard_set::ShardSet;
pub use sink::ChunkSink;
pub use store::{
    ChangeError, Compacted, GetError, Held, InvalidShard, OpenError, PutError, PutOutcome, Recovered,
    Scrubbed, ShardKey, ShardPut, ShardStore, StoreConfig, StoredShard, Usage,
};
pub use table::Scatter;
pub use write_error::WriteError;
pub use writer::{ObjectWriter, Written};
