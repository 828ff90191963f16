//! Lists of files. A client acts on what is missing in one, so there are complete ones only.

use axum::body::Body;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde::Serialize;

use super::path::{FileId, Kind, prefix};
use super::repository::Repository;
use crate::front::Failure;
use crate::kept::Error;

/// A client compares them as a whole, so nothing may stand behind them.
const VERSION_1: &str = "application/vnd.x.restic.rest.v1";
const VERSION_2: &str = "application/vnd.x.restic.rest.v2";

#[derive(Serialize)]
struct Entry<'a> {
    name: &'a str,
    size: u64,
}

/// All files of a kind: with their sizes in version 2, their names in version 1.
pub(crate) async fn list<R: Repository>(
    repository: &R,
    kind: Kind,
    headers: &HeaderMap,
) -> Result<Response, Failure> {
    let prefix = prefix(kind);
    let entries = repository.list(&prefix).await?;
    let entries: Vec<Entry<'_>> = entries
        .iter()
        .map(|(key, size)| match key.strip_prefix(&prefix).filter(|name| FileId::parse(name).is_some()) {
            Some(name) => Ok(Entry { name, size: *size }),
            // To leave it out would be a list that is not complete.
            None => Err(Error::Other(format!("the repository has a key that is none of its own: {key:?}"))),
        })
        .collect::<Result<_, _>>()?;
    let with_sizes = headers.get_all(ACCEPT).iter().any(|value| value == VERSION_2);
    let (version, body) = if with_sizes {
        (VERSION_2, serde_json::to_vec(&entries))
    } else {
        let names: Vec<&str> = entries.iter().map(|entry| entry.name).collect();
        (VERSION_1, serde_json::to_vec(&names))
    };
    let body = body.map_err(|error| Error::Other(error.to_string()))?;
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(version));
    Ok(response)
}
