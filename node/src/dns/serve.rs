//! Questions over UDP and TCP, so many at a time.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};

use super::Counters;
use super::answer::Reply;
use super::lookup::Lookup;
use super::question::{Todo, read};

/// Questions over UDP that are worked on at a time; more are not answered, so that whoever asked tries again.
const QUESTIONS_MAX: usize = 256;
/// Longest question, bytes. Those of use have one name and few options.
const QUESTION_BYTES_MAX: usize = 4096;
/// How long a connection may be silent, or take for a question or an answer.
const IDLE: Duration = Duration::from_secs(10);
/// How long a connection may last.
const CONNECTION_MAX: Duration = Duration::from_secs(300);
/// Before a socket that failed is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// How many questions and connections there may be at a time.
#[derive(Clone)]
pub(super) struct Places {
    questions: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    counters: Arc<Counters>,
}

impl Places {
    /// Connections beyond `connections_max` are closed at once.
    pub(super) fn new(connections_max: usize, counters: Arc<Counters>) -> Self {
        Places {
            questions: Arc::new(Semaphore::new(QUESTIONS_MAX)),
            connections: Arc::new(Semaphore::new(connections_max)),
            counters,
        }
    }

    fn take(&self, of: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        let place = of.clone().try_acquire_owned().ok();
        if place.is_none() {
            self.counters.turned_away.fetch_add(1, Relaxed);
        }
        place
    }
}

/// Answers datagrams for as long as it runs.
pub(super) async fn udp(socket: Arc<UdpSocket>, lookup: Arc<Lookup>, places: Places) {
    let mut buffer = vec![0; QUESTION_BYTES_MAX + 1];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                // That somebody has closed the port an answer went to comes back here too.
                tracing::debug!(%error, "DNS over UDP");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(&places.questions) else { continue };
        if length > QUESTION_BYTES_MAX {
            continue;
        }
        places.counters.questions.fetch_add(1, Relaxed);
        let (question, socket, lookup) = (buffer[..length].to_vec(), socket.clone(), lookup.clone());
        tokio::spawn(async move {
            let _place = place;
            let reply = answer(&question, &lookup).await;
            if let Some(bytes) = reply.and_then(|reply| reply.for_udp()) {
                // Who has gone needs no answer.
                let _ = socket.send_to(&bytes, from).await;
            }
        });
    }
}

/// Takes connections for as long as it runs.
pub(super) async fn tcp(listener: Arc<TcpListener>, lookup: Arc<Lookup>, places: Places) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "DNS over TCP");
                sleep(PAUSE).await;
                continue;
            }
        };
        let Some(place) = places.take(&places.connections) else { continue };
        let (lookup, counters) = (lookup.clone(), places.counters.clone());
        tokio::spawn(async move {
            let _place = place;
            // It may end at any point: whoever asked asks again.
            let _ = timeout(CONNECTION_MAX, converse(stream, &lookup, &counters)).await;
        });
    }
}

/// Answers the questions of one connection, one after the other.
async fn converse(mut stream: TcpStream, lookup: &Arc<Lookup>, counters: &Counters) -> io::Result<()> {
    let late = |_| io::Error::from(io::ErrorKind::TimedOut);
    loop {
        let length = usize::from(timeout(IDLE, stream.read_u16()).await.map_err(late)??);
        if length > QUESTION_BYTES_MAX {
            return Ok(());
        }
        let mut question = vec![0; length];
        timeout(IDLE, stream.read_exact(&mut question)).await.map_err(late)??;
        counters.questions.fetch_add(1, Relaxed);
        let reply = answer(&question, lookup).await;
        let Some(bytes) = reply.and_then(|reply| reply.for_tcp()) else { return Ok(()) };
        timeout(IDLE, stream.write_all(&bytes)).await.map_err(late)??;
    }
}

/// What is sent back, if anything.
async fn answer(question: &[u8], lookup: &Arc<Lookup>) -> Option<Reply> {
    match read(question) {
        Todo::Nothing => None,
        Todo::Send(reply) => Some(reply),
        Todo::Find(place, mut reply) => {
            match lookup.find(&place).await {
                Ok(found) => reply.complete(&found),
                Err(_) => reply.fail(),
            }
            Some(reply)
        }
    }
}
