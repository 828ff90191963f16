//! One request and its answer, on a connection of their own. What reads a body and what asks stand above it.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_util::task::AbortOnDropHandle;

use super::client_error::ClientError;
use super::endpoint::Endpoint;
use super::operation::OperationId;
use super::types::{Problem, ProblemCode};
use super::upload::Flow;
use super::waiting::wait_for_head;

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
    /// From the sent request to the head of the answer. The daemon's own deadlines are shorter, so its typed error
    /// wins.
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

/// Whom to ask, as whom, and for how long.
#[derive(Clone, Debug)]
pub(crate) struct Exchange {
    pub(crate) endpoint: Endpoint,
    pub(crate) token: Option<String>,
    pub(crate) timeouts: Timeouts,
}

/// A response whose connection lives as long as it does.
pub(crate) struct Answer {
    pub(crate) response: Response<Incoming>,
    pub(crate) connection: AbortOnDropHandle<()>,
}

impl Exchange {
    /// Why an operation failed, if the daemon still remembers.
    pub(crate) async fn operation(&self, operation: OperationId) -> Result<Option<Problem>, ClientError> {
        match self.get_json(&format!("/v1/operations/{operation}")).await {
            Ok(problem) => Ok(Some(problem)),
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Turns a lost connection into the daemon's own account of it, when there is one.
    pub(crate) async fn account_for(&self, error: ClientError, operation: OperationId) -> ClientError {
        if !matches!(error, ClientError::Lost(_)) {
            return error;
        }
        // A daemon that lost the connection and then is silent has been waited for long enough.
        let brief = Timeouts { answer: ACCOUNT_WITHIN, stall: ACCOUNT_WITHIN, ..self.timeouts };
        let asking = Exchange { timeouts: brief, ..self.clone() };
        match asking.operation(operation).await {
            Ok(Some(problem)) => ClientError::Problem(problem),
            // A daemon that is too busy to explain was too busy for the operation.
            Err(ClientError::Problem(problem)) if problem.code == ProblemCode::Busy => {
                ClientError::Problem(problem)
            }
            Ok(None) | Err(_) => error,
        }
    }

    pub(crate) fn request(&self, method: Method, uri: &str) -> Builder {
        let mut builder = Request::builder().method(method).uri(uri).header(HOST, "localhost");
        if let Some(token) = &self.token {
            builder = builder.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        builder
    }

    pub(crate) async fn get_json<T: DeserializeOwned>(&self, uri: &str) -> Result<T, ClientError> {
        let answer = self.send(self.request(Method::GET, uri), Empty::<Bytes>::new(), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
    }

    pub(crate) async fn post_json<T: DeserializeOwned>(&self, uri: &str) -> Result<T, ClientError> {
        let answer = self.send(self.request(Method::POST, uri), Empty::<Bytes>::new(), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
    }

    pub(crate) async fn delete_json<T: DeserializeOwned>(&self, uri: &str) -> Result<T, ClientError> {
        let answer = self.send(self.request(Method::DELETE, uri), Empty::<Bytes>::new(), None).await?;
        json(self.checked(answer).await?, self.timeouts.stall).await
    }

    /// Sends a request and waits for the head of the answer.
    pub(crate) async fn send<B>(
        &self,
        request: Builder,
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
    pub(crate) async fn checked(&self, answer: Answer) -> Result<Answer, ClientError> {
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

pub(crate) fn unexpected(status: StatusCode, body: &[u8]) -> ClientError {
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

/// Reads a body of at most `limit` bytes into memory.
pub(crate) async fn whole(answer: Answer, limit: usize, stall: Duration) -> Result<Bytes, ClientError> {
    let collecting = Limited::new(answer.response.into_body(), limit).collect();
    let collected = tokio::time::timeout(stall, collecting).await;
    drop(answer.connection);
    Ok(collected
        .map_err(|_| ClientError::Stalled { after: stall })?
        .map_err(|error| ClientError::Lost(error.to_string()))?
        .to_bytes())
}

/// Reads a JSON body.
pub(crate) async fn json<T: DeserializeOwned>(answer: Answer, stall: Duration) -> Result<T, ClientError> {
    let status = answer.response.status();
    let bytes = whole(answer, JSON_BYTES_MAX, stall).await?;
    serde_json::from_slice(&bytes).map_err(|_| unexpected(status, &bytes))
}
