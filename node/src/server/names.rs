//! Names.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use axum::response::sse::{Event, Sse};
use chordage_api::types::{
    NameInfo, NameVersion, Problem, PublishReport, PublishRequest, Resolved, SealRequest, SealedKey,
};
use chordage_dht::Consistency;
use futures::{Stream, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::events::{event_of, events};
use super::problem;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::names::NamesError;

/// Largest body of a request about names or services, bytes.
const BODY_BYTES_MAX: usize = 16 * 1024;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NameQuery {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ResolveQuery {
    name: String,
    consistency: Option<Asked>,
    at_least: Option<u64>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Asked {
    Fast,
    Quorum,
}

/// The names whose keys this daemon has
#[utoipa::path(get, path = "/v1/names", responses((status = 200, body = Vec<NameInfo>, description = "The keyring, by petname")))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Vec<NameInfo>> {
    Json(shared.handle.names().list())
}

/// Makes a key and gives it a petname
#[utoipa::path(
    post,
    path = "/v1/names/create",
    params(("name" = String, Query, description = "The petname: 1 to 63 of the characters a-z 0-9 - _ .")),
    responses(
        (status = 201, body = NameInfo, description = "It is made, and on disk"),
        (status = 400, body = Problem, description = "The petname cannot be one"),
        (status = 409, body = Problem, description = "There is one with this petname, or there are too many")
    )
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<NameQuery>,
) -> Result<(StatusCode, Json<NameInfo>), Failure> {
    let made = shared.handle.names().create(&query.name).await.map_err(|error| Problem::from(&error))?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Forgets a key for good
///
/// Nobody can publish under it any more. What is published stays until it ends.
#[utoipa::path(
    post,
    path = "/v1/names/delete",
    params(("name" = String, Query, description = "The petname")),
    responses((status = 204, description = "It is forgotten"), (status = 404, body = Problem, description = "There is none with this petname"))
)]
pub(super) async fn delete(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<NameQuery>,
) -> Result<StatusCode, Failure> {
    shared.handle.names().delete(&query.name).await.map_err(|error| Problem::from(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// Says what a name is to stand for
///
/// The next version of the record of its key is signed and stored at the nodes nearest to it. Of several writers with
/// the same key one sees the other's change, and none is lost that was acknowledged.
#[utoipa::path(
    post,
    path = "/v1/names/publish",
    request_body = PublishRequest,
    responses(
        (status = 200, body = PublishReport, description = "A majority has stored it; or, if its state is `unknown`, fewer have"),
        (status = 400, body = Problem, description = "No name, or nothing that a name can stand for"),
        (status = 403, body = Problem, description = "The key of the name is not one of this daemon's"),
        (status = 409, body = Problem, description = "Another version is held than the one that was expected"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached")
    )
)]
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<PublishReport>, Failure> {
    let hint = "give {\"name\": \"PETNAME/path\", \"target\": \"...\"}";
    let request: PublishRequest = read(&body, hint)?;
    let _slot = shared.name_slot()?;
    tokio::select! {
        report = shared.handle.names().publish(request) => Ok(Json(report.map_err(|error| Problem::from(&error))?)),
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// What a name stands for
#[utoipa::path(
    get,
    path = "/v1/names/resolve",
    params(
        ("name" = String, Query, description = "A petname, a key (@...) or a domain (dns:example.org), and a path below it that may be empty"),
        ("consistency" = Option<String>, Query, description = "`fast` (the default): the first version that is told and no older than any seen here; `quorum`: the newest of a majority"),
        ("at_least" = Option<u64>, Query, description = "A version of at least this number")
    ),
    responses(
        (status = 200, body = Resolved, description = "What it stands for, and every step to it"),
        (status = 400, body = Problem, description = "It is not a name"),
        (status = 404, body = Problem, description = "It does not exist, says nothing about the path, has ended, or leads in a circle"),
        (status = 409, body = Problem, description = "Only an older version can be had than was seen here, or asked for; or DNS names several keys for the domain"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached"),
        (status = 504, body = Problem, description = "DNS did not answer for the domain")
    )
)]
pub(super) async fn resolve(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ResolveQuery>,
) -> Result<Json<Resolved>, Failure> {
    let _slot = shared.name_slot()?;
    let consistency = match (query.at_least, query.consistency) {
        (Some(seq), _) => Consistency::AtLeast(seq),
        (None, Some(Asked::Quorum)) => Consistency::Quorum,
        (None, Some(Asked::Fast) | None) => Consistency::Fast,
    };
    tokio::select! {
        found = shared.handle.names().resolve(&query.name, consistency) => {
            Ok(Json(found.map_err(|error| Problem::from(&error))?))
        }
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// The versions of a name that this daemon has published or seen, the newest first
#[utoipa::path(
    get,
    path = "/v1/names/history",
    params(("name" = String, Query, description = "A petname or a key")),
    responses((status = 200, body = Vec<NameVersion>, description = "At most the last 32 versions"), (status = 404, body = Problem, description = "There is no such petname"))
)]
pub(super) async fn history(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<NameQuery>,
) -> Result<Json<Vec<NameVersion>>, Failure> {
    Ok(Json(shared.handle.names().history(&query.name).await.map_err(|error| Problem::from(&error))?))
}

/// The key of a name under a passphrase, to keep it elsewhere or to move it
#[utoipa::path(
    post,
    path = "/v1/names/export",
    request_body = SealRequest,
    responses(
        (status = 200, body = SealedKey, description = "The sealed key"),
        (status = 400, body = Problem, description = "The passphrase is too short"),
        (status = 404, body = Problem, description = "There is no such petname")
    )
)]
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<SealedKey>, Failure> {
    let request: SealRequest = read(&body, "give {\"petname\": \"...\", \"passphrase\": \"...\"}")?;
    let _slot = shared.name_slot()?;
    let sealed = shared.handle.names().export(&request.petname, request.passphrase).await;
    Ok(Json(sealed.map_err(|error| Problem::from(&error))?))
}

/// Takes a key in that was exported, and gives it a petname
#[utoipa::path(
    post,
    path = "/v1/names/import",
    request_body = SealRequest,
    responses(
        (status = 201, body = NameInfo, description = "It is in the keyring, and on disk"),
        (status = 400, body = Problem, description = "It is no exported key, or the passphrase is not its own"),
        (status = 409, body = Problem, description = "There is one with this petname, or the key is there already")
    )
)]
pub(super) async fn import(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<NameInfo>), Failure> {
    let hint = "give {\"petname\": \"...\", \"passphrase\": \"...\", \"sealed\": \"...\"}";
    let SealRequest { petname, passphrase, sealed } = read(&body, hint)?;
    let sealed = sealed.ok_or_else(|| problem::bad_request("there is no sealed key", hint))?;
    let _slot = shared.name_slot()?;
    let made = shared.handle.names().import(&petname, sealed, passphrase).await;
    Ok((StatusCode::CREATED, Json(made.map_err(|error| Problem::from(&error))?)))
}

/// Tells what a name stands for, now and whenever it changes, as server-sent events
///
/// `found` has a `Resolved`, `problem` a `Problem`: why it stands for nothing now. What a majority of those who keep it
/// holds, each version once; versions in between may be left out.
#[utoipa::path(
    get,
    path = "/v1/names/watch",
    params(("name" = String, Query, description = "A petname, a key (@...) or a domain (dns:example.org), and a path below it that may be empty")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "Events, until the client ends it"),
        (status = 400, body = Problem, description = "It is not a name"),
        (status = 503, body = Problem, description = "Too many names are watched")
    )
)]
pub(super) async fn watch(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<NameQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let slot = shared.watch_slot()?;
    shared.handle.names().check(&query.name).map_err(|error| Problem::from(&error))?;
    let news = shared.handle.names().watch(query.name);
    let told = stream::unfold(news, |mut news| async move { Some((event(&news.recv().await?), news)) });
    Ok(events(&shared, slot, told))
}

fn event(found: &Result<Resolved, NamesError>) -> Event {
    match found {
        Ok(found) => event_of("found", found),
        Err(error) => event_of("problem", &Problem::from(error)),
    }
}

/// Reads a body.
pub(super) fn read<T: DeserializeOwned>(body: &[u8], hint: &str) -> Result<T, Failure> {
    if body.len() > BODY_BYTES_MAX {
        return Err(
            problem::bad_request(format!("the body has more than {BODY_BYTES_MAX} bytes"), hint).into()
        );
    }
    serde_json::from_slice(body).map_err(|error| problem::bad_request(error, hint).into())
}
