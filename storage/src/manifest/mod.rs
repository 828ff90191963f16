//! Manifests: what an object consists of.
//!
//! An object is three streams. *Data* is the packs. The *table* lists their references, 70 bytes each. *Entries*
//! are records of directories, files and symbolic links, and say where in the data each file lies. Table and
//! entries stand inside the root chunk as long as each is at most 256 KiB, which covers 7 GiB of data; a longer
//! one is cut into chunks of its own, whose references stand in the root. All of these are chunks like any
//! other: sealed, coded, spread.

mod entry;
mod extents;
mod loader;
mod order;
mod root;
mod view;

pub use entry::{Entry, EntryKind, FileEntry, MAX_TARGET_LEN, Metadata};
pub use loader::{ManifestError, ManifestLoader, Step};
pub use order::OrderError;
pub use root::{ObjectKind, Summary};
pub use view::{Entries, Extent, Manifest};

pub(crate) use entry::{Record, RecordKind, is_target};
pub(crate) use extents::{decode_extent, encode_extent};
pub(crate) use order::Order;
pub(crate) use root::{Root, Stream};

/// The longest table and entries together, in bytes: 7 TiB of data, or a few million files.
pub const MAX_MANIFEST_LEN: u64 = 256 << 20;
/// A stream up to this length stands in the root chunk.
pub(crate) const MAX_INLINE_LEN: usize = 256 << 10;
/// Length of the chunks of a stream that does not.
pub(crate) const STREAM_CHUNK_LEN: usize = 2 << 20;
