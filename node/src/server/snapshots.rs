//! What is in snapshots.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method};
use axum::response::Response;
use bytes::Bytes;
use chordage_api::client::BodyFormat;
use chordage_api::types::{Problem, VolumeEntryDetail};
use futures::stream::{Stream, StreamExt};
use serde::Deserialize;

use super::content::{Asked, path_bytes, ranged, stream_answer};
use super::operations::operation_of;
use super::problem;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::get::GetError;
use crate::volumes::{VolumesError, Which};

/// A part of a snapshot.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PartQuery {
    volume: String,
    snapshot: String,
    path: Option<String>,
    path_hex: Option<String>,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    links: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DiffQuery {
    volume: String,
    old: String,
    new: String,
}

/// Waits for what is to be answered, unless the daemon is told to stop first.
async fn begun<T>(
    shared: &Shared,
    asked: impl Future<Output = Result<T, VolumesError>>,
) -> Result<T, Failure> {
    tokio::select! {
        found = asked => found.map_err(|error| Failure::from(&error)),
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

fn told(
    data: impl Stream<Item = Result<Bytes, GetError>> + Send + 'static,
) -> impl Stream<Item = Result<Bytes, Problem>> + Send + 'static {
    data.map(|item| item.map_err(|error| Problem::from(&error)))
}

async fn lines(
    shared: Arc<Shared>,
    headers: &HeaderMap,
    list: impl Future<Output = Result<impl Stream<Item = Result<Bytes, GetError>> + Send + 'static, VolumesError>>,
) -> Result<Response, Failure> {
    let operation = operation_of(headers)?;
    let slot = shared.read_slot()?;
    let data = begun(&shared, list).await?;
    let mut response = stream_answer(shared, operation, slot, told(data)).await?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    Ok(response)
}

/// The entries of a snapshot, one document a line
#[utoipa::path(
    get,
    path = "/v1/volumes/entries",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("snapshot" = String, Query, description = "The id of one, its beginning, or `latest`"),
        ("path" = Option<String>, Query, description = "Directory or file; by default the root"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8"),
        ("recursive" = Option<bool>, Query, description = "Everything below, not only one level"),
        ("links" = Option<bool>, Query, description = "Of everything below only what is one of several names of a file")
    ),
    responses(
        (status = 200, body = chordage_api::types::VolumeEntry, content_type = "application/x-ndjson", description = "Entries, one a line"),
        (status = 404, body = Problem, description = "There is no such volume, snapshot or path, or its data is not in the network now")
    )
)]
pub(super) async fn entries(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PartQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let path = path_bytes(query.path, query.path_hex)?.filter(|path| !path.is_empty());
    let volumes = shared.handle.volumes().clone();
    let which = match query {
        PartQuery { links: true, .. } => Which::Linked,
        PartQuery { recursive: true, .. } => Which::Below,
        _ => Which::Here,
    };
    let list = async move { volumes.entries(&query.volume, &query.snapshot, path, which).await };
    lines(shared, &headers, list).await
}

/// All that is known of one entry of a snapshot
#[utoipa::path(
    get,
    path = "/v1/volumes/entry",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("snapshot" = String, Query, description = "The id of one, its beginning, or `latest`"),
        ("path" = Option<String>, Query, description = "Directory or file; by default the root"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8")
    ),
    responses(
        (status = 200, body = VolumeEntryDetail, description = "The entry"),
        (status = 404, body = Problem, description = "There is no such volume, snapshot or path, or its data is not in the network now")
    )
)]
pub(super) async fn entry(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PartQuery>,
) -> Result<Json<VolumeEntryDetail>, Failure> {
    let _slot = shared.read_slot()?;
    let path = path_bytes(query.path, query.path_hex)?;
    let detail = begun(&shared, shared.handle.volumes().entry(&query.volume, &query.snapshot, path)).await?;
    Ok(Json(detail))
}

/// How two snapshots differ, one document a line
#[utoipa::path(
    get,
    path = "/v1/volumes/diff",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("old" = String, Query, description = "The id of a snapshot, its beginning, or `latest`"),
        ("new" = String, Query, description = "The same")
    ),
    responses(
        (status = 200, body = chordage_api::types::VolumeDifference, content_type = "application/x-ndjson", description = "Differences, one a line"),
        (status = 404, body = Problem, description = "There is no such volume or snapshot, or its data is not in the network now")
    )
)]
pub(super) async fn diff(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<DiffQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let volumes = shared.handle.volumes().clone();
    let list = async move { volumes.diff(&query.volume, &query.old, &query.new).await };
    lines(shared, &headers, list).await
}

/// A snapshot, or a part of it, as a tar archive with all that is known of each entry
#[utoipa::path(
    get,
    path = "/v1/volumes/archive",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("snapshot" = String, Query, description = "The id of one, its beginning, or `latest`"),
        ("path" = Option<String>, Query, description = "Directory or file; names are relative to it"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8")
    ),
    responses(
        (status = 200, content_type = "application/x-tar", description = "The archive"),
        (status = 404, body = Problem, description = "There is no such volume, snapshot or path, or its data is not in the network now")
    )
)]
pub(super) async fn archive(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PartQuery>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let slot = shared.read_slot()?;
    let path = path_bytes(query.path, query.path_hex)?.filter(|path| !path.is_empty());
    let data = begun(&shared, shared.handle.volumes().archive(&query.volume, &query.snapshot, path)).await?;
    let mut response = stream_answer(shared, operation, slot, told(data)).await?;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(BodyFormat::Tar.media_type()));
    Ok(response)
}

/// The bytes of a file of a snapshot, or a range of them
#[utoipa::path(
    get,
    path = "/v1/volumes/content",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("snapshot" = String, Query, description = "The id of one, its beginning, or `latest`"),
        ("path" = Option<String>, Query, description = "The file"),
        ("path_hex" = Option<String>, Query, description = "The same in hexadecimal, for names that are not UTF-8"),
        ("Range" = Option<String>, Header, description = "`bytes=A-B`, `bytes=A-` or `bytes=-N`; several ranges are ignored")
    ),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "The whole content"),
        (status = 206, content_type = "application/octet-stream", description = "The range that was asked for"),
        (status = 404, body = Problem, description = "There is no such volume, snapshot or file, or its data is not in the network now"),
        (status = 416, body = Problem, description = "The content has nothing in that range")
    )
)]
pub(super) async fn content(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PartQuery>,
    method: Method,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let slot = shared.read_slot()?;
    let path = path_bytes(query.path, query.path_hex)?.unwrap_or_default();
    let file = begun(&shared, shared.handle.volumes().file(&query.volume, &query.snapshot, path)).await?;
    let tag = format!("\"{}\"", file.tag());
    let etag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
    let asked = Asked { operation, slot, method, headers };
    let size = file.size();
    ranged(shared, asked, etag, size, move |bytes| Ok(told(file.read(bytes)))).await
}
