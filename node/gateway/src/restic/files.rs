//! Reading files, and saying whether they are there.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use chordage_api::range::ByteRange;
use futures::StreamExt;

use super::path::Place;
use super::repository::{Repository, Stored};
use super::state::Shared;
use crate::front::Failure;

/// Says how long a file is, if it is there.
pub(crate) async fn head<R: Repository>(repository: &R, place: Place) -> Result<Response, Failure> {
    let stored = find(repository, place).await?;
    let mut response = Response::new(Body::empty());
    describe(&mut response, stored.size());
    Ok(response)
}

/// The bytes of a file, or a range of them. As long as the answer says, or cut: nobody takes a prefix for the whole.
pub(crate) async fn load<V, R: Repository>(
    shared: &Arc<Shared<V>>,
    repository: &R,
    place: Place,
    headers: &HeaderMap,
) -> Result<Response, Failure>
where
    V: Send + Sync + 'static,
{
    let stored = find(repository, place).await?;
    let size = stored.size();
    let range = range_of(headers, size)?;
    let (status, bytes) = match &range {
        Some(range) => (StatusCode::PARTIAL_CONTENT, range.clone()),
        None => (StatusCode::OK, 0..size),
    };
    let length = bytes.end - bytes.start;
    let body = match stored {
        Stored::Inline(content) => {
            shared.counters.downloaded(length);
            Body::from(part(&content, bytes))
        }
        Stored::Object { link, .. } => object(shared, repository, &link, bytes).await?,
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    describe(&mut response, length);
    if let Some(range) = range {
        let shown = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        response.headers_mut().extend(HeaderValue::from_str(&shown).ok().map(|value| (CONTENT_RANGE, value)));
    }
    Ok(response)
}

async fn find<R: Repository>(repository: &R, place: Place) -> Result<Stored, Failure> {
    let absent = || Failure::not_found("there is no such file");
    let key = place.key().ok_or_else(absent)?;
    repository.get(&key).await?.ok_or_else(absent)
}

fn describe(response: &mut Response, length: u64) {
    let headers = response.headers_mut();
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
}

fn part(content: &Bytes, range: Range<u64>) -> Bytes {
    // A value in the map is short, and the range lies within it.
    let at = |position: u64| usize::try_from(position).unwrap_or(usize::MAX).min(content.len());
    content.slice(at(range.start)..at(range.end))
}

async fn object<V, R: Repository>(
    shared: &Arc<Shared<V>>,
    repository: &R,
    link: &str,
    range: Range<u64>,
) -> Result<Body, Failure>
where
    V: Send + Sync + 'static,
{
    if range.is_empty() {
        return Ok(Body::empty());
    }
    let turn = shared.download_turn().await?;
    let bytes = repository.read_object(link, range).await?;
    let shared = Arc::clone(shared);
    Ok(Body::from_stream(bytes.map(move |piece| {
        // Given back when the body ends or nobody takes it any more.
        let _turn = &turn;
        match &piece {
            Ok(bytes) => shared.counters.downloaded(bytes.len() as u64),
            Err(error) => shared.counters.failed(&error.to_string()),
        }
        piece
    })))
}

/// The range asked for; `None` for everything. Several at once and other units are ignored, as HTTP allows, and an
/// empty file is always whole.
fn range_of(headers: &HeaderMap, size: u64) -> Result<Option<Range<u64>>, Failure> {
    let mut values = headers.get_all(RANGE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Ok(None) };
    let range = ByteRange::from_header(value.to_str().unwrap_or_default())
        .map_err(|error| Failure::bad_request(error.to_string()))?;
    match range {
        None => Ok(None),
        Some(_) if size == 0 => Ok(None),
        Some(range) => match range.resolve(size) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) => Err(Failure::unsatisfiable(error.to_string(), size)),
        },
    }
}
