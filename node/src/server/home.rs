//! The home of a person.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chordage_api::types::{HomeChecked, HomeCreated, HomePhrase, HomeRecovered, HomeStatus, Problem};

use super::problem;
use super::reply::Failure;
use super::state::Shared;
use crate::home::HomeError;

/// Largest body with a phrase, bytes.
const BODY_BYTES_MAX: usize = 4096;

/// Answers, unless the daemon is told to stop first.
async fn answer<T>(
    shared: &Shared,
    asked: impl Future<Output = Result<T, HomeError>>,
) -> Result<Json<T>, Failure> {
    tokio::select! {
        found = asked => Ok(Json(found.map_err(|error| Problem::from(&error))?)),
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// The phrase in a body. What is wrong with the body is said without what is in it.
fn phrase(body: &[u8]) -> Result<String, Failure> {
    let read = Some(body).filter(|body| body.len() <= BODY_BYTES_MAX);
    let read: Option<HomePhrase> = read.and_then(|body| serde_json::from_slice(body).ok());
    read.map(|body| body.phrase).ok_or_else(|| {
        let message = "the body is not JSON with the phrase in it, or too long";
        problem::bad_request(message, "see /v1/openapi.json for what it has to say").into()
    })
}

/// The home of this daemon: what a recovery phrase brings back
#[utoipa::path(get, path = "/v1/home", responses((status = 200, body = HomeStatus, description = "What is entered in it")))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Json<HomeStatus> {
    Json(shared.handle.home().status())
}

/// Makes a home, and enters all volumes and keys of names of this daemon
///
/// Those that come later are entered by themselves. Only this answer has the phrase.
#[utoipa::path(
    post,
    path = "/v1/home/create",
    responses(
        (status = 201, body = HomeCreated, description = "A majority of those who keep it has stored it"),
        (status = 409, body = Problem, description = "This daemon has a home already"),
        (status = 503, body = Problem, description = "The network does not store it now; nothing was made")
    )
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
) -> Result<(StatusCode, Json<HomeCreated>), Failure> {
    Ok((StatusCode::CREATED, answer(&shared, shared.handle.home().create()).await?))
}

/// Brings back what a recovery phrase opens
///
/// May be repeated: what is known already stays as it is.
#[utoipa::path(
    post,
    path = "/v1/home/recover",
    request_body = HomePhrase,
    responses(
        (status = 200, body = HomeRecovered, description = "What this daemon has now, and had not before"),
        (status = 400, body = Problem, description = "The phrase is mistyped"),
        (status = 404, body = Problem, description = "Nobody in this network knows a home of this phrase"),
        (status = 409, body = Problem, description = "This daemon has another home"),
        (status = 503, body = Problem, description = "Too few of those who may keep it can be reached")
    )
)]
pub(super) async fn recover(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<HomeRecovered>, Failure> {
    let phrase = phrase(&body)?;
    answer(&shared, shared.handle.home().recover(&phrase)).await
}

/// Whether a phrase is that of this daemon's home
#[utoipa::path(
    post,
    path = "/v1/home/check",
    request_body = HomePhrase,
    responses(
        (status = 200, body = HomeChecked, description = "Whether it is"),
        (status = 400, body = Problem, description = "The phrase is mistyped"),
        (status = 404, body = Problem, description = "This daemon has no home")
    )
)]
pub(super) async fn check(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<HomeChecked>, Failure> {
    let phrase = phrase(&body)?;
    answer(&shared, shared.handle.home().check(&phrase)).await
}
