//! A server over files in memory, and requests to it over real connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use chordage_api::types::WebdavStatus;
use http_body_util::BodyExt;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{HeaderMap, Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::in_memory::InMemory;
use crate::webdav::state::Shared;
use crate::webdav::{WebdavListener, WebdavServer, WebdavSettings, sweep};

/// How long anything may take on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
pub(super) const WEEK: u64 = 7 * 24 * 3600;

/// A server and what is behind it.
pub(super) struct Scene {
    pub(super) address: SocketAddr,
    pub(super) behind: InMemory,
    server: WebdavServer,
    shared: Arc<Shared<InMemory>>,
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

pub(super) fn settings() -> WebdavSettings {
    WebdavSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        volume: "webdav".to_owned(),
        users: None,
        keep_deleted: Duration::from_secs(WEEK),
        connections_max: 16,
    }
}

impl Scene {
    pub(super) async fn new() -> Self {
        Scene::with(settings()).await
    }

    pub(super) async fn with(settings: WebdavSettings) -> Self {
        let behind = InMemory::default();
        let bound = WebdavListener::bind(settings).await.unwrap();
        let address = bound.address();
        let (server, shared) = bound.serve_from(behind.clone());
        Scene { address, behind, server, shared }
    }

    pub(super) fn status(&self) -> WebdavStatus {
        self.server.status()()
    }

    /// Forgets what is to be forgotten at this time.
    pub(super) async fn sweep(&self, now: u64) -> usize {
        sweep::sweep(&self.shared, now).await.unwrap()
    }

    /// Sends a request on a connection of its own; `None` if the connection ends without a whole answer.
    pub(super) async fn send_body(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> Option<Answer> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(connection);
        let method = Method::from_bytes(method.as_bytes()).unwrap();
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

    pub(super) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.send_body(method, path, headers, Body::from(body.into())).await.expect("an answer")
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    /// Puts a file that was not there.
    pub(super) async fn put(&self, path: &str, content: impl Into<Bytes>) {
        assert_eq!(self.send("PUT", path, &[], content).await.status, 201, "{path}");
    }

    pub(super) async fn mkcol(&self, path: &str) -> StatusCode {
        self.send("MKCOL", path, &[], "").await.status
    }

    pub(super) async fn delete(&self, path: &str) -> StatusCode {
        self.send("DELETE", path, &[], "").await.status
    }

    pub(super) async fn to(&self, method: &str, path: &str, to: &str, more: &[(&str, &str)]) -> StatusCode {
        let destination = format!("http://{}{to}", self.address);
        let headers: Vec<_> = [("destination", destination.as_str())].iter().chain(more).copied().collect();
        self.send(method, path, &headers, "").await.status
    }

    /// The paths that a list of a directory shows, without itself.
    pub(super) async fn list(&self, path: &str) -> Vec<String> {
        let answer = self.send("PROPFIND", path, &[("depth", "1")], "").await;
        assert_eq!(answer.status, 207, "{}", answer.text());
        let hrefs = answer.text().split("<D:href>").skip(1);
        let hrefs = hrefs.filter_map(|rest| rest.split("</D:href>").next());
        hrefs
            .filter(|href| href.trim_end_matches('/') != path.trim_end_matches('/'))
            .map(str::to_owned)
            .collect()
    }
}

/// Bytes that no two places have in common.
pub(super) fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(&length.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}
