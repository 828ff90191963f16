//! Services.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::Json;
use axum::response::sse::{Event, Sse};
use chordage_api::OpenName;
use chordage_api::service::read_attrs;
use chordage_api::types::{
    OwnService, Problem, ServiceInfo, ServiceReport, ServiceRequest, WithdrawRequest, WithdrawnService,
};
use futures::{Stream, stream};
use serde::Deserialize;

use super::events::{event_of, events};
use super::names::read;
use super::problem;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::services::ServicesError;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceQuery {
    name: String,
}

/// What is looked for; `attr` may stand there several times.
struct Wanted<'a> {
    name: &'a str,
    attrs: Vec<&'a str>,
    near: bool,
}

/// What this daemon registers
#[utoipa::path(get, path = "/v1/services", responses((status = 200, body = Vec<OwnService>, description = "By name and address")))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Vec<OwnService>> {
    Json(shared.handle.services().list())
}

/// Registers a service
///
/// The daemon keeps it registered for as long as it runs, and whenever it runs again, until it is withdrawn. Anybody
/// may register under any name. Registering the same name and address again replaces the attributes.
#[utoipa::path(
    post,
    path = "/v1/services/register",
    request_body = ServiceRequest,
    responses(
        (status = 200, body = ServiceReport, description = "A majority of those who are to know it does; or, if its state is `unknown`, fewer do, and the daemon goes on announcing it"),
        (status = 400, body = Problem, description = "No name of a service, no HOST:PORT, or attributes that cannot be some"),
        (status = 409, body = Problem, description = "This daemon registers as much as it may, or those who are to know it refuse it"),
        (status = 503, body = Problem, description = "The daemon is not part of its network, or does too much at a time")
    )
)]
pub(super) async fn register(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<ServiceReport>, Failure> {
    let hint = "give {\"name\": \"...\", \"addr\": \"HOST:PORT\", \"attrs\": {\"key\": \"value\"}}";
    let request: ServiceRequest = read(&body, hint)?;
    let _slot = shared.name_slot()?;
    tokio::select! {
        report = shared.handle.services().register(request) => {
            Ok(Json(report.map_err(|error| Problem::from(&error))?))
        }
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// Registers a service no longer
#[utoipa::path(
    post,
    path = "/v1/services/withdraw",
    request_body = WithdrawRequest,
    responses(
        (status = 200, body = Vec<WithdrawnService>, description = "What is registered no longer, also after a restart"),
        (status = 400, body = Problem, description = "No name of a service, or no HOST:PORT"),
        (status = 404, body = Problem, description = "This daemon does not register it")
    )
)]
pub(super) async fn withdraw(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<Vec<WithdrawnService>>, Failure> {
    let request: WithdrawRequest = read(&body, "give {\"name\": \"...\"}")?;
    let _slot = shared.name_slot()?;
    let withdrawn = shared.handle.services().withdraw(&request.name, request.addr.as_deref()).await;
    Ok(Json(withdrawn.map_err(|error| Problem::from(&error))?))
}

/// Who offers a service now
///
/// What a majority of those who keep the name know: those that were heard within the last seconds, and those that are
/// suspected to be gone.
#[utoipa::path(
    get,
    path = "/v1/services/find",
    params(
        ("name" = String, Query, description = "The service"),
        ("attr" = Option<Vec<String>>, Query, description = "`KEY=VALUE`: only those with this attribute; may stand there several times"),
        ("near" = Option<bool>, Query, description = "The nearest first, by round trip; where that is not known, it is measured")
    ),
    responses(
        (status = 200, body = Vec<ServiceInfo>, description = "In the order of providers; none is an empty list"),
        (status = 400, body = Problem, description = "No name of a service, or no attribute"),
        (status = 503, body = Problem, description = "Too few of those who keep the name could be reached")
    )
)]
pub(super) async fn find(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<Vec<(String, String)>>,
) -> Result<Json<Vec<ServiceInfo>>, Failure> {
    let wanted = Wanted::read(&query)?;
    let name: OpenName = wanted.name.parse().map_err(failure)?;
    let attrs = read_attrs(wanted.attrs).map_err(failure)?;
    let _slot = shared.name_slot()?;
    tokio::select! {
        found = shared.handle.services().find(&name, &attrs, wanted.near) => {
            let found = found.map_err(|error| Problem::from(&error))?;
            Ok(Json(found.iter().map(crate::services::FoundService::info).collect()))
        }
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// Tells everything that happens to a service, as server-sent events
///
/// `change` has a `ServiceChange`. First comes one for each provider there is.
#[utoipa::path(
    get,
    path = "/v1/services/watch",
    params(("name" = String, Query, description = "The service")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "Events, until the client ends it"),
        (status = 400, body = Problem, description = "It is no name of a service"),
        (status = 503, body = Problem, description = "The daemon is not part of its network, or too much is watched")
    )
)]
pub(super) async fn watch(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ServiceQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let slot = shared.watch_slot()?;
    let name: OpenName = query.name.parse().map_err(failure)?;
    let watch = shared.handle.services().watch(&name).await.map_err(|error| Problem::from(&error))?;
    let told = stream::unfold(watch, |mut watch| async move {
        let change = watch.next().await?;
        Some((event_of("change", &change), watch))
    });
    Ok(events(&shared, slot, told))
}

fn failure(error: impl Into<ServicesError>) -> Failure {
    Problem::from(&error.into()).into()
}

impl<'a> Wanted<'a> {
    fn read(query: &'a [(String, String)]) -> Result<Self, Failure> {
        let hint = "give name=..., attr=KEY=VALUE for each attribute, and near=true or near=false";
        let (mut name, mut attrs, mut near) = (None, Vec::new(), None);
        for (key, value) in query {
            match (&**key, &**value) {
                ("name", text) if name.is_none() => name = Some(text),
                ("attr", text) => attrs.push(text),
                ("near", "true") if near.is_none() => near = Some(true),
                ("near", "false") if near.is_none() => near = Some(false),
                _ => {
                    return Err(problem::bad_request(format!("{key}={value} is not understood"), hint).into());
                }
            }
        }
        let name = name.ok_or_else(|| problem::bad_request("there is no name", hint))?;
        Ok(Wanted { name, attrs, near: near.unwrap_or(false) })
    }
}
