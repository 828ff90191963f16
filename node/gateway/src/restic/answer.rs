//! The answer to what was done.

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::response::Response;

/// The answer to what was done: 200 and nothing else. A client takes 201 and 204 for errors.
pub(crate) fn done() -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("binary/octet-stream"));
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    response
}
