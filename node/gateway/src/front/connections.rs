//! Letting clients in, so many at a time.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::counters::Counters;
use super::patient::{Patient, Standing};
use super::wanted::Wanted;

/// How long a connection may take for the head of a request, and how long it may idle between two. Clients keep a
/// connection for 90 seconds: one that we closed first would now and then cost them an upload.
const HEAD_WITHIN: Duration = Duration::from_secs(120);
/// How long a client may take nothing of an answer.
const TAKES_WITHIN: Duration = Duration::from_secs(120);
/// Whoever has said nothing for so long after it came leaves when others need its place. Until then its request may be
/// on its way.
const GREETS_WITHIN: Duration = Duration::from_secs(1);
/// Whoever has taken nothing of an answer for so long leaves when others wait for its place, or to read what it reads:
/// players that pause ask for the rest again.
const STANDS_FOR: Duration = Duration::from_secs(5);
/// How often it is looked who does.
const LOOKS_EVERY: Duration = Duration::from_millis(100);
/// How long a client waits for a place.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// Before a socket that failed is asked again.
const PAUSE: Duration = Duration::from_millis(100);
/// What one is told that gets no place.
const TURNED_AWAY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Who may be served at a time.
#[derive(Clone)]
struct Places {
    seats: Arc<Semaphore>,
    /// Whether somebody waits: whoever idles leaves then, and whoever does not, after the next answer.
    wanted: Wanted,
    /// Whether somebody who has a place waits to read.
    turns_wanted: Wanted,
}

impl Places {
    async fn take(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(seat) = Arc::clone(&self.seats).try_acquire_owned() {
            return Some(seat);
        }
        let seat = tokio::time::timeout(PLACE_WITHIN, Arc::clone(&self.seats).acquire_owned());
        self.wanted.until(seat).await.ok()?.ok()
    }

    /// Ready when whoever stands there is in the way of others, and is the one who leaves for them.
    async fn are_needed_from(&self, standing: &Standing) {
        loop {
            let wanted = tokio::select! {
                () = self.wanted.is_so() => &self.wanted,
                () = self.turns_wanted.is_so() => &self.turns_wanted,
            };
            if standing.for_at_least(STANDS_FOR) && wanted.leave() {
                return;
            }
            sleep(LOOKS_EVERY).await;
        }
    }
}

/// Serves connections until `closing`; those that are open finish their requests.
pub(crate) async fn serve(
    listener: TcpListener,
    router: Router,
    counters: Arc<Counters>,
    (connections_max, turns_wanted): (usize, Wanted),
    connections: TaskTracker,
    closing: CancellationToken,
) {
    let places =
        Places { seats: Arc::new(Semaphore::new(connections_max)), wanted: Wanted::default(), turns_wanted };
    let next = async || {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "a connection");
                sleep(PAUSE).await;
                return;
            }
        };
        match places.take().await {
            Some(seat) => {
                let (router, closing, places) = (router.clone(), closing.clone(), places.clone());
                connections.spawn(async move {
                    if says_something(&stream, &closing, &places).await {
                        converse(stream, router, &closing, &places).await;
                    }
                    drop(seat);
                });
            }
            None => {
                counters.turned_away();
                // Whoever does not take it goes without.
                let _ = stream.try_write(TURNED_AWAY);
            }
        }
    };
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            () = next() => {}
        }
    }
}

/// Whether a client that has come says something before it has to leave.
async fn says_something(stream: &TcpStream, closing: &CancellationToken, places: &Places) -> bool {
    let is_in_the_way = async {
        sleep(GREETS_WITHIN).await;
        places.wanted.is_so().await;
    };
    // Looked at, not only waited for: a socket may be ready and have nothing.
    let mut first = [0];
    tokio::select! {
        biased;
        said = stream.peek(&mut first) => said.is_ok_and(|bytes| bytes > 0),
        () = closing.cancelled() => false,
        () = is_in_the_way => false,
        () = sleep(HEAD_WITHIN) => false,
    }
}

async fn converse(stream: TcpStream, router: Router, closing: &CancellationToken, places: &Places) {
    // Answers are written whole: nothing is gained by waiting for more of them.
    let _ = stream.set_nodelay(true);
    let stream = Patient::new(stream, TAKES_WITHIN);
    let standing = stream.standing();
    let mut is_in_the_way = pin!(places.are_needed_from(&standing));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    tokio::select! {
        // First, so that what was said when others came is read before they are heard of.
        biased;
        // What ends a connection is the client's doing or has been answered: there is nobody else to tell.
        _ = connection.as_mut() => return,
        () = is_in_the_way.as_mut() => return,
        () = closing.cancelled() => {}
        () = places.wanted.is_so() => {}
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        biased;
        _ = connection.as_mut() => {}
        () = is_in_the_way => {}
    }
}
