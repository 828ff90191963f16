//! Storing objects, and what a link stands for.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use chordage_storage::{Link, Redundancy};
use serde::Deserialize;

use super::super::client::BodyFormat;
use super::super::operation::OPERATION_HEADER;
use super::super::types::{ObjectStat, Problem, ProblemCode, PutQuery, PutReport};
use super::bodies;
use super::operations::operation_of;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::get::OpenObject;
use crate::put::{ObjectFormat, PutRequest};

/// Stores the body and answers with its link
///
/// `application/octet-stream` (or no content type) is one file. `application/x-tar` is a tree: directories before what is in
/// them, names in byte order, no hard links, devices or pipes. The answer comes when enough holders have written every chunk
/// to disk; before that there is no link.
#[utoipa::path(
    post,
    path = "/v1/objects",
    params(
        ("redundancy" = Option<String>, Query, description = "`K/N`; by default what the size of the network calls for"),
        ("allow_degraded" = Option<bool>, Query, description = "Accept fewer holders when there are too few live nodes"),
        ("chordage-operation" = Option<String>, Header, description = "Id to ask `/v1/operations` for, chosen by the client")
    ),
    request_body(content_type = "application/octet-stream", description = "A file, or a tar archive"),
    responses(
        (status = 200, body = PutReport),
        (status = 400, body = Problem),
        (status = 503, body = Problem, description = "Too few nodes, busy, joining or leaving"),
        (status = 507, body = Problem, description = "Too few holders acknowledged")
    )
)]
pub(super) async fn put(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PutQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Failure> {
    let operation = operation_of(&headers)?;
    let (reader, pump) = bodies::reader(body);
    let storing = async {
        let _slot = shared.put_slot()?;
        let format = format_of(&headers)?;
        let redundancy = match &query.redundancy {
            None => None,
            Some(text) => Some(text.parse::<Redundancy>().map_err(|error| {
                Problem::bad_request(error, "give it as K/N with 1 ≤ K ≤ N ≤ 128, for example 4/10")
            })?),
        };
        let request = PutRequest { redundancy, allow_degraded: query.allow_degraded };
        tokio::select! {
            stored = shared.handle.put(Box::new(reader), format, request) => {
                stored.map_err(|error| Failure::from(&error))
            }
            () = shared.stopping().cancelled() => Err(Failure::from(Problem::shutting_down())),
        }
    };
    let (stored, rest) = tokio::join!(storing, pump.run());
    match stored {
        Ok(report) => Ok(([(OPERATION_HEADER, operation.to_string())], Json(report)).into_response()),
        Err(failure) => {
            shared.operations.remember(operation, failure.problem().clone());
            if let Some(rest) = rest {
                bodies::discard(rest).await;
            }
            Err(failure)
        }
    }
}

fn format_of(headers: &HeaderMap) -> Result<ObjectFormat, Problem> {
    let Some(given) = headers.get(CONTENT_TYPE) else { return Ok(ObjectFormat::File) };
    let given = given.to_str().unwrap_or_default();
    let essence = given.split(';').next().unwrap_or_default().trim();
    let is = |format: BodyFormat| essence.eq_ignore_ascii_case(format.media_type());
    match () {
        () if is(BodyFormat::File) => Ok(ObjectFormat::File),
        () if is(BodyFormat::Tar) => Ok(ObjectFormat::Tar),
        // A form would be stored with its boundaries, which nobody wants.
        () => Err(Problem::bad_request(
            format!("a body of type {given:?} cannot be stored"),
            "send `Content-Type: application/octet-stream` for a file or `application/x-tar` for a tree",
        )),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StatQuery {
    #[serde(default)]
    check: bool,
}

/// What a link stands for
#[utoipa::path(
    get,
    path = "/v1/objects/{link}",
    params(
        ("link" = String, Path, description = "Read link"),
        ("check" = Option<bool>, Query, description = "Ask the network who holds which shards now")
    ),
    responses(
        (status = 200, body = ObjectStat),
        (status = 400, body = Problem),
        (status = 403, body = Problem, description = "A verify link cannot read"),
        (status = 404, body = Problem, description = "Its data is not in the network now"),
        (status = 504, body = Problem)
    )
)]
pub(super) async fn stat(
    State(shared): State<Arc<Shared>>,
    Path(link): Path<String>,
    Query(query): Query<StatQuery>,
) -> Result<Json<ObjectStat>, Failure> {
    let _slot = shared.read_slot()?;
    let link = parse(&link)?;
    let mut stat = open(&shared, &link).await?.stat();
    if query.check {
        stat.health = Some(shared.handle.health(&link).await.map_err(|error| Problem::from(&error))?);
    }
    Ok(Json(stat))
}

pub(super) fn parse(link: &str) -> Result<Link, Problem> {
    link.parse().map_err(|error| {
        Problem::new(
            ProblemCode::BadLink,
            error,
            "nothing was asked of the network",
            "copy the whole link again",
        )
    })
}

/// Opens what a link stands for, unless the daemon is told to stop first.
pub(super) async fn open(shared: &Shared, link: &Link) -> Result<OpenObject, Problem> {
    tokio::select! {
        opened = shared.handle.open(link) => opened.map_err(|error| Problem::from(&error)),
        () = shared.stopping().cancelled() => Err(Problem::shutting_down()),
    }
}
