//! Letting clients in: so many connections at a time, and for the next ones an answer that says so. Whoever asks what
//! is going on is answered there too.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Method;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::Listener;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::bodies::discard;
use super::patient::Patient;
use super::problem;
use super::reply::Failure;
use super::slots::Patience;
use super::unparsed::Explained;
use crate::descriptors::ApiShare;

/// How long telling a client that there is no place may take.
const TURN_AWAY_WITHIN: Duration = Duration::from_secs(5);
/// How long such a client may take to say what it wants: others wait behind it.
const TURNED_AWAY_HEAD_WITHIN: Duration = Duration::from_secs(2);
/// How long a connection may take for the head of a request, and how long it may idle between two requests. Bodies have
/// a limit of their own.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// The places for connections, shared by all listeners.
#[derive(Clone)]
pub(super) struct Places {
    seats: Arc<Semaphore>,
    max: usize,
    /// For those that are told that there is none. Beyond these they are closed without a word.
    turned_away: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(share: ApiShare) -> Self {
        Places {
            seats: Arc::new(Semaphore::new(share.served)),
            max: share.served,
            turned_away: Arc::new(Semaphore::new(share.turned_away)),
        }
    }
}

/// Serves connections until `closing`, then lets those that are open finish their requests.
pub(super) async fn serve<L: Listener>(
    mut listener: L,
    router: Router,
    places: Places,
    closing: CancellationToken,
) {
    let connections = TaskTracker::new();
    let max = places.max;
    let narrow =
        router.clone().layer(middleware::from_fn(move |request, next| status_only(max, request, next)));
    loop {
        let (io, _) = tokio::select! {
            () = closing.cancelled() => break,
            // Fails never: it waits a little when the system has no file descriptors left.
            accepted = listener.accept() => accepted,
        };
        if let Ok(seat) = Arc::clone(&places.seats).try_acquire_owned() {
            let (router, closing) = (router.clone(), closing.clone());
            connections.spawn(async move {
                converse(io, router, closing).await;
                drop(seat);
            });
        } else if let Ok(turn) = Arc::clone(&places.turned_away).try_acquire_owned() {
            let narrow = narrow.clone();
            connections.spawn(async move {
                // Whoever does not listen to the answer goes without.
                let _ = tokio::time::timeout(TURN_AWAY_WITHIN, turn_away(io, narrow)).await;
                drop(turn);
            });
        }
    }
    drop(listener);
    connections.close();
    connections.wait().await;
}

async fn converse<S>(io: S, router: Router, closing: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // The slot of a request ends before; this also ends connections that never take their answer.
    let io = Explained::new(Patient::new(io, Patience::USUAL.ends));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // What ends a connection is the client's doing or has been answered: there is nobody else to tell.
    let ended = tokio::select! {
        result = connection.as_mut() => Some(result),
        () = closing.cancelled() => None,
    };
    if ended.is_none() {
        connection.as_mut().graceful_shutdown();
        let _ = connection.await;
    }
}

async fn turn_away<S>(io: S, narrow: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(TURNED_AWAY_HEAD_WITHIN)
        .keep_alive(false)
        .serve_connection(TokioIo::new(io), TowerToHyperService::new(narrow))
        .await;
}

/// What is answered when there is no place: whoever looks what is wrong has to see something.
async fn status_only(max: usize, request: Request, next: Next) -> Response {
    if request.method() == Method::GET && request.uri().path() == "/v1/status" {
        return next.run(request).await;
    }
    // Read on for a moment: a client that is still sending would see a broken pipe instead of the answer.
    discard(request.into_body()).await;
    Failure::from(problem::busy("connections to the API", max)).into_response()
}
