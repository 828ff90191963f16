//! A server over repositories in memory, and requests to it over real connections.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chordage_api::hex;
use chordage_api::types::ResticStatus;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST};
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use ring::digest::{SHA256, digest};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::in_memory::InMemory;
use crate::front::Gate;
use crate::front::Limits;
use crate::restic::state::Shared;
use crate::restic::{BEHIND, ResticListener, ResticServer, ResticSettings, sweep};

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const WEEK: u64 = 7 * 24 * 3600;

/// What a list of version 2 asks for and says of itself.
pub(super) const V2: &str = "application/vnd.x.restic.rest.v2";

/// A server and what is behind it.
pub(super) struct Scene {
    pub(super) address: SocketAddr,
    pub(super) behind: InMemory,
    server: ResticServer,
}

/// An answer, whole.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    #[track_caller]
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(super) fn settings() -> ResticSettings {
    ResticSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        users: None,
        append_only: false,
        keep_deleted: Duration::from_secs(WEEK),
        connections_max: 16,
    }
}

impl Scene {
    /// A server without users, with an empty repository at `/`.
    pub(super) async fn new() -> Self {
        let scene = Scene::with(settings()).await;
        assert_eq!(scene.post("/?create=true", "").await.status, 200);
        scene
    }

    /// A server without any repository.
    pub(super) async fn with(settings: ResticSettings) -> Self {
        Scene::over(InMemory::default(), settings).await
    }

    /// A server over repositories that others may serve too.
    pub(super) async fn over(behind: InMemory, settings: ResticSettings) -> Self {
        let bound = ResticListener::bind(settings).await.unwrap();
        let address = bound.address();
        Scene { address, server: bound.serve_from(behind.clone()), behind }
    }

    pub(super) fn status(&self) -> ResticStatus {
        self.server.status()()
    }

    pub(super) async fn leave(self) {
        timeout(PATIENCE, self.server.drain(Duration::from_secs(3600))).await.expect("it ends");
    }

    /// Sends a request on a connection of its own. The length of the body is announced unless a header says something
    /// else.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send_body(method, path, headers, Body::from(body.into())).await.expect("an answer")
    }

    /// The same with any body; `None` if the connection ends without a whole answer.
    pub(super) async fn send_body(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Option<Answer> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path);
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            request = request.header(HOST, self.address.to_string());
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let answering = async {
            let (head, body) = sender.send_request(request).await.ok()?.into_parts();
            let body = body.collect().await.ok()?.to_bytes();
            Some(Answer { status: head.status, headers: head.headers, body })
        };
        let answer = timeout(PATIENCE, answering).await.expect("an answer in time");
        connection.abort();
        answer
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub(super) async fn range(&self, path: &str, range: &str) -> Answer {
        self.send(Method::GET, path, &[("range", range)], "").await
    }

    pub(super) async fn head(&self, path: &str) -> Answer {
        self.send(Method::HEAD, path, &[], "").await
    }

    pub(super) async fn post(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        let body = body.into();
        // An empty body has no length of its own.
        let length = body.len().to_string();
        self.send(Method::POST, path, &[(CONTENT_LENGTH.as_str(), &length)], body).await
    }

    pub(super) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, &[], "").await
    }

    /// A list of version 2.
    pub(super) async fn list(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[(ACCEPT.as_str(), V2)], "").await
    }

    /// Stores a file under its name, and returns its path.
    pub(super) async fn save(&self, kind: &str, content: &[u8]) -> String {
        let path = format!("/{kind}/{}", id(content));
        assert_eq!(self.post(&path, content.to_vec()).await.status, 200, "{path}");
        path
    }

    /// Bytes on a connection of their own, and all that comes back until it closes.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // A connection that is reset has said what it had to say.
        let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Forgets what is to be forgotten at this time.
    pub(super) async fn sweep(&self, now: u64) -> usize {
        let shared = Shared::new(self.behind.clone(), Gate::new(None, BEHIND), self.address, &settings());
        sweep::sweep(&shared, now, 0).await.unwrap()
    }
}

/// Requests with limits that a test can wait for, without a socket.
pub(super) fn brief() -> Limits {
    let brief = Duration::from_millis(50);
    Limits { turn: brief, stall: brief, body: brief * 4, bytes_per_second_min: 1 << 30 }
}

/// What all requests share, with such limits.
pub(super) fn shared(behind: &InMemory) -> Arc<Shared<InMemory>> {
    let mut shared =
        Shared::new(behind.clone(), Gate::new(None, BEHIND), "127.0.0.1:1".parse().unwrap(), &settings());
    shared.limits = brief();
    Arc::new(shared)
}

/// The name of a file with this content.
pub(super) fn id(content: &[u8]) -> String {
    hex(digest(&SHA256, content).as_ref())
}

/// A file with users, in a directory that goes when the value does.
pub(super) fn users_file(lines: &[String]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("users");
    std::fs::write(&path, lines.join("\n")).unwrap();
    (dir, path)
}

/// Bytes that no two places have in common.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
