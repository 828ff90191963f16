//! What answers have in common: what a browser may do with them.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use chordage_api::client::ClientError;
use chordage_api::types::ProblemCode;

use super::page;
use crate::front::Failure;

/// Our own pages: nothing from elsewhere, nothing inline, in nobody's frame.
const OURS: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; \
     base-uri 'none'; frame-ancestors 'none'",
);
/// What strangers have made: scripts run, but as nobody, which reads nothing here and cannot ask the daemon; and
/// nothing is fetched from elsewhere.
const STRANGERS: HeaderValue = HeaderValue::from_static(
    "sandbox allow-scripts allow-popups allow-modals; default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; \
     connect-src 'none'; form-action 'none'; base-uri 'self'",
);

/// What holds of every answer: the address may be a secret, so it is told to nobody else, and what it is is guessed
/// from nothing.
fn guarded(mut response: Response, policy: HeaderValue, referrer: &'static str) -> Response {
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, policy);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static(referrer));
    response
}

/// Content that strangers have made.
pub(super) fn of_strangers(response: Response) -> Response {
    guarded(response, STRANGERS, "no-referrer")
}

/// Something of our own, of this kind.
pub(super) fn ours(status: StatusCode, kind: &str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(kind).ok().map(|kind| (CONTENT_TYPE, kind)));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    // With `no-referrer` browsers would not say of our own forms where they come from.
    guarded(response, OURS, "same-origin")
}

/// A page of our own.
pub(super) fn page(status: StatusCode, html: String) -> Response {
    ours(status, "text/html; charset=utf-8", html)
}

/// It is to be asked for there.
pub(super) fn moved(status: StatusCode, address: &str) -> Response {
    let mut response = ours(status, "text/plain; charset=utf-8", String::new());
    let headers = response.headers_mut();
    headers.extend(HeaderValue::from_str(address).ok().map(|address| (LOCATION, address)));
    response
}

/// Why there is no other answer: for people a page, for programs a line.
pub(super) fn failure(failure: Failure, headers: &HeaderMap) -> Response {
    let accepts = headers.get("accept").map(|value| value.to_str().unwrap_or_default());
    let Failure { status, .. } = failure;
    if accepts.is_some_and(|accepts| accepts.contains("text/html")) {
        let mut response = page(status, page::trouble(status, &failure.message));
        failure.say_more(response.headers_mut());
        response
    } else {
        let mut response = ours(status, "text/plain; charset=utf-8", format!("{}\n", failure.message));
        failure.say_more(response.headers_mut());
        response
    }
}

/// A failure of the daemon's, as one of ours: with what to do about it.
pub(super) fn of_daemon(error: ClientError) -> Failure {
    let ClientError::Problem(problem) = error else {
        return Failure::busy(format!("the daemon does not answer now: {error}"));
    };
    let status = match problem.code {
        ProblemCode::BadLink | ProblemCode::BadName | ProblemCode::BadRequest => StatusCode::BAD_REQUEST,
        ProblemCode::NoSuchName | ProblemCode::NoSuchPath | ProblemCode::NotFound => StatusCode::NOT_FOUND,
        ProblemCode::NotReadable | ProblemCode::NotOwned => StatusCode::FORBIDDEN,
        ProblemCode::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        ProblemCode::TimedOut => StatusCode::GATEWAY_TIMEOUT,
        ProblemCode::DiskFull | ProblemCode::NotDurable => StatusCode::INSUFFICIENT_STORAGE,
        ProblemCode::Internal | ProblemCode::DiskFailed => StatusCode::INTERNAL_SERVER_ERROR,
        // That too few of its holders are there does not mean that it is not there.
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    Failure::new(status, format!("{}: {}", problem.message, problem.hint))
}
