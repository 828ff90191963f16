//! A client of the local HTTP API: one connection per request, bodies streamed both ways, nothing waits without a limit.

mod names;

use std::time::Duration;

use bytes::Bytes;
use chordage_storage::Fingerprint;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, RANGE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::AbortOnDropHandle;

pub use super::client_error::ClientError;
pub use super::download::{Download, Entries};
use super::endpoint::{Endpoint, EndpointError, Located};
use super::operation::{OPERATION_HEADER, OperationId};
use super::range::ByteRange;
use super::types::{
    DrainStatus, Explanation, KeptObject, MemberStatus, ObjectStat, PeerStatus, Problem, ProblemCode,
    PutQuery, PutReport, ScrubStatus, Status, SuperPeerStatus, TraceReport,
};
use super::upload::{Flow, UploadBody};
use super::uri::{encode, with_query};
use super::waiting::wait_for_head;
use super::{FILES_MAX, hex};

/// Largest answer that is taken into memory as one JSON document.
const JSON_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest error answer.
const PROBLEM_BYTES_MAX: usize = 64 * 1024;

/// How long a daemon may take to say why it broke off; it has that in memory.
const ACCOUNT_WITHIN: Duration = Duration::from_secs(10);

/// How long a client waits before it calls a daemon stuck.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For the connection. The daemon is on this machine: seconds mean that it is frozen.
    pub connect: Duration,
    /// From the sent request to the head of the answer. The daemon's own deadlines are shorter, so its typed error wins.
    pub answer: Duration,
    /// Between two pieces of a body, either way, while the other side is the one to move.
    pub stall: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(120),
            stall: Duration::from_secs(120),
        }
    }
}

/// What the body of a put is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// The bytes of one file.
    File,
    /// A tar archive: a tree.
    Tar,
}

impl BodyFormat {
    /// The media type that says so.
    pub fn media_type(self) -> &'static str {
        match self {
            BodyFormat::File => "application/octet-stream",
            BodyFormat::Tar => "application/x-tar",
        }
    }
}

/// A daemon's API. Cheap to clone; holds no connection.
#[derive(Clone, Debug)]
pub struct Client {
    endpoint: Endpoint,
    token: Option<String>,
    timeouts: Timeouts,
}

/// A response whose connection lives as long as it does.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: AbortOnDropHandle<()>,
}

impl Client {
    /// A client of the daemon at `endpoint`. Does not connect yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Client { endpoint, token: None, timeouts: Timeouts::default() }
    }

    /// A client of the daemon that `text` names; see [`Located::find`].
    pub fn find(text: &str) -> Result<Self, EndpointError> {
        Located::find(text).map(Self::from)
    }

    /// The same client with a bearer token, which TCP endpoints ask for.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// The same client with other limits.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Where it connects.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub(crate) fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// What the daemon says of itself.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.get_json("/v1/status").await
    }

    /// The super-peers that the daemon knows.
    pub async fn super_peers(&self) -> Result<Vec<SuperPeerStatus>, ClientError> {
        self.get_json("/v1/superpeers").await
    }

    /// Who is in the network, as far as the daemon knows.
    pub async fn members(&self) -> Result<Vec<MemberStatus>, ClientError> {
        self.get_json("/v1/members").await
    }

    /// The peers that the daemon knows.
    pub async fn peers(&self) -> Result<Vec<PeerStatus>, ClientError> {
        self.get_json("/v1/peers").await
    }

    /// Begins to read everything that the daemon holds against its hashes; its status says how far it is.
    pub async fn scrub(&self) -> Result<ScrubStatus, ClientError> {
        self.post_json("/v1/scrub").await
    }

    /// Tells the daemon to hand over everything it holds; its status says how far it is.
    pub async fn drain(&self) -> Result<DrainStatus, ClientError> {
        self.post_json("/v1/drain").await
    }

    /// Looks `key` (64 hexadecimal digits, or a link) up and reports every hop.
    pub async fn trace(&self, key: &str) -> Result<TraceReport, ClientError> {
        self.get_json(&format!("/v1/trace/{}", encode(key.as_bytes()))).await
    }

    /// What a link stands for; with `check` also who holds its shards now.
    pub async fn stat(&self, link: &str, check: bool) -> Result<ObjectStat, ClientError> {
        let check = check.then(|| "true".to_owned());
        self.get_json(&with_query(&object_path(link, ""), &[("check", check)])).await
    }

    /// How safe an object is and what repair will do; details of the `chunks` worst.
    pub async fn explain(&self, link: &str, chunks: u16) -> Result<Explanation, ClientError> {
        self.get_json(&with_query(&object_path(link, "/explain"), &[("chunks", Some(chunks.to_string()))]))
            .await
    }

    /// Keeps an object: its holders are asked not to free it, again and again until it is forgotten.
    pub async fn keep(&self, link: &str) -> Result<KeptObject, ClientError> {
        self.post_json(&object_path(link, "/keep")).await
    }

    /// Stops keeping an object. Dropping it goes on in the background; [`keeps`](Self::keeps) says whether it is done.
    pub async fn forget(&self, link: &str) -> Result<KeptObject, ClientError> {
        self.post_json(&object_path(link, "/forget")).await
    }

    /// At most 1,000 objects that the daemon keeps, behind the one with the link `after`.
    pub async fn keeps(&self, after: Option<&str>) -> Result<Vec<KeptObject>, ClientError> {
        self.get_json(&with_query("/v1/keeps", &[("after", after.map(str::to_owned))])).await
    }

    /// The entries of a tree: those of the directory `path` (the root by default), with `recursive` all below it.
    pub async fn entries(
        &self,
        link: &str,
        path: Option<&[u8]>,
        recursive: bool,
    ) -> Result<Entries, ClientError> {
        let recursive = recursive.then(|| "true".to_owned());
        let uri = with_query(
            &object_path(link, "/entries"),
            &[("path_hex", path.map(hex)), ("recursive", recursive)],
        );
        let request = self.request(Method::GET, &uri).header(ACCEPT, "application/x-ndjson");
        Ok(Entries::new(self.download(request).await?))
    }

    /// The bytes of a file: of the object itself, or of the file at `path` in a tree.
    pub async fn content(
        &self,
        link: &str,
        path: Option<&[u8]>,
        range: Option<ByteRange>,
    ) -> Result<Download, ClientError> {
        let uri = with_query(&object_path(link, "/content"), &[("path_hex", path.map(hex))]);
        let mut request = self.request(Method::GET, &uri);
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={range}"));
        }
        self.download(request).await
    }

    /// A tree, or the part of it at `path`, as a tar archive, without its first `skip_files` regular files.
    pub async fn archive(
        &self,
        link: &str,
        path: Option<&[u8]>,
        skip_files: u64,
    ) -> Result<Download, ClientError> {
        let skip_files = (skip_files > 0).then(|| skip_files.to_string());
        let query = [("path_hex", path.map(hex)), ("skip_files", skip_files)];
        let uri = with_query(&object_path(link, "/archive"), &query);
        self.download(self.request(Method::GET, &uri)).await
    }

    /// Stores the body. Dropping the future cancels the put; no link exists then.
    pub async fn put(
        &self,
        body: UploadBody,
        format: BodyFormat,
        query: &PutQuery,
    ) -> Result<PutReport, ClientError> {
        let operation = OperationId::random();
        let uri = with_query("/v1/objects", &put_query(query));
        let request = self
            .request(Method::POST, &uri)
            .header(CONTENT_TYPE, format.media_type())
            .header(OPERATION_HEADER, operation.to_string());
        let flow = body.flow();
        let outcome = async {
            let answer = self.send(request, body, Some(&flow)).await?;
            json(self.checked(answer).await?, self.timeouts.stall).await
        };
        match outcome.await {
            Ok(report) => Ok(report),
            // A daemon that refuses in the middle of a body closes the connection, and its answer may be lost with it.
            Err(error) => Err(self.account_for(error, operation).await),
        }
    }

    /// For each file whether a put with `query` can do without its content, because it was put before with that
    /// fingerprint and is stored.
    pub async fn unchanged(
        &self,
        fingerprints: &[Fingerprint],
        query: &PutQuery,
    ) -> Result<Vec<bool>, ClientError> {
        let mut unchanged = Vec::with_capacity(fingerprints.len());
        for some in fingerprints.chunks(FILES_MAX) {
            let body: Vec<u8> = some.iter().flat_map(|fingerprint| *fingerprint.as_bytes()).collect();
            let request = self.request(Method::POST, &with_query("/v1/unchanged", &put_query(query)));
            let answer = self.checked(self.send(request, Full::new(Bytes::from(body)), None).await?).await?;
            let status = answer.response.status();
            let bytes = whole(answer, some.len(), self.timeouts.stall).await?;
            if bytes.len() != some.len() {
                return Err(unexpected(status, &bytes));
            }
            unchanged.extend(bytes.iter().map(|byte| *byte == 1));
        }
        Ok(unchanged)
    }

    /// Why an operation failed, if the daemon still remembers.
    pub async fn operation(&self, operation: OperationId) -> Result<Option<Problem>, ClientError> {
        match self.get_json(&format!("/v1/operations/{operation}")).await {
            Ok(problem) => Ok(Some(problem)),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The description of the API, OpenAPI 3.1 in JSON.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.get_json("/v1/openapi.json").await
    }

    /// Turns a lost connection into the daemon's own account of it, when there is one.
    pub(crate) async fn account_for(&self, error: ClientError, operation: OperationId) -> ClientError {
        if !matches!(error, ClientError::Lost(_)) {
            return error;
        }
        // A daemon that lost the connection and then is silent has been waited for long enough.
        let brief = Timeouts { answer: ACCOUNT_WITHIN, stall: ACCOUNT_WITHIN, ..self.timeouts };
        let asking = self.clone().with_timeouts(brief);
        // Boxed because `operation` goes through the same request path that calls this.
        match Box::pin(asking.operation(operation)).await {
            Ok(Some(problem)) => ClientError::Problem(problem),
            // A daemon that is too busy to explain was too busy for the operation.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Busy => {
                ClientError::Problem(problem)
            }
            Ok(None) | Err(_) => error,
        }
    }

    fn request(&self, method: Method, uri: &str) -> hyper::http::request::Builder {
        let mut builder = Request::builder().method(method).uri(uri).header(HOST, "localhost");
        if let Some(token) = &self.token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        builder
    }

    async fn get_json<T: DeserializeOwned>(&self, uri: &str) -> Result<T, ClientError> {
        let answer = self.send(self.request(Method::GET, uri), Empty::<Bytes>::new(), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
    }

    async fn post_json<T: DeserializeOwned>(&self, uri: &str) -> Result<T, ClientError> {
        let answer = self.send(self.request(Method::POST, uri), Empty::<Bytes>::new(), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
    }

    /// The client names the operation itself: a read that fails at its first byte may take the head of the answer with it.
    async fn download(&self, request: hyper::http::request::Builder) -> Result<Download, ClientError> {
        let operation = OperationId::random();
        let request = request.header(OPERATION_HEADER, operation.to_string());
        let outcome = async { self.checked(self.send(request, Empty::<Bytes>::new(), None).await?).await };
        match outcome.await {
            Ok(answer) => Ok(Download::new(answer, self.clone(), operation)),
            Err(error) => Err(self.account_for(error, operation).await),
        }
    }

    /// Sends a request and waits for the head of the answer.
    async fn send<B>(
        &self,
        request: hyper::http::request::Builder,
        body: B,
        flow: Option<&Flow>,
    ) -> Result<Answer, ClientError>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        // The parts are ours except the token and the link, and a link is percent-encoded.
        let request = request.body(body).map_err(|error| ClientError::Unsendable(error.to_string()))?;
        let unreachable = |source| ClientError::Unreachable { endpoint: self.endpoint.clone(), source };
        let connecting = tokio::time::timeout(self.timeouts.connect, async {
            match &self.endpoint {
                Endpoint::Unix(path) => {
                    handshake(UnixStream::connect(path).await.map_err(unreachable)?).await
                }
                Endpoint::Tcp(address) => {
                    handshake(TcpStream::connect(address).await.map_err(unreachable)?).await
                }
            }
        });
        let (mut sender, connection) =
            connecting.await.map_err(|_| ClientError::Stalled { after: self.timeouts.connect })??;
        let answering = sender.send_request(request);
        let response = wait_for_head(answering, self.timeouts.answer, flow).await?;
        Ok(Answer { response, connection })
    }

    /// Lets a success pass and reads the problem out of anything else.
    async fn checked(&self, answer: Answer) -> Result<Answer, ClientError> {
        let status = answer.response.status();
        if status.is_success() {
            return Ok(answer);
        }
        let body = Limited::new(answer.response.into_body(), PROBLEM_BYTES_MAX).collect();
        let bytes = match tokio::time::timeout(self.timeouts.stall, body).await {
            Ok(Ok(collected)) => collected.to_bytes(),
            Ok(Err(_)) => Bytes::new(),
            Err(_) => return Err(ClientError::Stalled { after: self.timeouts.stall }),
        };
        Err(match serde_json::from_slice(&bytes) {
            Ok(problem) => ClientError::Problem(problem),
            Err(_) => unexpected(status, &bytes),
        })
    }
}

impl From<Located> for Client {
    fn from(located: Located) -> Self {
        let client = Client::new(located.endpoint);
        match located.token {
            Some(token) => client.with_token(token),
            None => client,
        }
    }
}

fn object_path(link: &str, rest: &str) -> String {
    format!("/v1/objects/{}{rest}", encode(link.as_bytes()))
}

fn unexpected(status: StatusCode, body: &[u8]) -> ClientError {
    let text: String = String::from_utf8_lossy(body).chars().take(200).collect();
    ClientError::Unexpected(format!("HTTP status {status}, {text:?}"))
}

/// Starts HTTP on a fresh connection and lets it run until the handle is dropped.
async fn handshake<S, B>(stream: S) -> Result<(http1::SendRequest<B>, AbortOnDropHandle<()>), ClientError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    let (sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| ClientError::Lost(error.to_string()))?;
    let task = tokio::spawn(async move {
        // Its error reaches the request or the body, which says it to the caller.
        let _ = connection.await;
    });
    Ok((sender, AbortOnDropHandle::new(task)))
}

fn put_query(query: &PutQuery) -> [(&'static str, Option<String>); 6] {
    let flag = |given: bool| given.then(|| "true".to_owned());
    [
        ("redundancy", query.redundancy.clone()),
        ("allow_degraded", flag(query.allow_degraded)),
        ("reread", flag(query.reread)),
        ("fingerprint", query.fingerprint.clone()),
        ("unchanged", flag(query.unchanged)),
        ("name", query.name.clone()),
    ]
}

/// Reads a body of at most `limit` bytes into memory.
async fn whole(answer: Answer, limit: usize, stall: Duration) -> Result<Bytes, ClientError> {
    let collecting = Limited::new(answer.response.into_body(), limit).collect();
    let collected = tokio::time::timeout(stall, collecting).await;
    drop(answer.connection);
    Ok(collected
        .map_err(|_| ClientError::Stalled { after: stall })?
        .map_err(|error| ClientError::Lost(error.to_string()))?
        .to_bytes())
}

/// Reads a JSON body.
async fn json<T: DeserializeOwned>(answer: Answer, stall: Duration) -> Result<T, ClientError> {
    let status = answer.response.status();
    let bytes = whole(answer, JSON_BYTES_MAX, stall).await?;
    serde_json::from_slice(&bytes).map_err(|_| unexpected(status, &bytes))
}

/// An error with its causes, because hyper keeps the useful part in the source.
pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
