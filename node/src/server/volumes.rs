//! Volumes.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Json;
use chordage_api::client::VolumeAccess;
use chordage_api::operation::{OPERATION_HEADER, OperationId};
use chordage_api::types::{
    Problem, PruneReport, PutQuery, SnapshotInfo, SnapshotRequest, SnapshotSelection, TreeReport,
    VerifyReport, VolumeCapability, VolumeChanged, VolumeChanges, VolumeImport, VolumeInfo, VolumeValues,
};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::objects::{receive, request_of};
use super::operations::operation_of;
use super::problem;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::put::PutRequest;
use crate::volumes::{TreePut, VolumesError};

/// Largest body of a request about volumes, bytes: a thousand values.
const BODY_BYTES_MAX: usize = 8 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VolumeQuery {
    name: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExportQuery {
    name: String,
    access: Access,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Access {
    Read,
    Write,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ValuesQuery {
    volume: String,
    #[serde(default)]
    prefix: String,
    after: Option<String>,
    limit: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TreeQuery {
    volume: String,
    redundancy: Option<String>,
    #[serde(default)]
    allow_degraded: bool,
    #[serde(default)]
    reread: bool,
    #[serde(default)]
    lock_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SnapshotsQuery {
    volume: String,
    #[serde(default)]
    forgotten: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PruneQuery {
    volume: String,
    grace: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifyQuery {
    volume: String,
    snapshot: Option<String>,
    #[serde(default)]
    read_data: bool,
}

/// Answers, unless the daemon is told to stop first.
async fn answer<T>(
    shared: &Shared,
    asked: impl Future<Output = Result<T, VolumesError>>,
) -> Result<Json<T>, Failure> {
    tokio::select! {
        found = asked => Ok(Json(found.map_err(|error| Problem::from(&error))?)),
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let hint = "see /v1/openapi.json for what it has to say";
    if body.len() > BODY_BYTES_MAX {
        let message = format!("the body has more than {BODY_BYTES_MAX} bytes");
        return Err(problem::bad_request(message, hint).into());
    }
    serde_json::from_slice(body).map_err(|error| problem::bad_request(error, hint).into())
}

/// The volumes that this daemon knows
#[utoipa::path(get, path = "/v1/volumes", responses((status = 200, body = Vec<VolumeInfo>, description = "By petname")))]
pub(super) async fn list(State(shared): State<Arc<Shared>>) -> Json<Vec<VolumeInfo>> {
    Json(shared.handle.volumes().list())
}

/// Makes a volume and gives it a petname
///
/// Nothing of it is in the network before its first change.
#[utoipa::path(
    post,
    path = "/v1/volumes/create",
    params(("name" = String, Query, description = "The petname: 1 to 63 of the characters a-z 0-9 - _ .")),
    responses(
        (status = 201, body = VolumeInfo, description = "It is made, and on disk"),
        (status = 400, body = Problem, description = "The petname cannot be one"),
        (status = 409, body = Problem, description = "There is one with this petname, or there are too many")
    )
)]
pub(super) async fn create(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<VolumeQuery>,
) -> Result<(StatusCode, Json<VolumeInfo>), Failure> {
    Ok((StatusCode::CREATED, answer(&shared, shared.handle.volumes().create(&query.name)).await?))
}

/// Takes a volume in that was exported
#[utoipa::path(
    post,
    path = "/v1/volumes/import",
    request_body = VolumeImport,
    responses(
        (status = 201, body = VolumeInfo, description = "It is known here, and on disk"),
        (status = 400, body = Problem, description = "The text opens no volume, or the petname cannot be one"),
        (status = 409, body = Problem, description = "It is known already, or there is another with this petname")
    )
)]
pub(super) async fn import(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<(StatusCode, Json<VolumeInfo>), Failure> {
    let import: VolumeImport = read(&body)?;
    Ok((StatusCode::CREATED, answer(&shared, shared.handle.volumes().import(import)).await?))
}

/// The text that opens a volume: whoever has it can read it, or write to it as well
#[utoipa::path(
    post,
    path = "/v1/volumes/export",
    params(
        ("name" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("access" = String, Query, description = "`read` or `write`")
    ),
    responses(
        (status = 200, body = VolumeCapability, description = "The text"),
        (status = 403, body = Problem, description = "It can only be read from here"),
        (status = 404, body = Problem, description = "There is none of this name")
    )
)]
pub(super) async fn export(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ExportQuery>,
) -> Result<Json<VolumeCapability>, Failure> {
    let access = match query.access {
        Access::Read => VolumeAccess::Read,
        Access::Write => VolumeAccess::Write,
    };
    let exported = shared.handle.volumes().export(&query.name, access);
    Ok(Json(exported.map_err(|error| Problem::from(&error))?))
}

/// Forgets how to open a volume, and keeps nothing of it any more
#[utoipa::path(
    post,
    path = "/v1/volumes/remove",
    params(("name" = String, Query, description = "A petname, or the 64 digits of a volume")),
    responses((status = 200, body = VolumeInfo, description = "What it was"), (status = 404, body = Problem, description = "There is none of this name"))
)]
pub(super) async fn remove(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<VolumeQuery>,
) -> Result<Json<VolumeInfo>, Failure> {
    answer(&shared, shared.handle.volumes().remove(&query.name)).await
}

/// Keys of a volume with their values
///
/// Of the newest state that a majority of those who keep it has: whatever was acknowledged before is in it.
#[utoipa::path(
    get,
    path = "/v1/volumes/values",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("prefix" = Option<String>, Query, description = "Only keys that begin so"),
        ("after" = Option<String>, Query, description = "Only keys behind this one"),
        ("limit" = Option<u32>, Query, description = "How many at most: 1,000 by default and at most")
    ),
    responses(
        (status = 200, body = VolumeValues, description = "Keys and values in order"),
        (status = 404, body = Problem, description = "There is no such volume, or its data is not in the network now"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached")
    )
)]
pub(super) async fn values(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<ValuesQuery>,
) -> Result<Json<VolumeValues>, Failure> {
    let _slot = shared.name_slot()?;
    let ValuesQuery { volume, prefix, after, limit } = query;
    answer(&shared, shared.handle.volumes().values(&volume, prefix, after, limit)).await
}

/// Changes keys of a volume, all or none
#[utoipa::path(
    post,
    path = "/v1/volumes/change",
    request_body = VolumeChanges,
    responses(
        (status = 200, body = VolumeChanged, description = "A majority has stored it; or, if its state is `unknown`, fewer have"),
        (status = 400, body = Problem, description = "A key or value cannot be one"),
        (status = 403, body = Problem, description = "The volume can only be read from here"),
        (status = 404, body = Problem, description = "There is no such volume"),
        (status = 409, body = Problem, description = "What was expected is not so; nothing was changed"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached"),
        (status = 507, body = Problem, description = "Too few holders acknowledged")
    )
)]
pub(super) async fn change(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<VolumeChanged>, Failure> {
    let changes: VolumeChanges = read(&body)?;
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().change(changes)).await
}

/// Stores a tree of files for a volume
///
/// The body is a tar archive with all that is known of each entry, in the order of paths by component. It is part of
/// nothing until a snapshot names it, which has to be within a day.
#[utoipa::path(
    post,
    path = "/v1/volumes/trees",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("redundancy" = Option<String>, Query, description = "`K/N`; by default what the size of the network calls for"),
        ("allow_degraded" = Option<bool>, Query, description = "Accept fewer holders when there are too few live nodes"),
        ("reread" = Option<bool>, Query, description = "Use nothing that was put before"),
        ("lock_seconds" = Option<u32>, Query, description = "Its holders let nobody drop it for so long"),
        ("chordage-operation" = Option<String>, Header, description = "Id to ask `/v1/operations` for, chosen by the client")
    ),
    request_body(content_type = "application/x-tar", description = "A tar archive"),
    responses(
        (status = 200, body = TreeReport, description = "It is stored, and what that took"),
        (status = 400, body = Problem, description = "The body or a parameter cannot be used, or the body broke off"),
        (status = 403, body = Problem, description = "The volume can only be read from here"),
        (status = 404, body = Problem, description = "There is no such volume"),
        (status = 409, body = Problem, description = "A file said to be unchanged is not stored any more: send its content"),
        (status = 503, body = Problem, description = "Too few nodes, busy, joining or leaving"),
        (status = 507, body = Problem, description = "Too few holders acknowledged")
    )
)]
pub(super) async fn put_tree(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<TreeQuery>,
    headers: axum::http::HeaderMap,
    body: Body,
) -> Result<([(&'static str, String); 1], Json<TreeReport>), Failure> {
    let operation: OperationId = operation_of(&headers)?;
    let report = receive(&shared, operation, body, |reader| async {
        let TreeQuery { volume, redundancy, allow_degraded, reread, lock_seconds } = query;
        let request = request_of(&PutQuery { redundancy, allow_degraded, reread, ..PutQuery::default() })?;
        let request = PutRequest { retain_seconds: lock_seconds, ..request };
        let tree = TreePut { volume, body: reader, request };
        shared.handle.volumes().put_tree(tree).await.map_err(|error| Failure::from(&error))
    });
    Ok(([(OPERATION_HEADER, operation.to_string())], Json(report.await?)))
}

/// Enters a tree into a volume as a snapshot
#[utoipa::path(
    post,
    path = "/v1/volumes/snapshots",
    request_body = SnapshotRequest,
    responses(
        (status = 200, body = SnapshotInfo, description = "A majority has stored it"),
        (status = 404, body = Problem, description = "There is no such volume, or no such tree"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached"),
        (status = 507, body = Problem, description = "Too few holders acknowledged")
    )
)]
pub(super) async fn create_snapshot(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<SnapshotInfo>, Failure> {
    let request: SnapshotRequest = read(&body)?;
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().create_snapshot(request)).await
}

/// The snapshots of a volume, the oldest first
#[utoipa::path(
    get,
    path = "/v1/volumes/snapshots",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("forgotten" = Option<bool>, Query, description = "Also those that were forgotten and can be taken back")
    ),
    responses(
        (status = 200, body = Vec<SnapshotInfo>, description = "The snapshots"),
        (status = 404, body = Problem, description = "There is no such volume"),
        (status = 503, body = Problem, description = "Too few of those who keep it could be reached")
    )
)]
pub(super) async fn snapshots(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SnapshotsQuery>,
) -> Result<Json<Vec<SnapshotInfo>>, Failure> {
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().snapshots(&query.volume, query.forgotten)).await
}

/// Forgets snapshots, all or none
///
/// They are gone from lists at once, can be taken back, and are gone for good when they are pruned.
#[utoipa::path(
    post,
    path = "/v1/volumes/snapshots/forget",
    request_body = SnapshotSelection,
    responses(
        (status = 200, body = Vec<SnapshotInfo>, description = "Those that were forgotten"),
        (status = 404, body = Problem, description = "There is no such volume or snapshot"),
        (status = 409, body = Problem, description = "One of them is locked; none was forgotten")
    )
)]
pub(super) async fn forget(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<Vec<SnapshotInfo>>, Failure> {
    let selection: SnapshotSelection = read(&body)?;
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().forget(selection)).await
}

/// Takes forgotten snapshots back, all or none
#[utoipa::path(
    post,
    path = "/v1/volumes/snapshots/undelete",
    request_body = SnapshotSelection,
    responses(
        (status = 200, body = Vec<SnapshotInfo>, description = "Those that are there again"),
        (status = 404, body = Problem, description = "There is no such volume or forgotten snapshot")
    )
)]
pub(super) async fn undelete(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<Json<Vec<SnapshotInfo>>, Failure> {
    let selection: SnapshotSelection = read(&body)?;
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().undelete(selection)).await
}

/// Takes forgotten snapshots out for good, and frees what no other needs
#[utoipa::path(
    post,
    path = "/v1/volumes/prune",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("grace" = Option<u64>, Query, description = "Only those that were forgotten so many seconds ago: seven days by default")
    ),
    responses((status = 200, body = PruneReport, description = "What was freed"), (status = 404, body = Problem, description = "There is no such volume"))
)]
pub(super) async fn prune(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<PruneQuery>,
) -> Result<Json<PruneReport>, Failure> {
    let _slot = shared.name_slot()?;
    answer(&shared, shared.handle.volumes().prune(&query.volume, query.grace)).await
}

/// Whether everything that snapshots need is there
///
/// Asks who holds what; with `read_data` every chunk is read and checked.
#[utoipa::path(
    post,
    path = "/v1/volumes/verify",
    params(
        ("volume" = String, Query, description = "A petname, or the 64 digits of a volume"),
        ("snapshot" = Option<String>, Query, description = "The id of one, its beginning, or `latest`; by default all"),
        ("read_data" = Option<bool>, Query, description = "Read everything")
    ),
    responses(
        (status = 200, body = VerifyReport, description = "What was found"),
        (status = 404, body = Problem, description = "There is no such volume or snapshot, or a list of files is not in the network now")
    )
)]
pub(super) async fn verify(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<VerifyQuery>,
) -> Result<Json<VerifyReport>, Failure> {
    let _slot = shared.read_slot()?;
    let VerifyQuery { volume, snapshot, read_data } = query;
    answer(&shared, shared.handle.volumes().verify(&volume, snapshot, read_data)).await
}
