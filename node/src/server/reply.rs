//! Failures as HTTP answers.

use axum::extract::FromRequestParts;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::http::header::RETRY_AFTER;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Json, Response};
use chordage_api::types::{Problem, ProblemCode};
use serde::de::DeserializeOwned;

use super::problem;

/// Seconds after which a busy daemon may be asked again.
const RETRY_SECONDS: &str = "2";

/// An answer that is not 2xx. Boxed, because handlers pass it around in results.
pub(super) struct Failure(Box<Problem>);

impl<P> From<P> for Failure
where
    Problem: From<P>,
{
    fn from(problem: P) -> Self {
        Failure(Box::new(problem.into()))
    }
}

impl Failure {
    pub(super) fn problem(&self) -> &Problem {
        &self.0
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let code = self.0.code;
        let mut response = (problem::status(code), Json(*self.0)).into_response();
        if matches!(code, ProblemCode::Busy | ProblemCode::NotJoined) {
            response.headers_mut().insert(RETRY_AFTER, axum::http::HeaderValue::from_static(RETRY_SECONDS));
        }
        response
    }
}

/// A part of the path, whose mistakes are answered like all others.
pub(super) struct Path(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Path {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(path)| Path(path)).map_err(|error: PathRejection| {
            Failure::from(problem::bad_request(error.body_text(), "see /v1/openapi.json for the paths"))
        })
    }
}

/// A query string whose mistakes are answered like all others.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Failure> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(query)| Query(query)).map_err(|error: QueryRejection| {
            Failure::from(problem::bad_request(error.body_text(), "see /v1/openapi.json for the parameters"))
        })
    }
}
