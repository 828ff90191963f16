//! What the daemon keeps in the network.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chordage_api::types::{KeptObject, Problem};
use serde::Deserialize;

use super::objects::parse;
use super::problem;
use super::reply::{Failure, Path, Query};
use super::state::Shared;

/// Objects in one answer.
const PAGE: usize = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeepsQuery {
    after: Option<String>,
}

/// What the daemon keeps
///
/// At most 1,000 objects, in the order of their addresses; the next ones behind the last of these.
#[utoipa::path(
    get,
    path = "/v1/keeps",
    params(("after" = Option<String>, Query, description = "Only objects behind the one with this link")),
    responses((status = 200, body = Vec<KeptObject>, description = "Objects that are kept or being forgotten"), (status = 400, body = Problem, description = "The link in `after` is malformed"), (status = 500, body = Problem, description = "The book of what is kept cannot be read"))
)]
pub(super) async fn keeps(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<KeepsQuery>,
) -> Result<Json<Vec<KeptObject>>, Failure> {
    let after = query.after.as_deref().map(parse).transpose()?.map(|link| link.id());
    Ok(Json(shared.handle.keeps(after, PAGE).await.map_err(|error| Problem::from(&error))?))
}

/// Keeps an object
///
/// Asks the holders of its chunks to keep them for this daemon, and goes on asking until the object is forgotten.
#[utoipa::path(
    post,
    path = "/v1/objects/{link}/keep",
    params(("link" = String, Path, description = "Read link; a verify link of what is kept already")),
    responses(
        (status = 200, body = KeptObject, description = "It is kept from now on"),
        (status = 400, body = Problem, description = "The link is malformed"),
        (status = 403, body = Problem, description = "A verify link does not say which chunks there are"),
        (status = 404, body = Problem, description = "Too little of it is in the network"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn keep(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
) -> Result<Json<KeptObject>, Failure> {
    let _slot = shared.read_slot()?;
    let link = parse(&link)?;
    tokio::select! {
        kept = shared.handle.keep(&link) => Ok(Json(kept.map_err(|error| Problem::from(&error))?)),
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// Stops keeping an object
///
/// Its chunks are dropped in the background, as far as no other object that is kept needs them; the list of what is
/// kept says when that is done. Holders free what nobody else claims.
#[utoipa::path(
    post,
    path = "/v1/objects/{link}/forget",
    params(("link" = String, Path, description = "Read or verify link")),
    responses(
        (status = 202, body = KeptObject, description = "It is not kept any more, and its holders are being told"),
        (status = 400, body = Problem, description = "The link is malformed"),
        (status = 404, body = Problem, description = "This daemon does not keep it"),
        (status = 409, body = Problem, description = "It is retained until a later date")
    )
)]
pub(super) async fn forget(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
) -> Result<(StatusCode, Json<KeptObject>), Failure> {
    let link = parse(&link)?;
    let forgetting = shared.handle.forget(&link).await.map_err(|error| Problem::from(&error))?;
    Ok((StatusCode::ACCEPTED, Json(forgetting)))
}
