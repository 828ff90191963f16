//! A client of the local HTTP API: one connection per request, bodies streamed both ways, nothing waits without a
//! limit.

mod home;
mod in_memory;
mod names;
mod network;
mod services;
mod topics;
mod volumes;

use std::ops::RangeInclusive;

use bytes::Bytes;
use chordage_storage::Fingerprint;
use http_body_util::{Empty, Full};
use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, RANGE};
use hyper::http::request::Builder;

pub use self::in_memory::GetBytesError;
pub use self::volumes::{SnapshotPath, VolumeAccess};
pub use super::client_error::ClientError;
pub use super::download::{Download, Entries, Lines};
use super::endpoint::{Endpoint, EndpointError, Located};
pub use super::exchange::Timeouts;
use super::exchange::{Exchange, json, unexpected, whole};
use super::operation::{OPERATION_HEADER, OperationId};
use super::range::ByteRange;
use super::types::{
    Diagnosis, DrainStatus, Explanation, KeptObject, MemberStatus, ObjectStat, PeerStatus, Problem, PutQuery,
    PutReport, ScrubStatus, Status, SuperPeerStatus, TraceReport,
};
use super::upload::UploadBody;
use super::uri::{encode, with_query};
use super::{FILES_MAX, hex};

/// Most ranges of files that [`Client::archive_of_files`] may be given.
pub const FILE_RANGES_MAX: usize = 1000;

/// Longest text with what a daemon counts.
const METRICS_BYTES_MAX: usize = 4 * 1024 * 1024;

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
    exchange: Exchange,
}

impl Client {
    /// A client of the daemon at `endpoint`. Does not connect yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Client { exchange: Exchange { endpoint, token: None, timeouts: Timeouts::default() } }
    }

    /// A client of the daemon that `text` names; see [`Located::find`].
    pub fn find(text: &str) -> Result<Self, EndpointError> {
        Located::find(text).map(Self::from)
    }

    /// The same client with a bearer token, which TCP endpoints ask for.
    pub fn with_token(mut self, token: impl Into<String>) -> Self {
        self.exchange.token = Some(token.into());
        self
    }

    /// The same client with other limits.
    pub fn with_timeouts(mut self, timeouts: Timeouts) -> Self {
        self.exchange.timeouts = timeouts;
        self
    }

    /// Where it connects.
    pub fn endpoint(&self) -> &Endpoint {
        &self.exchange.endpoint
    }

    /// What the daemon says of itself.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.exchange.get_json("/v1/status").await
    }

    /// What the daemon counts, in the format that fits what is accepted: its media type and the text.
    pub async fn metrics(&self, accept: Option<&str>) -> Result<(String, Bytes), ClientError> {
        let request = self.exchange.request(Method::GET, "/v1/metrics");
        let request = accept.into_iter().fold(request, |request, accept| request.header(ACCEPT, accept));
        let answer =
            self.exchange.checked(self.exchange.send(request, Empty::<Bytes>::new(), None).await?).await?;
        let kind = answer.response.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
        let kind = kind.unwrap_or("text/plain").to_owned();
        Ok((kind, whole(answer, METRICS_BYTES_MAX, self.exchange.timeouts.stall).await?))
    }

    /// The super-peers that the daemon knows.
    pub async fn super_peers(&self) -> Result<Vec<SuperPeerStatus>, ClientError> {
        self.exchange.get_json("/v1/superpeers").await
    }

    /// What the daemon finds out about itself, which takes some seconds.
    pub async fn diagnosis(&self) -> Result<Diagnosis, ClientError> {
        self.exchange.get_json("/v1/doctor").await
    }

    /// Who is in the network, as far as the daemon knows.
    pub async fn members(&self) -> Result<Vec<MemberStatus>, ClientError> {
        self.exchange.get_json("/v1/members").await
    }

    /// The peers that the daemon knows.
    pub async fn peers(&self) -> Result<Vec<PeerStatus>, ClientError> {
        self.exchange.get_json("/v1/peers").await
    }

    /// Begins to read everything that the daemon holds against its hashes; its status says how far it is.
    pub async fn scrub(&self) -> Result<ScrubStatus, ClientError> {
        self.exchange.post_json("/v1/scrub").await
    }

    /// Tells the daemon to hand over everything it holds; its status says how far it is.
    pub async fn drain(&self) -> Result<DrainStatus, ClientError> {
        self.exchange.post_json("/v1/drain").await
    }

    /// Looks `key` (64 hexadecimal digits, or a link) up and reports every hop.
    pub async fn trace(&self, key: &str) -> Result<TraceReport, ClientError> {
        self.exchange.get_json(&format!("/v1/trace/{}", encode(key.as_bytes()))).await
    }

    /// What a link stands for; with `check` also who holds its shards now.
    pub async fn stat(&self, link: &str, check: bool) -> Result<ObjectStat, ClientError> {
        let check = check.then(|| "true".to_owned());
        self.exchange.get_json(&with_query(&object_path(link, ""), &[("check", check)])).await
    }

    /// How safe an object is and what repair will do; details of the `chunks` worst.
    pub async fn explain(&self, link: &str, chunks: u16) -> Result<Explanation, ClientError> {
        self.exchange
            .get_json(&with_query(&object_path(link, "/explain"), &[("chunks", Some(chunks.to_string()))]))
            .await
    }

    /// Keeps an object: its holders are asked not to free it, again and again until it is forgotten.
    pub async fn keep(&self, link: &str) -> Result<KeptObject, ClientError> {
        self.exchange.post_json(&object_path(link, "/keep")).await
    }

    /// Stops keeping an object. Dropping it goes on in the background; [`keeps`](Self::keeps) says whether it is done.
    pub async fn forget(&self, link: &str) -> Result<KeptObject, ClientError> {
        self.exchange.post_json(&object_path(link, "/forget")).await
    }

    /// At most 1,000 objects that the daemon keeps, behind the one with the link `after`.
    pub async fn keeps(&self, after: Option<&str>) -> Result<Vec<KeptObject>, ClientError> {
        self.exchange.get_json(&with_query("/v1/keeps", &[("after", after.map(str::to_owned))])).await
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
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "application/x-ndjson");
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
        let mut request = self.exchange.request(Method::GET, &uri);
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
        self.download(self.exchange.request(Method::GET, &uri)).await
    }

    /// Those regular files of a tree whose numbers are in `files`, as a tar archive with nothing else. They are counted
    /// from 0 in the order of the listing; the ranges are in order, do not meet, and are at most [`FILE_RANGES_MAX`].
    pub async fn archive_of_files(
        &self,
        link: &str,
        files: &[RangeInclusive<u64>],
    ) -> Result<Download, ClientError> {
        let ranges: Vec<String> =
            files.iter().map(|range| format!("{}-{}", range.start(), range.end())).collect();
        let uri = with_query(&object_path(link, "/archive"), &[("files", Some(ranges.join(",")))]);
        self.download(self.exchange.request(Method::GET, &uri)).await
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
            .exchange
            .request(Method::POST, &uri)
            .header(CONTENT_TYPE, format.media_type())
            .header(OPERATION_HEADER, operation.to_string());
        let flow = body.flow();
        let outcome = async {
            let answer = self.exchange.send(request, body, Some(&flow)).await?;
            json(self.exchange.checked(answer).await?, self.exchange.timeouts.stall).await
        };
        match outcome.await {
            Ok(report) => Ok(report),
            // A daemon that refuses in the middle of a body closes the connection, and its answer may be lost with it.
            Err(error) => Err(self.exchange.account_for(error, operation).await),
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
            let request =
                self.exchange.request(Method::POST, &with_query("/v1/unchanged", &put_query(query)));
            let answer = self
                .exchange
                .checked(self.exchange.send(request, Full::new(Bytes::from(body)), None).await?)
                .await?;
            let status = answer.response.status();
            let bytes = whole(answer, some.len(), self.exchange.timeouts.stall).await?;
            if bytes.len() != some.len() {
                return Err(unexpected(status, &bytes));
            }
            unchanged.extend(bytes.iter().map(|byte| *byte == 1));
        }
        Ok(unchanged)
    }

    /// Why an operation failed, if the daemon still remembers.
    pub async fn operation(&self, operation: OperationId) -> Result<Option<Problem>, ClientError> {
        self.exchange.operation(operation).await
    }

    /// The description of the API, OpenAPI 3.1 in JSON.
    pub async fn openapi(&self) -> Result<serde_json::Value, ClientError> {
        self.exchange.get_json("/v1/openapi.json").await
    }

    /// The client names the operation itself: a read that fails at its first byte may take the head of the answer with
    /// it.
    async fn download(&self, request: Builder) -> Result<Download, ClientError> {
        let operation = OperationId::random();
        let request = request.header(OPERATION_HEADER, operation.to_string());
        let outcome = async {
            self.exchange.checked(self.exchange.send(request, Empty::<Bytes>::new(), None).await?).await
        };
        match outcome.await {
            Ok(answer) => Ok(Download::new(answer, self.exchange.clone(), operation)),
            Err(error) => Err(self.exchange.account_for(error, operation).await),
        }
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

#[cfg(test)]
mod tests;
