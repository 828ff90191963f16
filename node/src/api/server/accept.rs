//! Letting clients in: so many connections at a time, and for the next ones an answer that says so.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::IntoResponse;
use axum::serve::Listener;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::super::types::Problem;
use super::bodies::discard;
use super::patient::Patient;
use super::reply::Failure;
use super::slots::Patience;
use super::unparsed::Explained;

/// Connections that are being told that there is no place for them. Those beyond are closed without a word.
const TURNED_AWAY_MAX: usize = 64;
/// How long telling that may take.
const TURN_AWAY_WITHIN: Duration = Duration::from_secs(5);
/// How long a connection may take for the head of a request, and how long it may idle between two requests. Bodies have
/// a limit of their own.
const HEAD_WITHIN: Duration = Duration::from_secs(30);

/// The places for connections, shared by all listeners.
#[derive(Clone)]
pub(super) struct Places {
    seats: Arc<Semaphore>,
    max: usize,
    turned_away: Arc<Semaphore>,
}

impl Places {
    pub(super) fn new(max: usize) -> Self {
        Places {
            seats: Arc::new(Semaphore::new(max)),
            max,
            turned_away: Arc::new(Semaphore::new(TURNED_AWAY_MAX)),
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
            let max = places.max;
            connections.spawn(async move {
                // Whoever does not listen to the answer goes without.
                let _ = tokio::time::timeout(TURN_AWAY_WITHIN, turn_away(io, max)).await;
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

async fn turn_away<S>(io: S, max: usize)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request: hyper::Request<Incoming>| async move {
        // Read on for a moment: a client that is still sending would see a broken pipe instead of the answer.
        discard(Body::new(request.into_body())).await;
        Ok::<_, Infallible>(Failure::from(Problem::busy("connections to the API", max)).into_response())
    });
    let _ = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(io), service).await;
}
