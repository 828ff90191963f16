//! The entries of a tree.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use bytes::Bytes;
use chordage_api::hex;
use chordage_api::types::{EntryForm, EntryInfo, Problem, ProblemCode};
use chordage_storage::{Entry, EntryKind, FileEntry, Manifest};
use futures::stream;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::content::{path_bytes, stream_answer};
use super::objects::{open, parse};
use super::operations::operation_of;
use super::reply::{Failure, Path, Query};
use super::state::Shared;
use crate::get::OpenObject;

/// Separates the hashes of contents by place from all others.
const CONTENT_CONTEXT: &str = "chordage 2026 content of an object by place";
/// Bytes of listing that are sent at a time.
const BATCH_BYTES: usize = 32 * 1024;
/// Batches that wait for the client.
const BATCHES_WAITING_MAX: usize = 4;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListingQuery {
    path: Option<String>,
    path_hex: Option<String>,
    #[serde(default)]
    recursive: bool,
}

/// The entries of a tree
///
/// Those of one directory, or all below it. A JSON array; with `Accept: application/x-ndjson` one object per line.
#[utoipa::path(
    get,
    path = "/v1/objects/{link}/entries",
    params(
        ("link" = String, Path, description = "Read link"),
        ("path" = Option<String>, Query, description = "Directory or file; by default the root"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8"),
        ("recursive" = Option<bool>, Query, description = "Everything below, not only one level")
    ),
    responses(
        (status = 200, body = Vec<EntryInfo>, description = "Entries of the tree"),
        (status = 400, body = Problem, description = "The link or a parameter is malformed"),
        (status = 403, body = Problem, description = "A verify link cannot read the manifest"),
        (status = 404, body = Problem, description = "Its manifest is not in the network now, or it has no such path"),
        (status = 503, body = Problem, description = "Too much is under way, or the daemon has not joined or is leaving"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn entries(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
    Query(query): Query<ListingQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let slot = shared.read_slot()?;
    let link = parse(&link)?;
    let base = path_bytes(query.path, query.path_hex)?.unwrap_or_default();
    let object = open(&shared, operation, &link).await?;
    let lines =
        headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"application/x-ndjson"));

    let (sender, receiver) = mpsc::channel(BATCHES_WAITING_MAX);
    // Walking a manifest of a million entries takes a while, and blocks on a client that reads slowly.
    tokio::task::spawn_blocking(move || {
        let listing = Listing { base, recursive: query.recursive, lines };
        if let Err(Stop::Problem(problem)) = listing.write(&object, &sender) {
            let _ = sender.blocking_send(Err(*problem));
        }
    });
    let data = stream::unfold(receiver, |mut receiver| async {
        let item = receiver.recv().await?;
        Some((item, receiver))
    });
    let mut response = stream_answer(shared, operation, slot, data).await?;
    let media_type = if lines { "application/x-ndjson" } else { "application/json" };
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    Ok(response)
}

type Batch = Result<Bytes, Problem>;

enum Stop {
    /// The client went away.
    Gone,
    Problem(Box<Problem>),
}

struct Listing {
    base: Vec<u8>,
    recursive: bool,
    lines: bool,
}

impl Listing {
    fn write(&self, object: &OpenObject, out: &mpsc::Sender<Batch>) -> Result<(), Stop> {
        let mut batch = Vec::with_capacity(BATCH_BYTES + 1024);
        let mut found = self.base.is_empty();
        let mut first = true;
        if !self.lines {
            batch.push(b'[');
        }
        for entry in object.manifest().entries() {
            let Some(depth) = self.depth(entry.path.as_bytes()) else {
                // Entries below one directory follow each other.
                if found && !self.base.is_empty() { break } else { continue }
            };
            found = true;
            // The directory itself is not in its listing; a file is its own.
            let listed = if depth == 0 {
                !matches!(entry.kind, EntryKind::Directory) && !self.base.is_empty()
            } else {
                depth == 1 || self.recursive
            };
            if !listed {
                continue;
            }
            if !self.lines && !std::mem::take(&mut first) {
                batch.push(b',');
            }
            serde_json::to_writer(&mut batch, &describe(object.manifest(), entry))
                .expect("names and numbers are always JSON");
            if self.lines {
                batch.push(b'\n');
            }
            if batch.len() >= BATCH_BYTES {
                out.blocking_send(Ok(std::mem::take(&mut batch).into())).map_err(|_| Stop::Gone)?;
            }
        }
        if !found {
            return Err(Stop::Problem(Box::new(Problem::new(
                ProblemCode::NoSuchPath,
                format!("the object has no {:?}", String::from_utf8_lossy(&self.base)),
                "nothing was changed",
                "list what there is with `chordage ls -r LINK`",
            ))));
        }
        if !self.lines {
            batch.push(b']');
        }
        out.blocking_send(Ok(batch.into())).map_err(|_| Stop::Gone)
    }

    /// How many levels `path` lies below the base; `None` when it does not.
    fn depth(&self, path: &[u8]) -> Option<usize> {
        let rest = path.strip_prefix(&self.base[..])?;
        match rest {
            [] => Some(0),
            rest if self.base.is_empty() => Some(1 + slashes(rest)),
            [b'/', rest @ ..] => Some(1 + slashes(rest)),
            _ => None,
        }
    }
}

fn slashes(path: &[u8]) -> usize {
    path.iter().filter(|byte| **byte == b'/').count()
}

fn describe(manifest: &Manifest, entry: Entry) -> EntryInfo {
    let bytes = entry.path.as_bytes();
    let (kind, size, target, content) = match entry.kind {
        EntryKind::Directory => (EntryForm::Dir, 0, None, None),
        EntryKind::File(file) => (EntryForm::File, file.size(), None, Some(content_tag(manifest, &file))),
        EntryKind::Symlink { target } => (EntryForm::Symlink, 0, Some(target), None),
    };
    let hex_unless_text = |bytes: &[u8]| std::str::from_utf8(bytes).is_err().then(|| hex(bytes));
    EntryInfo {
        path: String::from_utf8_lossy(bytes).into_owned(),
        path_hex: hex_unless_text(bytes),
        kind,
        bytes: size,
        mode: entry.metadata.mode,
        mtime_seconds: entry.metadata.mtime_s,
        mtime_nanos: entry.metadata.mtime_ns,
        target: target.as_ref().map(|target| String::from_utf8_lossy(target).into_owned()),
        target_hex: target.and_then(|target| hex_unless_text(&target)),
        content,
    }
}

/// A hash of where a content lies: nothing of it has to be read.
fn content_tag(manifest: &Manifest, file: &FileEntry) -> String {
    let mut hasher = blake3::Hasher::new_derive_key(CONTENT_CONTEXT);
    hasher.update(&file.size().to_le_bytes());
    for extent in manifest.extents(file, 0..file.size()) {
        hasher
            .update(&extent.chunk.id.0)
            .update(&extent.offset.to_le_bytes())
            .update(&extent.len.to_le_bytes());
    }
    hex(hasher.finalize().as_bytes())
}
