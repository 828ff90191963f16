//! From a request to what answers it.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::answer::done;
use super::deleted;
use super::files;
use super::list;
use super::path::{self, Place, RepositoryName};
use super::repository::Repositories;
use super::state::Shared;
use super::upload;
use crate::front::{Failure, close, discard};
use crate::kept::Error;

/// Repositories of a daemon, at most.
const REPOSITORIES_MAX: usize = 100;

/// Answers a request.
pub(crate) async fn answer<V: Repositories>(
    State(shared): State<Arc<Shared<V>>>,
    request: Request,
) -> Response {
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
    tracing::debug!(method = %parts.method, path = parts.uri.path(), status = %failure.status, failure.message);
    let has_body = parts.method == Method::POST || parts.method == Method::PUT;
    discard(body).await;
    if has_body { close(failure.into_response()) } else { failure.into_response() }
}

async fn respond<V: Repositories>(
    shared: &Arc<Shared<V>>,
    parts: &Parts,
    body: &mut Body,
) -> Result<Response, Failure> {
    let named = path::parse(parts.uri.path());
    let user = shared.gate.admit(&parts.uri, &parts.headers).await?;
    if let (Some(user), Some((name, _))) = (&user, &named)
        && name.user() != Some(user)
    {
        return Err(Failure::forbidden("the repositories of a user are those below /USER/"));
    }
    let (name, place) = named.ok_or_else(|| {
        Failure::not_found(
            "a repository is at /, /NAME/ or /USER/NAME/, and there is nothing of this name in one",
        )
    })?;
    match (&parts.method, place) {
        (&Method::POST, Place::Whole) => whole(shared, &name, parts.uri.query()).await,
        (&Method::DELETE, Place::Whole) => Err(Failure::new(
            StatusCode::NOT_IMPLEMENTED,
            "a repository is not deleted as a whole: delete its snapshots and prune it",
        )),
        (&Method::GET | &Method::HEAD, Place::Whole) => {
            Err(Failure::not_found("this is for backup programs: restic -r rest:http://ADDRESS/ snapshots"))
        }
        (_, Place::Whole) => Err(Failure::method("POST, DELETE")),
        (&Method::GET, Place::All(kind)) => {
            // Absent it is only for certain. Yet clients take 404 for an empty list, and delete what no snapshot needs.
            let absent =
                || Failure::forbidden(format!("there is no repository at {name}: make it with restic init"));
            let repository = shared.repositories.open(&name).await?.ok_or_else(absent)?;
            list::list(&repository, kind, &parts.headers).await
        }
        (_, Place::All(_)) => Err(Failure::method("GET")),
        (method, file) => {
            let absent = || Failure::not_found(format!("there is no repository at {name}"));
            let repository = shared.repositories.open(&name).await?.ok_or_else(absent)?;
            match *method {
                Method::HEAD => files::head(&repository, file).await,
                Method::GET => files::load(shared, &repository, file, &parts.headers).await,
                Method::POST => upload::save(shared, repository, name, file, &parts.headers, body).await,
                Method::DELETE => deleted::delete(shared, repository, name, file).await,
                _ => Err(Failure::method("GET, HEAD, POST, DELETE")),
            }
        }
    }
}

/// What is done with a repository as a whole.
async fn whole<V: Repositories>(
    shared: &Arc<Shared<V>>,
    name: &RepositoryName,
    query: Option<&str>,
) -> Result<Response, Failure> {
    let query = query.unwrap_or_default();
    if let Some(period) = query.strip_prefix("undelete=") {
        let absent = || Failure::not_found(format!("there is no repository at {name}"));
        let repository = shared.repositories.open(name).await?.ok_or_else(absent)?;
        return deleted::undelete(shared, repository, name.clone(), period).await;
    }
    if query != "create=true" {
        return Err(Failure::bad_request("say what to do: ?create=true makes a repository"));
    }
    if shared.repositories.open(name).await?.is_some() {
        return Ok(done());
    }
    if shared.repositories.names().await?.len() >= REPOSITORIES_MAX {
        return Err(Error::Full(format!("there are {REPOSITORIES_MAX} repositories already")).into());
    }
    shared.repositories.create(name).await?;
    Ok(done())
}
