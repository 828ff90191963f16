//! From a request to its answer.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::Response;

use super::content::Asked;
use super::place::{Place, PlaceError};
use super::state::Shared;
use super::{answer, dashboard, page, upload};
use crate::front::{Failure, close, discard};

const STYLE: &str = include_str!("assets/style.css");
const UPLOAD: &str = include_str!("assets/upload.js");
const DASHBOARD: &str = include_str!("assets/dashboard.js");

/// Answers a request. Addresses are secrets: none stands in a log.
pub(super) async fn answer(State(shared): State<Arc<Shared>>, request: axum::extract::Request) -> Response {
    shared.counters.request();
    let (parts, mut body) = request.into_parts();
    let failure = match respond(&shared, &parts, &mut body).await {
        Ok(response) => return response,
        Err(failure) => failure,
    };
    if failure.is_ours() {
        shared.counters.failed(&failure.message);
    } else if matches!(failure.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        shared.counters.refused();
    }
    tracing::debug!(method = %parts.method, status = %failure.status, "a browser was told that it failed");
    discard(body).await;
    let response = answer::failure(failure, &parts.headers);
    if parts.method == Method::POST { close(response) } else { response }
}

async fn respond(shared: &Arc<Shared>, parts: &Parts, body: &mut Body) -> Result<Response, Failure> {
    shared.guard.admit(&parts.method, &parts.uri, &parts.headers).await?;
    let place = Place::of(parts.uri.path()).map_err(|error| {
        let status = match error {
            PlaceError::TooLong => StatusCode::URI_TOO_LONG,
            PlaceError::Form | PlaceError::VerifyLink => StatusCode::BAD_REQUEST,
        };
        Failure::new(status, error.to_string())
    })?;
    let query = parts.uri.query().unwrap_or_default();
    match (place, &parts.method) {
        (Place::Upload, &Method::POST) => upload::store(shared, query, &parts.headers, body).await,
        (Place::Upload, _) => Err(Failure::method("POST")),
        (Place::Asset(name), &Method::POST) if name == "open" => upload::open(shared, body).await,
        (_, method) if !matches!(*method, Method::GET | Method::HEAD) => Err(Failure::method("GET, HEAD")),
        (Place::Metrics, _) => {
            let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
            let (kind, text) = shared.client.metrics(accept).await.map_err(answer::of_daemon)?;
            Ok(answer::ours(StatusCode::OK, &kind, text))
        }
        (Place::Front, _) => Ok(answer::page(StatusCode::OK, page::front())),
        (Place::Asset(name), _) => match &*name {
            "style.css" => Ok(answer::ours(StatusCode::OK, "text/css; charset=utf-8", STYLE)),
            "upload.js" => Ok(answer::ours(StatusCode::OK, "text/javascript; charset=utf-8", UPLOAD)),
            "dashboard.js" => Ok(answer::ours(StatusCode::OK, "text/javascript; charset=utf-8", DASHBOARD)),
            "dashboard" => Ok(answer::page(StatusCode::OK, page::dashboard())),
            what => {
                shared.guard.only_our_page(&parts.uri, &parts.headers)?;
                dashboard::answer(shared, what, query).await
            }
        },
        (Place::Content(content), method) => {
            Asked { shared, content, method, query, headers: &parts.headers }.answer().await
        }
    }
}
