//! The network of the daemon, and who belongs to it.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chordage_api::types::{
    InviteInfo, InviteMade, InviteWanted, NetworkInfo, NewKeyWanted, Problem, RevocationWanted,
};
use serde::de::DeserializeOwned;

use super::problem;
use super::reply::{Failure, Path};
use super::state::Shared;

/// Largest body, bytes.
const BODY_BYTES_MAX: usize = 4096;

fn body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    if body.len() > BODY_BYTES_MAX {
        return Err(problem::bad_request(
            "the body is too long",
            "see /v1/openapi.json for what it has to say",
        )
        .into());
    }
    serde_json::from_slice(body).map_err(|error| {
        problem::bad_request(error.to_string(), "see /v1/openapi.json for what it has to say").into()
    })
}

/// The network of this daemon, and who does not belong to it any more
#[utoipa::path(
    get,
    path = "/v1/network",
    responses((status = 200, body = NetworkInfo, description = "Which it is, and why this daemon belongs to it"))
)]
pub(super) async fn show(State(shared): State<Arc<Shared>>) -> Json<NetworkInfo> {
    Json(shared.handle.network().await)
}

/// Makes an invite to the network of this daemon
///
/// Into a private network: only this answer has it, and it is redeemed at this daemon, which has to run and to be
/// reachable when somebody joins. Into an open one it says what the network is and where this daemon is, to everybody
/// and for ever.
#[utoipa::path(
    post,
    path = "/v1/network/invites",
    request_body = InviteWanted,
    responses(
        (status = 201, body = InviteMade, description = "The invite, and what the daemon keeps of it"),
        (status = 400, body = Problem, description = "It is to be good for too many, or for too long; or for some only, in an open network"),
        (status = 403, body = Problem, description = "This daemon may not let others in"),
        (status = 409, body = Problem, description = "The network of this daemon is nothing but a name, or the daemon has no address")
    )
)]
pub(super) async fn invite(
    State(shared): State<Arc<Shared>>,
    bytes: Bytes,
) -> Result<(StatusCode, Json<InviteMade>), Failure> {
    let wanted: InviteWanted = body(&bytes)?;
    let made = shared.handle.invite(wanted).await.map_err(|error| Problem::from(&error))?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Withdraws an invite that this daemon has made
///
/// Nobody joins with it from then on. Whoever has joined with it stays.
#[utoipa::path(
    delete,
    path = "/v1/network/invites/{id}",
    params(("id" = String, Path, description = "The id of the invite, or its beginning, at least 8 digits of it")),
    responses(
        (status = 200, body = InviteInfo, description = "What it was good for, and how many have used it"),
        (status = 404, body = Problem, description = "No invite of this daemon's has an id that begins so"),
        (status = 409, body = Problem, description = "Several have, or it has ended or is used up, or this daemon belongs to no private network")
    )
)]
pub(super) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    Path(id): Path,
) -> Result<Json<InviteInfo>, Failure> {
    let withdrawn = shared.handle.withdraw_invite(id).await.map_err(|error| Problem::from(&error))?;
    Ok(Json(withdrawn))
}

/// Revokes the certificate of a daemon
///
/// Everybody who is connected hears of it at once and lets it in no more; what it holds is made again elsewhere. It
/// cannot be undone: the daemon comes back with a new key only.
#[utoipa::path(
    post,
    path = "/v1/network/revocations",
    request_body = RevocationWanted,
    responses(
        (status = 200, body = NetworkInfo, description = "The network without it"),
        (status = 400, body = Problem, description = "The reason is too long, or the id is that of this daemon, of several, or of none that is known"),
        (status = 403, body = Problem, description = "This daemon may not revoke that one"),
        (status = 409, body = Problem, description = "This daemon belongs to no private network")
    )
)]
pub(super) async fn revoke(
    State(shared): State<Arc<Shared>>,
    bytes: Bytes,
) -> Result<Json<NetworkInfo>, Failure> {
    let wanted: RevocationWanted = body(&bytes)?;
    let revoked = shared.handle.revoke(wanted).await.map_err(|error| Problem::from(&error))?;
    Ok(Json(revoked))
}

/// Makes a new key for the private network
///
/// The old key says that it follows, and everybody hears of it, also who is away now. Certificates under the old one
/// count for as long as is said, and daemons renew theirs under the new one by themselves.
#[utoipa::path(
    post,
    path = "/v1/network/key",
    request_body = NewKeyWanted,
    responses(
        (status = 200, body = NetworkInfo, description = "The network with its new key"),
        (status = 400, body = Problem, description = "The old key would count for too short or for too long"),
        (status = 403, body = Problem, description = "This daemon does not have the network's key"),
        (status = 409, body = Problem, description = "The key before still counts, or this daemon belongs to no private network")
    )
)]
pub(super) async fn new_key(
    State(shared): State<Arc<Shared>>,
    bytes: Bytes,
) -> Result<Json<NetworkInfo>, Failure> {
    let NewKeyWanted { overlap_seconds } = body(&bytes)?;
    let made = shared.handle.new_network_key(overlap_seconds).await.map_err(|error| Problem::from(&error))?;
    Ok(Json(made))
}

/// Asks for a new certificate now
///
/// It is renewed by itself when half of its time is over.
#[utoipa::path(
    post,
    path = "/v1/network/renew",
    responses(
        (status = 200, body = NetworkInfo, description = "With the new certificate"),
        (status = 409, body = Problem, description = "This daemon belongs to no private network"),
        (status = 503, body = Problem, description = "Nobody who may sign is connected")
    )
)]
pub(super) async fn renew(State(shared): State<Arc<Shared>>) -> Result<Json<NetworkInfo>, Failure> {
    let renewed = shared.handle.renew_certificate().await.map_err(|error| Problem::from(&error))?;
    Ok(Json(renewed))
}
