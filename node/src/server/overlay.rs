//! Requests about the daemon and the overlay.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chordage_api::types::{
    Diagnosis, DrainStatus, MemberStatus, PeerStatus, Problem, ScrubStatus, Status, SuperPeerStatus,
    TraceReport,
};
use chordage_dht::Key;
use chordage_storage::Link;

use super::problem;
use super::reply::{Failure, Path};
use super::state::Shared;
use crate::placement::ring_key;

/// What the daemon says of itself
#[utoipa::path(get, path = "/v1/status", responses((status = 200, body = Status, description = "What the daemon says of itself"), (status = 503, body = Problem, description = "The daemon is shutting down")))]
pub(super) async fn status(State(shared): State<Arc<Shared>>) -> Result<Json<Status>, Failure> {
    Ok(Json(shared.handle.status().await.ok_or_else(problem::shutting_down)?))
}

/// Begins to hand over everything held, so that the daemon can be stopped for good
///
/// It takes no more shards from then on; its status says how far it is.
#[utoipa::path(post, path = "/v1/drain", responses((status = 202, body = DrainStatus, description = "It drains; how far it is")))]
pub(super) async fn drain(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<DrainStatus>) {
    (StatusCode::ACCEPTED, Json(shared.handle.drain()))
}

/// Begins to read all shards held against their hashes
///
/// As fast as the disk allows; the status of the daemon says how far it is. One that is under way goes on.
#[utoipa::path(post, path = "/v1/scrub", responses((status = 202, body = ScrubStatus, description = "It scrubs; how far it is")))]
pub(super) async fn scrub(State(shared): State<Arc<Shared>>) -> (StatusCode, Json<ScrubStatus>) {
    (StatusCode::ACCEPTED, Json(shared.handle.scrub()))
}

/// The peers that the daemon knows, nearest first
#[utoipa::path(
    get,
    path = "/v1/peers",
    responses((status = 200, body = Vec<PeerStatus>, description = "The peers"), (status = 503, body = Problem, description = "The daemon is shutting down"))
)]
pub(super) async fn peers(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<PeerStatus>>, Failure> {
    Ok(Json(shared.handle.peers().await.ok_or_else(problem::shutting_down)?))
}

/// Who is in the network, as far as the daemon knows
#[utoipa::path(
    get,
    path = "/v1/members",
    responses((status = 200, body = Vec<MemberStatus>, description = "The members"), (status = 503, body = Problem, description = "The daemon is shutting down"))
)]
pub(super) async fn members(State(shared): State<Arc<Shared>>) -> Result<Json<Vec<MemberStatus>>, Failure> {
    Ok(Json(shared.handle.members().await.ok_or_else(problem::shutting_down)?))
}

/// What the daemon finds out about itself, which takes some seconds
#[utoipa::path(
    get,
    path = "/v1/doctor",
    responses((status = 200, body = Diagnosis, description = "What was found"), (status = 503, body = Problem, description = "The daemon is shutting down"))
)]
pub(super) async fn doctor(State(shared): State<Arc<Shared>>) -> Result<Json<Diagnosis>, Failure> {
    Ok(Json(shared.handle.diagnosis().await.ok_or_else(problem::shutting_down)?))
}

/// The super-peers that the daemon knows
#[utoipa::path(
    get,
    path = "/v1/superpeers",
    responses((status = 200, body = Vec<SuperPeerStatus>, description = "The super-peers"), (status = 503, body = Problem, description = "The daemon is shutting down"))
)]
pub(super) async fn super_peers(
    State(shared): State<Arc<Shared>>,
) -> Result<Json<Vec<SuperPeerStatus>>, Failure> {
    Ok(Json(shared.handle.super_peers().await.ok_or_else(problem::shutting_down)?))
}

/// Looks a key up and tells every hop
#[utoipa::path(
    get,
    path = "/v1/trace/{key}",
    params(("key" = String, Path, description = "Node id or key, 64 hexadecimal digits; or a link")),
    responses((status = 200, body = TraceReport, description = "The owner of the key, and every hop to it"), (status = 400, body = Problem, description = "It is neither a key nor a link"), (status = 504, body = Problem, description = "The lookup did not end in time"))
)]
pub(super) async fn trace(
    State(shared): State<Arc<Shared>>,
    Path(key): Path,
) -> Result<Json<TraceReport>, Failure> {
    let key = match key.parse::<Key>() {
        Ok(key) => key,
        Err(_) => ring_key(
            key.parse::<Link>()
                .map_err(|_| {
                    problem::bad_request(
                        format!("{key:?} is neither a key nor a link"),
                        "give 64 hexadecimal digits (a key or a node id), or a link",
                    )
                })?
                .id(),
        ),
    };
    let report = shared.handle.trace(key).await.map_err(|error| Problem::from(&error))?;
    Ok(Json(report))
}
