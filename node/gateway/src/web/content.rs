//! Files and directories behind links and names.

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    IF_NONE_MATCH, IF_RANGE, RANGE,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::Response;
use chordage_api::client::{ClientError, Download};
use chordage_api::range::ByteRange;
use chordage_api::types::{ObjectForm, ProblemCode, TargetKind};
use futures::stream;
use percent_encoding::percent_decode_str;
use tokio::sync::OwnedSemaphorePermit;

use super::guard::is_opened;
use super::listing::{Listing, Order};
use super::place::{Base, Content};
use super::state::Shared;
use super::{answer, media, page};
use crate::front::{Failure, SHORT_BYTES_MAX};

/// The page of a directory that somebody has made.
const INDEX: &[u8] = b"index.html";

/// A request for something behind a link or a name.
pub(super) struct Asked<'a> {
    pub(super) shared: &'a Arc<Shared>,
    pub(super) content: Content,
    pub(super) method: &'a Method,
    pub(super) query: &'a str,
    pub(super) headers: &'a HeaderMap,
}

impl Asked<'_> {
    /// The answer.
    pub(super) async fn answer(&self) -> Result<Response, Failure> {
        let link = match &self.content.base {
            Base::Link(link) => link.clone(),
            Base::Name(name) => match self.resolve(name).await? {
                Ok(link) => link,
                Err(elsewhere) => return Ok(elsewhere),
            },
        };
        if self.content.is_directory {
            return self.directory(&link).await;
        }
        if self.content.path.is_empty() {
            let stat = self.shared.client.stat(&link, false).await.map_err(answer::of_daemon)?;
            return match stat.kind {
                ObjectForm::Tree => Ok(self.to_directory()),
                _ => self.file(&link, &[]).await,
            };
        }
        match self.file(&link, &self.content.path).await {
            // It may be a directory, whose address ends otherwise: only so do the addresses in its pages hold.
            Err(failure) if failure.status == StatusCode::NOT_FOUND => {
                match Listing::read(&self.shared.client, &link, &self.content.path).await {
                    Ok(_) => Ok(self.to_directory()),
                    Err(_) => Err(failure),
                }
            }
            answer => answer,
        }
    }

    /// The link that a name stands for now, or where to go instead.
    async fn resolve(&self, name: &str) -> Result<Result<String, Response>, Failure> {
        let is_petname = !name.starts_with('@') && !name.contains('.');
        // Other pages could find out which petnames this machine knows, by having them shown. So those are only opened,
        // and what is shown in the page that opens is asked for by the key, which everybody may know.
        if is_petname && !is_opened(self.headers) {
            return Err(Failure::forbidden(
                "a petname is opened, and not shown in pages: use its key there (`@...`)",
            ));
        }
        let resolved = self.shared.client.resolve_name(name, false, None).await.map_err(answer::of_daemon)?;
        if resolved.kind != TargetKind::Link {
            let what = format!("the name stands for something that is no file: {}", resolved.target);
            return Err(Failure::not_found(what));
        }
        match resolved.steps.first() {
            Some(step) if is_petname => {
                let base = Base::Name(format!("@{}", step.key.trim_start_matches('@')));
                let content = Content { base, ..self.content.clone() };
                Ok(Err(self.moved_to(&content.address(content.is_directory))))
            }
            _ => Ok(Ok(resolved.target)),
        }
    }

    fn to_directory(&self) -> Response {
        self.moved_to(&self.content.address(true))
    }

    fn moved_to(&self, address: &str) -> Response {
        match self.query {
            "" => answer::moved(StatusCode::FOUND, address),
            query => answer::moved(StatusCode::FOUND, &format!("{address}?{query}")),
        }
    }

    async fn directory(&self, link: &str) -> Result<Response, Failure> {
        let has = |wanted: &str| self.query.split('&').any(|part| part == wanted);
        if has("download=tar") {
            return self.archive(link).await;
        }
        let mut listing = match Listing::read(&self.shared.client, link, &self.content.path).await {
            Ok(listing) => listing,
            Err(error) => return self.no_directory(link, error).await,
        };
        if listing.has_file(INDEX) && self.query.is_empty() {
            return self.file(link, &self.content.below(INDEX).path).await;
        }
        let order = Order::of(self.query);
        listing.sort(order);
        Ok(answer::page(StatusCode::OK, page::directory(&self.content, &listing, order)))
    }

    /// Whoever asks for a file as for a directory is led there.
    async fn no_directory(&self, link: &str, error: ClientError) -> Result<Response, Failure> {
        let path = Some(&*self.content.path).filter(|path| !path.is_empty());
        match self.shared.client.content(link, path, None).await {
            Ok(_) => Ok(answer::moved(StatusCode::FOUND, &self.content.address(false))),
            Err(_) => Err(answer::of_daemon(error)),
        }
    }

    /// All of a directory as an archive.
    async fn archive(&self, link: &str) -> Result<Response, Failure> {
        let turn = self.shared.turns.download(&self.shared.limits).await?;
        let path = Some(&*self.content.path).filter(|path| !path.is_empty());
        let download = self.shared.client.archive(link, path, 0).await.map_err(answer::of_daemon)?;
        let name = [self.content.name().unwrap_or(b"files"), b".tar"].concat();
        let length = download.length();
        let mut response = Response::new(self.body(download, turn));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-tar"));
        headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
        headers.extend(text(&media::disposition(&name, true)).map(|value| (CONTENT_DISPOSITION, value)));
        Ok(answer::of_strangers(response))
    }

    /// The bytes of a file, or a range of them. As long as the answer says, or cut.
    async fn file(&self, link: &str, path: &[u8]) -> Result<Response, Failure> {
        let tag = tag(link, path);
        if self.headers.get(IF_NONE_MATCH).is_some_and(|value| is_among(value, &tag)) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            self.describe(&mut response, path, &tag);
            return Ok(answer::of_strangers(response));
        }
        let wanted = self.range(&tag);
        let is_short = wanted.and_then(ByteRange::at_most).is_some_and(|bytes| bytes <= SHORT_BYTES_MAX);
        let turns = &self.shared.turns;
        let turn = match is_short {
            true => turns.short(&self.shared.limits).await?,
            false => turns.download(&self.shared.limits).await?,
        };
        let at = Some(path).filter(|path| !path.is_empty());
        let download = match self.shared.client.content(link, at, wanted).await {
            Ok(download) => download,
            // How long it is has to be said.
            Err(error) => return Err(self.no_content(error, link, at).await),
        };
        let (length, total) = (download.length(), download.total());
        let part = match (wanted, total) {
            (Some(range), Some(total)) => range.resolve(total).ok(),
            _ => None,
        };
        let body = match is_short {
            true => self.whole(download, turn).await?,
            false => self.body(download, turn),
        };
        let mut response = Response::new(body);
        self.describe(&mut response, path, &tag);
        let headers = response.headers_mut();
        headers.extend(length.map(|length| (CONTENT_LENGTH, length.into())));
        if let (Some(Range { start, end }), Some(total)) = (part, total) {
            headers.extend(
                text(&format!("bytes {start}-{}/{total}", end - 1)).map(|value| (CONTENT_RANGE, value)),
            );
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        }
        Ok(answer::of_strangers(response))
    }

    async fn no_content(&self, error: ClientError, link: &str, path: Option<&[u8]>) -> Failure {
        let is_range = matches!(&error, ClientError::Problem(problem) if problem.code == ProblemCode::RangeNotSatisfiable);
        if is_range && let Ok(whole) = self.shared.client.content(link, path, None).await {
            return Failure::unsatisfiable(error.to_string(), whole.total().unwrap_or_default());
        }
        answer::of_daemon(error)
    }

    /// A short body, read before it is sent, so that nobody waits for who takes it.
    async fn whole(&self, mut download: Download, turn: OwnedSemaphorePermit) -> Result<Body, Failure> {
        if self.method == Method::HEAD {
            return Ok(Body::empty());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = download.chunk().await.map_err(answer::of_daemon)? {
            bytes.extend_from_slice(&chunk);
        }
        drop(turn);
        self.shared.counters.downloaded(bytes.len() as u64);
        Ok(Body::from(bytes))
    }

    fn body(&self, download: Download, turn: OwnedSemaphorePermit) -> Body {
        if self.method == Method::HEAD {
            return Body::empty();
        }
        let counters = Arc::clone(&self.shared.counters);
        // The turn is given back when the body ends, or nobody takes it any more.
        Body::from_stream(stream::unfold(Some((download, turn)), move |state| {
            let counters = Arc::clone(&counters);
            async move {
                let (mut download, turn) = state?;
                match download.chunk().await {
                    Ok(Some(bytes)) => {
                        counters.downloaded(bytes.len() as u64);
                        Some((Ok(bytes), Some((download, turn))))
                    }
                    Ok(None) => None,
                    Err(error) => {
                        counters.failed(&error.to_string());
                        Some((Err(error), None))
                    }
                }
            }
        }))
    }

    /// The one range that is wanted. Of several at once all is given, as HTTP allows.
    fn range(&self, tag: &str) -> Option<ByteRange> {
        if self.headers.get(IF_RANGE).is_some_and(|value| value != tag) {
            return None;
        }
        let mut values = self.headers.get_all(RANGE).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return None };
        ByteRange::from_header(value.to_str().ok()?).ok()?
    }

    fn describe(&self, response: &mut Response, path: &[u8], tag: &str) {
        let asked = self.query.split('&').find_map(|part| part.strip_prefix("filename="));
        let asked: Option<Vec<u8>> = asked.map(|name| percent_decode_str(name).collect());
        let own = path.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty());
        let name = own.or(asked.as_deref()).unwrap_or_default();
        let is_saved = self.query.split('&').any(|part| part == "download=true");
        // What a link stands for never changes; what a name stands for may.
        let kept = match self.content.base {
            Base::Link(_) => "private, max-age=31536000, immutable",
            Base::Name(_) => "private, no-cache",
        };
        let headers = response.headers_mut();
        headers.extend(text(&media::media_type(name)).map(|value| (CONTENT_TYPE, value)));
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
        headers.extend(text(tag).map(|value| (ETAG, value)));
        if !name.is_empty() {
            headers
                .extend(text(&media::disposition(name, is_saved)).map(|value| (CONTENT_DISPOSITION, value)));
        }
    }
}

fn text(value: &str) -> Option<HeaderValue> {
    HeaderValue::from_str(value).ok()
}

/// Stands for the content: a link stands for the same for ever, and it is a secret.
fn tag(link: &str, path: &[u8]) -> String {
    let mut hasher = blake3::Hasher::new_derive_key("chordage 2026 web gateway etag");
    hasher.update(link.as_bytes()).update(&[0]).update(path);
    format!("\"{}\"", &hasher.finalize().to_hex()[..32])
}

fn is_among(value: &HeaderValue, tag: &str) -> bool {
    let value = value.to_str().unwrap_or_default();
    value.split(',').map(str::trim).any(|one| one == "*" || one.trim_start_matches("W/") == tag)
}
