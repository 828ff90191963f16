//! The bytes of files and trees.

use std::ops::RangeInclusive;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use chordage_api::client::{BodyFormat, FILE_RANGES_MAX};
use chordage_api::operation::{OPERATION_HEADER, OperationId};
use chordage_api::range::ByteRange;
use chordage_api::types::Problem;
use chordage_api::{hex, unhex};
use chordage_storage::Link;
use futures::stream::{self, Stream, StreamExt};
use serde::Deserialize;

use super::bodies;
use super::objects::{open, parse};
use super::operations::operation_of;
use super::problem;
use super::reply::{Failure, Path, Query};
use super::state::{ReadSlot, Shared};
use crate::archive;
use crate::following;
use crate::get;

/// Where in a tree.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PathQuery {
    path: Option<String>,
    path_hex: Option<String>,
}

impl PathQuery {
    pub(super) fn bytes(self) -> Result<Option<Vec<u8>>, Problem> {
        path_bytes(self.path, self.path_hex)
    }
}

/// Where in a tree, and what of it is not wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ArchiveQuery {
    path: Option<String>,
    path_hex: Option<String>,
    #[serde(default)]
    skip_files: u64,
    files: Option<String>,
}

impl ArchiveQuery {
    fn wanted(&self) -> Result<get::Wanted, Problem> {
        match &self.files {
            None => Ok(get::Wanted::From(self.skip_files)),
            Some(text) => ranges(text).map(get::Wanted::Only).ok_or_else(|| {
                problem::bad_request(
                    "files is no list of numbers",
                    "give at most 1,000 numbers or ranges in order, such as 0-4,17",
                )
            }),
        }
    }
}

/// `0-4,17`: numbers and ranges of them, in order.
fn ranges(text: &str) -> Option<Vec<RangeInclusive<u64>>> {
    let mut ranges: Vec<RangeInclusive<u64>> = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let range = first.parse().ok()?..=last.parse().ok()?;
        let in_order = ranges.last().is_none_or(|before| before.end() < range.start());
        if range.is_empty() || !in_order || ranges.len() == FILE_RANGES_MAX {
            return None;
        }
        ranges.push(range);
    }
    Some(ranges)
}

/// A path as text, or as hexadecimal when it is not UTF-8.
pub(super) fn path_bytes(path: Option<String>, path_hex: Option<String>) -> Result<Option<Vec<u8>>, Problem> {
    let bytes = match (path, path_hex) {
        (None, None) => return Ok(None),
        (Some(path), None) => path.into_bytes(),
        (None, Some(text)) => unhex(&text).ok_or_else(|| {
            problem::bad_request("path_hex is not hexadecimal", "give two digits for each byte")
        })?,
        (Some(_), Some(_)) => {
            return Err(problem::bad_request("path and path_hex exclude each other", "give one of them"));
        }
    };
    archive::check_path(&bytes)
        .map(Some)
        .map_err(|error| problem::bad_request(error, "give a path inside the object, such as docs/a.txt"))
}

/// The bytes of a file
///
/// Of the object itself, or of the file at `path` in a tree. Every byte is verified before it is sent. When a chunk
/// cannot be had in the middle, the connection is cut, so that nobody takes a prefix for the whole; `/v1/operations`
/// then knows why.
#[utoipa::path(
    get,
    path = "/v1/objects/{link}/content",
    params(
        ("link" = String, Path, description = "Read link"),
        ("path" = Option<String>, Query, description = "File inside a tree"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8"),
        ("Range" = Option<String>, Header, description = "`bytes=A-B`, `bytes=A-` or `bytes=-N`; several ranges are ignored"),
        ("If-Range" = Option<String>, Header, description = "An `ETag`: of other content the range is ignored"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s of content that the client has"),
        ("chordage-operation" = Option<String>, Header, description = "Id to ask `/v1/operations` for, chosen by the client")
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "The whole content"),
        (status = 206, content_type = "application/octet-stream", description = "The range that was asked for"),
        (status = 304, description = "The client has it already"),
        (status = 400, body = Problem, description = "The link or a parameter is malformed"),
        (status = 403, body = Problem, description = "A verify link cannot read"),
        (status = 404, body = Problem, description = "Its data is not in the network now, or the tree has no such file"),
        (status = 416, body = Problem, description = "The content has nothing in that range"),
        (status = 503, body = Problem, description = "Too much is under way, or the daemon has not joined or is leaving"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn content(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
    Query(query): Query<PathQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let followed = following::begins(operation, "get");
    let slot = shared.read_slot()?;
    let link = parse(&link)?;
    let path = query.bytes()?;
    let object = open(&shared, operation, &link).await?;
    let file = object.file(path.as_deref()).map_err(|error| Problem::from(&error))?;
    let asked = Asked { operation, slot, method, headers };
    let etag = etag(&link, path.as_deref());
    ranged(shared, asked, etag, file.size(), |bytes| {
        let data = object.read(path.as_deref(), bytes).map_err(|error| Problem::from(&error))?;
        Ok(data.map(move |item| {
            let _until_all_is_sent = &followed;
            item.map_err(|error| Problem::from(&error))
        }))
    })
    .await
}

/// Who asks for a content, and how.
pub(super) struct Asked {
    pub(super) operation: OperationId,
    pub(super) slot: ReadSlot,
    pub(super) method: Method,
    pub(super) headers: HeaderMap,
}

/// Answers with a content of so many bytes, or the range that is asked for, unless the client has it: `etag` names it.
pub(super) async fn ranged<S>(
    shared: Arc<Shared>,
    Asked { operation, slot, method, headers }: Asked,
    etag: HeaderValue,
    size: u64,
    read: impl FnOnce(std::ops::Range<u64>) -> Result<S, Problem>,
) -> Result<Response, Failure>
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + 'static,
{
    if client_has(&headers, &etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response());
    }
    // With If-Range a range only counts when it is of the same content; ours never changes.
    let range = match headers.get(IF_RANGE) {
        Some(known) if *known != etag => None,
        // A range is of what is sent, and the answer to HEAD has nothing.
        _ if method == Method::HEAD => None,
        _ => range_of(&headers)?,
    };
    let (status, bytes, content_range) = match range {
        None => (StatusCode::OK, 0..size, None),
        Some(range) => match range.resolve(size) {
            // A file without bytes has no position that could be named.
            Ok(bytes) if bytes.is_empty() => (StatusCode::OK, bytes, None),
            Ok(bytes) => {
                let shown = format!("bytes {}-{}/{size}", bytes.start, bytes.end - 1);
                (StatusCode::PARTIAL_CONTENT, bytes, Some(shown))
            }
            Err(error) => {
                let outside = format!("bytes */{size}");
                return Ok(([(CONTENT_RANGE, outside)], Failure::from(problem::unsatisfiable(&error)))
                    .into_response());
            }
        },
    };
    let length = bytes.end - bytes.start;
    let mut response = stream_answer(shared, operation, slot, read(bytes)?).await?;
    *response.status_mut() = status;
    let head = response.headers_mut();
    head.insert(CONTENT_LENGTH, length.into());
    head.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    head.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    head.insert(ETAG, etag);
    if let Some(shown) = content_range.and_then(|text| HeaderValue::from_str(&text).ok()) {
        head.insert(CONTENT_RANGE, shown);
    }
    Ok(response)
}

/// A tree as a tar archive
///
/// Or the directory or file at `path`, with names relative to it. Pax headers carry what plain tar cannot: names over
/// 100 bytes, sizes over 8 GiB, nanoseconds.
#[utoipa::path(
    get,
    path = "/v1/objects/{link}/archive",
    params(
        ("link" = String, Path, description = "Read link"),
        ("path" = Option<String>, Query, description = "Directory or file inside the tree"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8"),
        ("skip_files" = Option<u64>, Query, description = "Leave out the first so many regular files: the client has them"),
        ("files" = Option<String>, Query, description = "Only these regular files and nothing else, counted from 0 in the order of the listing: numbers and ranges in order, such as `0-4,17`"),
        ("chordage-operation" = Option<String>, Header, description = "Id to ask `/v1/operations` for, chosen by the client")
    ),
    responses(
        (status = 200, content_type = "application/x-tar", description = "The tree as a tar archive"),
        (status = 400, body = Problem, description = "The link or a parameter is malformed"),
        (status = 403, body = Problem, description = "A verify link cannot read"),
        (status = 404, body = Problem, description = "Its data is not in the network now, or the tree has no such path"),
        (status = 503, body = Problem, description = "Too much is under way, or the daemon has not joined or is leaving"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn archive(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
    Query(query): Query<ArchiveQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let followed = following::begins(operation, "archive");
    let slot = shared.read_slot()?;
    let link = parse(&link)?;
    let wanted = query.wanted()?;
    let path = path_bytes(query.path, query.path_hex)?;
    let object = open(&shared, operation, &link).await?;
    let data = get::emit(&object, path.as_deref(), wanted).map_err(|error| Problem::from(&error))?.map(
        move |item| {
            let _until_all_is_sent = &followed;
            item.map_err(|error| Problem::from(&error))
        },
    );
    let mut response = stream_answer(shared, operation, slot, data).await?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BodyFormat::Tar.media_type()));
    Ok(response)
}

/// An answer of at most so many bytes needs no slot while it is sent.
const SMALL_MAX: usize = 256 << 10;

/// Waits for the first piece, so that data that cannot be had at all is a proper answer rather than a cut connection.
pub(super) async fn stream_answer<S>(
    shared: Arc<Shared>,
    operation: OperationId,
    slot: ReadSlot,
    data: S,
) -> Result<Response, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Send + 'static,
{
    let mut data = Box::pin(data);
    let first = tokio::select! {
        first = begin(&slot, &mut data) => first?,
        () = shared.stopping().cancelled() => return Err(problem::shutting_down()),
    };
    let slot = match slot {
        ReadSlot::Body(slot) => slot,
        ReadSlot::Small(small) if first.whole => {
            drop(small);
            let body = first.pieces.concat();
            return Ok(([(OPERATION_HEADER, operation.to_string())], body).into_response());
        }
        ReadSlot::Small(_small) => shared.body_slot()?,
    };
    let data = stream::iter(first.pieces.into_iter().map(Ok)).chain(data);
    let body = bodies::answer(shared, operation, slot, data);
    Ok(([(OPERATION_HEADER, operation.to_string())], body).into_response())
}

/// How an answer begins.
struct Beginning {
    pieces: Vec<Bytes>,
    whole: bool,
}

/// The first piece, or so much as decides whether the answer is a small one.
async fn begin<S>(slot: &ReadSlot, data: &mut S) -> Result<Beginning, Problem>
where
    S: Stream<Item = Result<Bytes, Problem>> + Unpin,
{
    let enough = match slot {
        ReadSlot::Body(_) => 0,
        ReadSlot::Small(_) => SMALL_MAX,
    };
    let (mut pieces, mut bytes) = (Vec::new(), 0);
    while bytes <= enough {
        let Some(piece) = data.next().await.transpose()? else {
            return Ok(Beginning { pieces, whole: true });
        };
        bytes += piece.len();
        pieces.push(piece);
        if enough == 0 {
            break;
        }
    }
    Ok(Beginning { pieces, whole: false })
}

/// Content under a link never changes, so its address is its version.
fn etag(link: &Link, path: Option<&[u8]>) -> HeaderValue {
    let mut hasher = blake3::Hasher::new();
    hasher.update(link.id().as_bytes());
    hasher.update(path.unwrap_or_default());
    let text = format!("\"{}\"", hex(&hasher.finalize().as_bytes()[..16]));
    HeaderValue::from_str(&text).expect("hexadecimal in quotes is a header value")
}

/// Whether one of the tags in `If-None-Match` is this one. That a tag is called weak makes no difference here.
fn client_has(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let values = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
}

/// The range asked for; `None` for everything.
fn range_of(headers: &HeaderMap) -> Result<Option<ByteRange>, Problem> {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(None) };
    ByteRange::from_header(value.to_str().unwrap_or_default())
        .map_err(|error| problem::bad_request(error, "ask for one range: `Range: bytes=0-99`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_numbers_in_order() {
        assert_eq!(ranges("0-4,17"), Some(vec![0..=4, 17..=17]));
        for wrong in ["", "a", "1,", "-", "4-0", "1,1", "5,3", "0-4,4", "99999999999999999999"] {
            assert_eq!(ranges(wrong), None, "{wrong}");
        }
        let many = |count: u64| (0..count).map(|at| (2 * at).to_string()).collect::<Vec<_>>().join(",");
        assert!(ranges(&many(FILE_RANGES_MAX as u64)).is_some());
        assert!(ranges(&many(FILE_RANGES_MAX as u64 + 1)).is_none());
    }
}
