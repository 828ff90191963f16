//! Answers that are no successes, and what is left of the request then.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ALLOW, CONNECTION, CONTENT_RANGE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;

use crate::kept::Error;

/// How long a body that nobody needs is read on, so that the client sees our answer rather than a broken pipe.
const DISCARD_MAX: Duration = Duration::from_secs(2);

/// An answer that is not a success: a line for whoever looks at it, which most programs do not.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) message: String,
    header: Option<(HeaderName, HeaderValue)>,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Failure { status, message: message.into(), header: None }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::BAD_REQUEST, message)
    }

    pub(crate) fn forbidden(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::FORBIDDEN, message)
    }

    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::NOT_FOUND, message)
    }

    /// Too much is under way. Clients try again.
    pub(crate) fn busy(message: impl Into<String>) -> Self {
        Failure::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// Who are you? `realm` is what the password is for.
    pub(crate) fn unauthorized(realm: &str) -> Self {
        let header = HeaderValue::from_str(&format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")).ok();
        Failure {
            header: header.map(|value| (WWW_AUTHENTICATE, value)),
            ..Failure::new(StatusCode::UNAUTHORIZED, "the user or the password is missing or wrong")
        }
    }

    /// There is nothing that this method could do here; those could.
    pub(crate) fn method(allowed: &'static str) -> Self {
        Failure {
            header: Some((ALLOW, HeaderValue::from_static(allowed))),
            ..Failure::new(StatusCode::METHOD_NOT_ALLOWED, format!("the methods here are {allowed}"))
        }
    }

    /// A file of this size has nothing in the range.
    pub(crate) fn unsatisfiable(message: impl Into<String>, size: u64) -> Self {
        let header = HeaderValue::from_str(&format!("bytes */{size}")).ok();
        Failure {
            header: header.map(|value| (CONTENT_RANGE, value)),
            ..Failure::new(StatusCode::RANGE_NOT_SATISFIABLE, message)
        }
    }
}

impl From<Error> for Failure {
    /// None of them is 404: what cannot be seen now is not absent.
    fn from(error: Error) -> Self {
        let status = match &error {
            Error::Incomplete(_) | Error::TooFewNodes(_) => StatusCode::SERVICE_UNAVAILABLE,
            Error::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            Error::ReadOnly(_) => StatusCode::FORBIDDEN,
            Error::Other(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Failure::new(status, error.to_string())
    }
}

impl Failure {
    /// Whether it is for a reason that is not the client's.
    pub(crate) fn is_ours(&self) -> bool {
        self.status.is_server_error() && self.status != StatusCode::NOT_IMPLEMENTED
    }
}

impl Failure {
    /// Adds what the status alone does not say.
    pub(crate) fn say_more(self, headers: &mut HeaderMap) {
        headers.extend(self.header);
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, format!("{}\n", self.message)).into_response();
        self.say_more(response.headers_mut());
        response
    }
}

/// After this answer the connection closes: the rest of the request has not been read.
pub(crate) fn close(mut response: Response) -> Response {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Reads on for a moment.
pub(crate) async fn discard(body: Body) {
    let mut data = body.into_data_stream();
    let reading = async { while matches!(data.next().await, Some(Ok(_))) {} };
    let _ = tokio::time::timeout(DISCARD_MAX, reading).await;
}
