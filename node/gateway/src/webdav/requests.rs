//! From a request to its answer. What lies between, `dav-server`, knows the protocol: conditions, locks, properties.
//! Around it stand who may ask, what it may take, and that what a request wants is done in one change or not at all.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_RANGE, CONTENT_TYPE, IF_NONE_MATCH, RANGE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use chordage_api::range::ByteRange;
use dav_server::DavHandler;
use dav_server::davpath::DavPath;

use super::body::{Incoming, document};
use super::commit::commit;
use super::entry::Entry;
use super::mtime;
use super::path::{Path, PathError};
use super::request::Request;
use super::state::Shared;
use super::store::Store;
use crate::front::{Failure, close};
use crate::kept::Error;

const DEPTH: HeaderName = HeaderName::from_static("depth");
const DESTINATION: HeaderName = HeaderName::from_static("destination");
const DAV: HeaderName = HeaderName::from_static("dav");
/// What it can do.
const CLASSES: HeaderValue = HeaderValue::from_static("1, 2");
/// What whoever asks for everything at once is told.
const FINITE: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<D:error xmlns:D=\"DAV:\"><D:propfind-finite-depth/></D:error>\n";
/// Bytes of a file that are handed over at a time, at most.
const READ_BYTES: usize = 256 << 10;

/// Answers a request.
pub(crate) async fn answer<S: Store>(
    State(shared): State<Arc<Shared<S>>>,
    request: axum::extract::Request,
) -> Response {
    shared.counters.request();
    let (parts, body) = request.into_parts();
    let (method, path) = (parts.method.clone(), parts.uri.path().to_owned());
    let incoming = Incoming::new(body);
    let failure = match respond(&shared, parts, &incoming).await {
        Ok(response) if response.status() == StatusCode::FORBIDDEN => {
            shared.counters.refused();
            return response;
        }
        Ok(response) => return response,
        Err(failure) => failure,
    };
    if failure.is_ours() {
        shared.counters.failed(&failure.message);
    } else if matches!(failure.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        shared.counters.refused();
    }
    tracing::debug!(%method, path, status = %failure.status, failure.message);
    incoming.discard().await;
    if method == Method::PUT { close(failure.into_response()) } else { failure.into_response() }
}

async fn respond<S: Store>(
    shared: &Arc<Shared<S>>,
    parts: Parts,
    incoming: &Incoming,
) -> Result<Response, Failure> {
    let user = shared.gate.admit(&parts.uri, &parts.headers).await?;
    if matches!(parts.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "PROPFIND") {
        return serve(shared, user, parts, incoming).await;
    }
    // It goes on when the client goes away, once its body is whole.
    let (in_task, body) = (Arc::clone(shared), incoming.clone());
    let serving = shared.changes.spawn(async move { serve(&in_task, user, parts, &body).await });
    serving
        .await
        .unwrap_or_else(|error| Err(Error::Other(format!("the request was given up: {error}")).into()))
}

async fn serve<S: Store>(
    shared: &Arc<Shared<S>>,
    user: Option<String>,
    mut parts: Parts,
    incoming: &Incoming,
) -> Result<Response, Failure> {
    let method = parts.method.clone();
    let modified = if method == Method::PUT { mtime::of(&parts.headers) } else { None };
    let request = Request::new(Arc::clone(shared), read_until(&parts.headers), modified);
    let body = match method.as_str() {
        "PUT" if parts.headers.contains_key(CONTENT_RANGE) => {
            return Err(Failure::bad_request("files are written as a whole"));
        }
        "PUT" => incoming.timed(shared.limits, request.note.clone()),
        "PROPFIND" | "PROPPATCH" | "LOCK" => Body::from(document(incoming, shared.limits).await?),
        // They have none; if there is one after all, `dav-server` answers so.
        "GET" | "HEAD" | "OPTIONS" | "MKCOL" | "DELETE" | "COPY" | "MOVE" | "UNLOCK" => {
            incoming.timed(shared.limits, request.note.clone())
        }
        _ => {
            return Err(Failure::method(
                "OPTIONS, GET, HEAD, PUT, PROPFIND, PROPPATCH, MKCOL, DELETE, COPY, MOVE, LOCK, UNLOCK",
            ));
        }
    };
    let mut claims = Vec::new();
    if method != Method::OPTIONS {
        let path = path_of(parts.uri.path())?;
        if let Some(answer) = prepare(&request, &mut parts, &path, &mut claims).await? {
            return Ok(answer);
        }
    }
    let create_only = parts.headers.get(IF_NONE_MATCH).is_some_and(|value| value == "*");
    let mut handler = DavHandler::builder()
        .filesystem(Box::new(request.clone()))
        .locksystem(Box::new(shared.locks.clone()))
        .autoindex(false)
        .read_buf_size(READ_BYTES);
    if let Some(user) = user {
        handler = handler.principal(user);
    }
    let handled = handler.build_handler().handle(axum::http::Request::from_parts(parts, body)).await;
    let mut response = handled.map(Body::new);
    let status = response.status();
    if let Some(failure) = request.note.take() {
        return Err(failure);
    }
    // What is done in part is not done.
    let is_done =
        status.is_success() && (status != StatusCode::MULTI_STATUS || method.as_str() == "PROPPATCH");
    if is_done {
        commit(&request, &method, create_only).await?;
    }
    if is_done && modified.is_some() {
        response.headers_mut().insert(mtime::HEADER, mtime::ACCEPTED);
    }
    if let Some(classes) = response.headers_mut().get_mut(DAV) {
        *classes = CLASSES;
    }
    Ok(response)
}

/// Learns what a request needs to see, and takes to itself what it changes. Some are answered at once.
async fn prepare<S: Store>(
    request: &Request<S>,
    parts: &mut Parts,
    path: &Path,
    claims: &mut Vec<super::claims::Claim>,
) -> Result<Option<Response>, Failure> {
    let shared = &request.shared;
    match parts.method.as_str() {
        "GET" | "HEAD" | "PROPFIND" if shared.finder.is_absent(path) => {
            return Err(Failure::not_found("there is no such file"));
        }
        "PROPFIND" => {
            match parts.headers.get(DEPTH).map(|value| value.as_bytes().to_ascii_lowercase()).as_deref() {
                Some(b"0") => {}
                // Whoever does not say it means everything, and gets what there can be.
                Some(b"1") | None => {
                    parts.headers.insert(DEPTH, HeaderValue::from_static("1"));
                    if request.find(path).await?.is_some_and(|entry| entry.is_directory()) {
                        request.learn_children(path).await?;
                        let children = request.tree().children(path);
                        shared.finder.listed(path, children.into_iter().map(|(path, _)| path));
                    }
                }
                _ => {
                    let kind = [(CONTENT_TYPE, "application/xml; charset=utf-8")];
                    return Ok(Some((StatusCode::FORBIDDEN, kind, FINITE).into_response()));
                }
            }
        }
        "DELETE" | "COPY" | "MOVE" => {
            let mut paths = vec![path.clone()];
            if parts.method.as_str() != "DELETE" {
                paths.extend(destination(&mut parts.headers)?);
            }
            if paths.iter().any(Path::is_root) {
                return Err(Failure::forbidden("the root is neither deleted nor copied, moved or replaced"));
            }
            claims.push(shared.claim(paths.clone()).await?);
            let is_copied_alone = parts.headers.get(DEPTH).is_some_and(|depth| depth == "0");
            for (place, path) in paths.iter().enumerate() {
                let found = request.find(path).await?;
                let is_directory = found.as_ref().is_some_and(Entry::is_directory);
                match (parts.method.as_str(), &paths[..]) {
                    // The volume moves and copies what is below, however much it is.
                    ("MOVE", [_, _]) if place == 0 => {}
                    ("COPY", [from, to]) if place == 0 && !from.is_within(to) && !to.is_within(from) => {
                        let whole = is_directory && !is_copied_alone;
                        request.tree().want_copied(whole.then(|| (from.clone(), to.clone())));
                    }
                    // Also of what is not there: then it is known what is below.
                    _ if is_directory || found.is_none() || place > 0 => request.learn_below(path).await?,
                    _ => {}
                }
            }
        }
        // Whoever locks what is there changes nothing, and does not wait for those who do.
        "LOCK" if request.find(path).await?.is_some() => {}
        "LOCK" | "PUT" | "MKCOL" | "PROPPATCH" => claims.push(shared.claim(vec![path.clone()]).await?),
        _ => {}
    }
    Ok(None)
}

/// What a path in a request means.
fn path_of(text: &str) -> Result<Path, Failure> {
    let path = DavPath::new(text).map_err(|_| PathError::Form).and_then(|path| Path::of(&path));
    path.map_err(|error| {
        let status = match error {
            PathError::Form => StatusCode::BAD_REQUEST,
            PathError::TooLong => StatusCode::URI_TOO_LONG,
        };
        Failure::new(status, error.to_string())
    })
}

/// Where something is to be copied or moved, if that is said. Nothing else is left in the headers then.
fn destination(headers: &mut HeaderMap) -> Result<Option<Path>, Failure> {
    let Some(value) = headers.get(DESTINATION) else { return Ok(None) };
    let wrong = || Failure::bad_request("the destination is no address");
    let uri: Uri = value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(wrong)?;
    let path = path_of(uri.path())?;
    headers.insert(DESTINATION, HeaderValue::from_str(uri.path()).map_err(|_| wrong())?);
    Ok(Some(path))
}

/// Behind which byte nothing is wanted of a file, if one range is.
fn read_until(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(RANGE)?.to_str().ok()?;
    match ByteRange::from_header(value).ok()?? {
        ByteRange::Between { last, .. } => last.checked_add(1),
        _ => None,
    }
}
