//! Why recent operations failed, for clients whose connection was cut.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Json;
use chordage_api::operation::{OPERATION_HEADER, OperationId};
use chordage_api::types::{Problem, ProblemCode};

use super::problem;
use super::reply::{Failure, Path};
use super::state::Shared;
use crate::following;

/// Failures that are remembered. A client asks at once, so this only has to outlast a burst.
const REMEMBERED_MAX: usize = 64;

/// The last failures, oldest first.
#[derive(Default)]
pub(super) struct Operations {
    failures: Mutex<VecDeque<(OperationId, Problem)>>,
}

impl Operations {
    pub(super) fn remember(&self, id: OperationId, problem: Problem) {
        following::failed(id, problem.code);
        // Whoever panicked while holding it left whole entries behind.
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() == REMEMBERED_MAX {
            failures.pop_front();
        }
        failures.push_back((id, problem));
    }

    fn recall(&self, id: OperationId) -> Option<Problem> {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.iter().rev().find(|(known, _)| *known == id).map(|(_, problem)| problem.clone())
    }
}

/// The id that the client chose for its request, or one of ours.
pub(super) fn operation_of(headers: &HeaderMap) -> Result<OperationId, Problem> {
    match headers.get(OPERATION_HEADER) {
        None => Ok(OperationId::random()),
        Some(value) => value.to_str().ok().and_then(|text| text.parse().ok()).ok_or_else(|| {
            problem::bad_request(
                format!("the header {OPERATION_HEADER} is not an id"),
                "give 32 hexadecimal digits",
            )
        }),
    }
}

/// Why an operation failed
///
/// The last 64 failures are remembered.
#[utoipa::path(
    get,
    path = "/v1/operations/{id}",
    params(("id" = String, Path, description = "Id from the header `chordage-operation`, 32 hexadecimal digits")),
    responses((status = 200, body = Problem, description = "Why it failed"), (status = 404, body = Problem, description = "Not failed, or forgotten"))
)]
pub(super) async fn operation(
    State(shared): State<Arc<Shared>>,
    Path(id): Path,
) -> Result<Json<Problem>, Failure> {
    let unknown = || {
        Problem::new(
            ProblemCode::NotFound,
            format!("no failed operation {id} is remembered"),
            "it runs, succeeded, was never begun or is forgotten",
            "the last 64 failures are remembered",
        )
    };
    let id: OperationId = id.parse().map_err(|_| unknown())?;
    Ok(Json(shared.operations.recall(id).ok_or_else(unknown)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_failure_is_forgotten_first() {
        let operations = Operations::default();
        let ids: Vec<OperationId> = (0..=REMEMBERED_MAX).map(|_| OperationId::random()).collect();
        for id in &ids {
            operations.remember(*id, problem::busy("puts", 1));
        }
        assert_eq!(operations.recall(ids[0]), None);
        assert!(operations.recall(ids[1]).is_some() && operations.recall(ids[REMEMBERED_MAX]).is_some());
    }
}
