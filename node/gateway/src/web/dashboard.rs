//! What the daemon does, and what is wrong, on a page: its script asks here again and again, and all that is answered
//! comes from the daemon's API. It changes nothing.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use chordage_api::client::ClientError;
use chordage_api::types::{Explanation, KeptObject, MemberStatus, Status};
use futures::{StreamExt, stream};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::answer;
use super::state::Shared;
use crate::front::Failure;

/// Objects of which the page is told how safe they are: the latest of the first thousand. Each costs questions to those
/// who look after its chunks.
const OBJECTS_MAX: usize = 20;
/// Of these, looked at at a time.
const ASKED_AT_ONCE: usize = 4;
/// Longest key or link that is looked up, bytes.
const KEY_BYTES_MAX: usize = 256;

/// What the page shows of the daemon itself and of who is there.
#[derive(Serialize)]
struct Now {
    status: Status,
    members: Vec<MemberStatus>,
}

/// What is kept, as far as it is shown.
#[derive(Serialize)]
struct Kept {
    /// How many there are.
    objects: u64,
    shown: Vec<Object>,
}

/// An object that is kept.
#[derive(Serialize)]
struct Object {
    /// What it was called when it was put, or the beginning of its address.
    name: String,
    bytes: u64,
    /// Seconds since 1970.
    since: u64,
    /// How safe it is; nothing, if that could not be found out now.
    safety: Option<Explanation>,
}

/// Answers the page's script: `what` it asks for, and the query.
pub(super) async fn answer(shared: &Arc<Shared>, what: &str, query: &str) -> Result<Response, Failure> {
    let client = &shared.client;
    match what {
        "now.json" => {
            let (status, members) =
                tokio::try_join!(client.status(), client.members()).map_err(answer::of_daemon)?;
            Ok(json(&Now { status, members }))
        }
        "doctor.json" => Ok(json(&client.diagnosis().await.map_err(answer::of_daemon)?)),
        "kept.json" => Ok(json(&kept(shared).await.map_err(answer::of_daemon)?)),
        "trace.json" => {
            let key = query.split('&').find_map(|part| part.strip_prefix("key=")).unwrap_or_default();
            let key = percent_decode_str(key).decode_utf8_lossy();
            if key.is_empty() || key.len() > KEY_BYTES_MAX {
                return Err(Failure::new(
                    StatusCode::BAD_REQUEST,
                    "give a key of 64 hexadecimal digits, or a link",
                ));
            }
            Ok(json(&client.trace(&key).await.map_err(answer::of_daemon)?))
        }
        _ => Err(Failure::not_found("there is no such page")),
    }
}

async fn kept(shared: &Arc<Shared>) -> Result<Kept, ClientError> {
    let (status, mut kept) = tokio::try_join!(shared.client.status(), shared.client.keeps(None))?;
    kept.sort_by(|a, b| (b.since, &a.verify_link).cmp(&(a.since, &b.verify_link)));
    kept.truncate(OBJECTS_MAX);
    let explained = kept.into_iter().map(async |object| {
        let safety = shared.client.explain(&object.verify_link, 0).await.ok();
        Object { name: name(&object), bytes: object.bytes, since: object.since, safety }
    });
    let objects = status.duties.leases.kept_objects;
    Ok(Kept { objects, shown: stream::iter(explained).buffered(ASKED_AT_ONCE).collect().await })
}

fn name(object: &KeptObject) -> String {
    let address = || object.verify_link.chars().take(16).collect();
    object.names.last().cloned().unwrap_or_else(address)
}

fn json(of: &impl Serialize) -> Response {
    answer::ours(StatusCode::OK, "application/json", serde_json::to_string(of).unwrap_or_default())
}
