//! The API's description, made from the code that serves it.

use axum::response::Json;
use chordage_api::types::{
    ChunkExplained, ChunkNeed, DaemonRole, DaemonState, DrainStatus, EntryForm, EntryInfo, Explanation,
    FoundAtStart, Health, HeldBackReason, HeldBackRepairs, HolderCount, KeepState, KeptObject, LeaseStatus,
    MemberRole, MemberState, MemberStatus, ObjectForm, ObjectStat, PeerStatus, Problem, ProblemCode,
    PutReport, RepairStatus, RestartedTask, RowStatus, ScrubStatus, ServiceChange, ShardExplained, ShardWord,
    Side, Status, SuperPeerStatus, TopicMessage, TraceHop, TraceReport, VolumeDifference, VolumeEntry,
    WaitedFor,
};
use utoipa::OpenApi;

use super::{
    content, home, keeps, listing, metrics, names, network, objects, operations, overlay, services,
    snapshots, topics, volumes,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Chordage local API",
        description = "Storing and reading through a daemon on this machine. On a Unix socket file permissions decide who \
                       may use it; on a loopback port a bearer token does. Every answer that is neither 2xx nor 304 is a \
                       `Problem`. A method that a path does not have is answered 405, with `Allow`.",
        license(name = "MIT")
    ),
    paths(
        objects::put,
        objects::stat,
        objects::unchanged,
        objects::explain,
        keeps::keep,
        keeps::forget,
        keeps::keeps,
        listing::entries,
        content::content,
        content::archive,
        overlay::status,
        metrics::metrics,
        overlay::peers,
        overlay::drain,
        overlay::members,
        overlay::doctor,
        overlay::super_peers,
        overlay::scrub,
        overlay::trace,
        names::list,
        names::create,
        names::delete,
        names::publish,
        names::export,
        names::import,
        names::resolve,
        names::watch,
        names::history,
        services::list,
        services::register,
        services::withdraw,
        services::find,
        services::watch,
        topics::publish,
        topics::subscribe,
        volumes::list,
        volumes::create,
        volumes::import,
        volumes::export,
        volumes::remove,
        volumes::values,
        volumes::change,
        volumes::put_tree,
        volumes::create_snapshot,
        volumes::snapshots,
        volumes::forget,
        volumes::undelete,
        volumes::prune,
        volumes::verify,
        snapshots::entries,
        snapshots::entry,
        snapshots::diff,
        snapshots::archive,
        snapshots::content,
        home::status,
        home::create,
        home::recover,
        home::check,
        network::show,
        network::invite,
        network::withdraw,
        network::revoke,
        network::new_key,
        network::renew,
        operations::operation,
        openapi
    ),
    components(schemas(
        ChunkExplained,
        DrainStatus,
        EntryInfo,
        Explanation,
        Health,
        HolderCount,
        KeptObject,
        LeaseStatus,
        FoundAtStart,
        MemberStatus,
        ObjectStat,
        PeerStatus,
        Problem,
        ProblemCode,
        PutReport,
        HeldBackReason,
        HeldBackRepairs,
        RepairStatus,
        ScrubStatus,
        ServiceChange,
        ShardExplained,
        Status,
        SuperPeerStatus,
        TopicMessage,
        RestartedTask,
        WaitedFor,
        ChunkNeed,
        DaemonRole,
        DaemonState,
        EntryForm,
        KeepState,
        MemberRole,
        MemberState,
        ObjectForm,
        ShardWord,
        Side,
        RowStatus,
        TraceHop,
        TraceReport,
        VolumeDifference,
        VolumeEntry
    ))
)]
struct Description;

/// This description
#[utoipa::path(get, path = "/v1/openapi.json", responses((status = 200, content_type = "application/json", description = "OpenAPI 3.1")))]
pub(super) async fn openapi() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

#[cfg(test)]
#[path = "../../api/tests/golden/compare.rs"]
mod compare;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_description_is_what_it_was() {
        let outcome = compare::golden("openapi", &Description::openapi());
        assert!(outcome.is_ok(), "\n{}", outcome.unwrap_or_else(|complaint| complaint));
    }

    #[test]
    fn every_route_is_described() {
        let described = Description::openapi().paths.paths;
        // The routes as the router has them.
        let source = include_str!("mod.rs");
        let routes: Vec<&str> = source
            .lines()
            .filter_map(|line| line.trim().strip_prefix(".route(\"")?.split('"').next())
            .collect();
        assert!(routes.len() >= 10, "{routes:?}");
        for route in &routes {
            assert!(described.contains_key(*route), "{route} is not described");
        }
        assert_eq!(described.len(), routes.len());
    }

    #[test]
    fn every_response_of_every_operation_is_described() {
        let described = serde_json::to_value(Description::openapi()).expect("it is JSON");
        let mut seen = 0;
        for (path, item) in described["paths"].as_object().expect("paths") {
            for (method, operation) in item.as_object().expect("operations") {
                for (status, response) in operation["responses"].as_object().expect("responses") {
                    let text = response["description"].as_str().unwrap_or_default();
                    assert!(!text.trim().is_empty(), "{method} {path} does not say what {status} means");
                    seen += 1;
                }
            }
        }
        assert!(seen > 60, "{seen}");
    }
}
