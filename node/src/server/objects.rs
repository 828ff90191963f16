//! Storing objects, and what a link stands for.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Json, Response};
use chordage_api::FILES_MAX;
use chordage_api::client::BodyFormat;
use chordage_api::operation::{OPERATION_HEADER, OperationId};
use chordage_api::types::{Explanation, ObjectStat, Problem, ProblemCode, PutQuery, PutReport};
use chordage_storage::lease::NAME_MAX;
use chordage_storage::{Fingerprint, Link, Redundancy};
use serde::Deserialize;

use super::bodies;
use super::operations::operation_of;
use super::problem;
use super::reply::{Failure, Path, Query};
use super::state::Shared;
use crate::following;
use crate::get::OpenObject;
use crate::put::{ObjectFormat, PutRequest};

/// Stores the body and answers with its link
///
/// `application/octet-stream` (or no content type) is one file. `application/x-tar` is a tree: directories before what
/// is in them, names in byte order, no hard links, devices or pipes. The answer comes when enough holders have written
/// every chunk to disk; before that there is no link.
#[utoipa::path(
    post,
    path = "/v1/objects",
    params(
        ("redundancy" = Option<String>, Query, description = "`K/N`; by default what the size of the network calls for"),
        ("allow_degraded" = Option<bool>, Query, description = "Accept fewer holders when there are too few live nodes"),
        ("reread" = Option<bool>, Query, description = "Use nothing that was put before"),
        ("fingerprint" = Option<String>, Query, description = "Of a single file: 64 hexadecimal digits to catalog it under"),
        ("unchanged" = Option<bool>, Query, description = "The body is empty: the file of that fingerprint is unchanged"),
        ("name" = Option<String>, Query, description = "Under which the daemon lists it; at most 255 bytes"),
        ("chordage-operation" = Option<String>, Header, description = "Id to ask `/v1/operations` for, chosen by the client")
    ),
    request_body(content_type = "application/octet-stream", description = "A file, or a tar archive"),
    responses(
        (status = 200, body = PutReport, description = "It is stored: its link, and what that took"),
        (status = 400, body = Problem, description = "The body or a parameter cannot be used, or the body broke off"),
        (status = 409, body = Problem, description = "A file said to be unchanged is not stored any more: send its content"),
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
    let _followed = following::begins(operation, "put");
    let report = receive(&shared, operation, body, |reader| async {
        let format = format_of(&headers)?;
        let request = request_of(&query)?;
        shared.handle.of(operation).put(reader, format, request).await.map_err(|error| Failure::from(&error))
    });
    Ok(([(OPERATION_HEADER, operation.to_string())], Json(report.await?)).into_response())
}

/// Lets `store` read a body to its end, unless the daemon is told to stop first. Why it fails is remembered under
/// `operation`.
pub(super) async fn receive<T, F>(
    shared: &Arc<Shared>,
    operation: OperationId,
    body: Body,
    store: impl FnOnce(Box<dyn Read + Send>) -> F,
) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let slot = match shared.put_slot() {
        Ok(slot) => slot,
        Err(problem) => {
            shared.operations.remember(operation, problem.clone());
            bodies::discard(body).await;
            return Err(problem.into());
        }
    };
    let (reader, pump) = bodies::reader(body);
    let storing = async {
        tokio::select! {
            stored = store(Box::new(reader)) => stored,
            () = shared.stopping().cancelled() => Err(Failure::from(problem::shutting_down())),
        }
    };
    let (stored, rest) = tokio::join!(storing, pump.run(&slot));
    match stored {
        Ok(report) => Ok(report),
        Err(failure) => {
            shared.operations.remember(operation, failure.problem().clone());
            if let Some(rest) = rest {
                bodies::discard(rest).await;
            }
            Err(failure)
        }
    }
}

pub(super) fn request_of(query: &PutQuery) -> Result<PutRequest, Problem> {
    let redundancy = match &query.redundancy {
        None => None,
        Some(text) => Some(text.parse::<Redundancy>().map_err(|error| {
            problem::bad_request(error, "give it as K/N with 1 <= K <= N <= 128, for example 4/10")
        })?),
    };
    let fingerprint = match &query.fingerprint {
        None if query.unchanged => {
            return Err(problem::bad_request("unchanged needs a fingerprint", "say which file is unchanged"));
        }
        None => None,
        Some(text) => Some(Fingerprint::from_hex(text).ok_or_else(|| {
            problem::bad_request("the fingerprint is not one", "give 64 hexadecimal digits")
        })?),
    };
    let name = query.name.clone();
    if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > NAME_MAX) {
        return Err(problem::bad_request("the name is empty or too long", "give 1 to 255 bytes, or no name"));
    }
    Ok(PutRequest {
        redundancy,
        allow_degraded: query.allow_degraded,
        reread: query.reread,
        fingerprint,
        unchanged: query.unchanged,
        retain_seconds: 0,
        name,
    })
}

/// How long fingerprints may take to come, which are 2 MiB at most.
const FINGERPRINTS_WITHIN: Duration = Duration::from_secs(60);

/// Which files need not be sent
///
/// The body is fingerprints of 32 bytes each, at most 65,536 of them: whatever the client takes for a proof that a file
/// is what it was, hashed. The answer is one byte for each: 1 if a file that was put with this fingerprint is stored
/// now, as well as this put would store it; then its content may be left out. 0 if it has to be sent.
#[utoipa::path(
    post,
    path = "/v1/unchanged",
    params(
        ("redundancy" = Option<String>, Query, description = "As for the put"),
        ("allow_degraded" = Option<bool>, Query, description = "As for the put")
    ),
    request_body(content_type = "application/octet-stream", description = "Fingerprints"),
    responses(
        (status = 200, content_type = "application/octet-stream", description = "A byte for each fingerprint: 1 if its file need not be sent, else 0"),
        (status = 400, body = Problem, description = "The body is not a list of fingerprints, or a parameter is malformed"),
        (status = 503, body = Problem, description = "Too few nodes, busy, joining or leaving")
    )
)]
pub(super) async fn unchanged(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PutQuery>,
    body: Body,
) -> Result<Response, Failure> {
    let _slot = shared.read_slot()?;
    let request = request_of(&query)?;
    let limit = format!("send at most {FILES_MAX} fingerprints of 32 bytes");
    let too_long = |_| problem::bad_request("the body is too long or broke off", &limit);
    let reading = axum::body::to_bytes(body, FILES_MAX * 32);
    let body = tokio::time::timeout(FINGERPRINTS_WITHIN, reading)
        .await
        .map_err(|_| problem::bad_request("the body did not come to its end in time", &limit))?
        .map_err(too_long)?;
    let (fingerprints, []) = body.as_chunks::<32>() else {
        return Err(problem::bad_request("the body is not made of fingerprints", limit).into());
    };
    let fingerprints = fingerprints.iter().map(|bytes| Fingerprint(*bytes)).collect();
    let unchanged = tokio::select! {
        unchanged = shared.handle.unchanged(fingerprints, request) => unchanged,
        () = shared.stopping().cancelled() => return Err(problem::shutting_down().into()),
    };
    let unchanged = unchanged.map_err(|error| Failure::from(&error))?;
    let bytes: Vec<u8> = unchanged.into_iter().map(u8::from).collect();
    Ok(([(CONTENT_TYPE, "application/octet-stream")], bytes).into_response())
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
        () => Err(problem::bad_request(
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
///
/// Of a verify link only what can be known without the key; `unknown` says what that is.
#[utoipa::path(
    get,
    path = "/v1/objects/{link}",
    params(
        ("link" = String, Path, description = "Read or verify link"),
        ("check" = Option<bool>, Query, description = "Ask the network who holds which shards now")
    ),
    responses(
        (status = 200, body = ObjectStat, description = "What the link stands for"),
        (status = 400, body = Problem, description = "The link or a parameter is malformed"),
        (status = 404, body = Problem, description = "Its data is not in the network now"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn stat(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
    Query(query): Query<StatQuery>,
) -> Result<Json<ObjectStat>, Failure> {
    let _slot = shared.read_slot()?;
    let link = parse(&link)?;
    tokio::select! {
        stat = shared.handle.stat(&link, query.check) => Ok(Json(stat.map_err(|error| Problem::from(&error))?)),
        () = shared.stopping().cancelled() => Err(Failure::from(problem::shutting_down())),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainQuery {
    #[serde(default = "chunks_explained")]
    chunks: u16,
}

fn chunks_explained() -> u16 {
    5
}

/// How safe an object is, and what repair will do
///
/// Asks the nodes near each chunk what they hold, and the one that looks after it what it has written down. For a
/// verify link all chunks of an object that the daemon keeps, and the root chunk of any other; `unknown` says so.
#[utoipa::path(
    get,
    path = "/v1/objects/{link}/explain",
    params(
        ("link" = String, Path, description = "Read or verify link"),
        ("chunks" = Option<u16>, Query, description = "Chunks to tell about in detail, the worst off first: 5 by default, at most 10000")
    ),
    responses(
        (status = 200, body = Explanation, description = "How safe it is, chunk by chunk"),
        (status = 400, body = Problem, description = "The link or a parameter is malformed"),
        (status = 404, body = Problem, description = "The manifest is not in the network now"),
        (status = 504, body = Problem, description = "The holders did not answer in time")
    )
)]
pub(super) async fn explain(
    State(shared): State<Arc<Shared>>,
    Path(link): Path,
    Query(query): Query<ExplainQuery>,
) -> Result<Json<Explanation>, Failure> {
    let _slot = shared.read_slot()?;
    let link = parse(&link)?;
    let most = query.chunks.min(10_000).into();
    tokio::select! {
        explained = shared.handle.explain(&link, most) => {
            Ok(Json(explained.map_err(|error| Problem::from(&error))?))
        }
        () = shared.stopping().cancelled() => Err(Failure::from(problem::shutting_down())),
    }
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

/// Opens what a link stands for, for this operation, unless the daemon is told to stop first.
pub(super) async fn open(
    shared: &Shared,
    operation: OperationId,
    link: &Link,
) -> Result<OpenObject, Problem> {
    let handle = shared.handle.of(operation);
    tokio::select! {
        opened = handle.open(link) => opened.map_err(|error| {
            let problem = Problem::from(&error);
            following::failed(operation, problem.code);
            problem
        }),
        () = shared.stopping().cancelled() => Err(problem::shutting_down()),
    }
}
