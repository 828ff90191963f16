//! Taking files in: one as it is, several or a directory as an archive that the page makes of them.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use chordage_api::client::BodyFormat;
use chordage_api::types::PutQuery;
use chordage_api::upload::{UploadWriter, upload};
use futures::StreamExt;
use percent_encoding::percent_decode_str;
use qrcode::QrCode;
use qrcode::render::svg;
use serde::Serialize;
use tokio::time::{Instant, timeout_at};

use super::place::encode;
use super::state::Shared;
use super::{answer, page};
use crate::front::{Failure, Limits};

/// Longest text that is opened: a link, a name, or an address with one in it.
const OPENED_BYTES_MAX: usize = 4096;

/// What the page is told of what was stored.
#[derive(Serialize)]
struct Stored {
    link: String,
    /// Where it opens here.
    address: String,
    bytes: u64,
    /// The link as a picture (SVG).
    code: String,
}

/// Stores a body, and says where it is.
pub(super) async fn store(
    shared: &Arc<Shared>,
    query: &str,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Response, Failure> {
    let format = match headers.get(CONTENT_TYPE).map(|value| value.as_bytes()) {
        Some(b"application/x-tar") => BodyFormat::Tar,
        Some(b"application/octet-stream") => BodyFormat::File,
        _ => {
            return Err(Failure::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "a file is application/octet-stream, and several are application/x-tar",
            ));
        }
    };
    let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let length: u64 = length
        .ok_or_else(|| Failure::new(StatusCode::LENGTH_REQUIRED, "say with Content-Length how long it is"))?;
    let name = query.split('&').find_map(|part| part.strip_prefix("name="));
    let name = name.map(|name| percent_decode_str(name).decode_utf8_lossy().into_owned());
    let _turn = shared.turns.upload(&shared.limits).await?;
    let (writer, sent) = upload();
    let query = PutQuery::default();
    let feeding = feed(std::mem::take(body), length, writer, shared.limits);
    let (stored, fed) = tokio::join!(shared.client.put(sent, format, &query), feeding);
    fed?;
    let stored = stored.map_err(answer::of_daemon)?;
    shared.counters.uploaded(length);
    let name =
        if format == BodyFormat::File { Some(name.unwrap_or_else(|| "file".to_owned())) } else { None };
    let told = Stored {
        address: page::address_of(&stored.link, name.as_deref()),
        code: code(&stored.link),
        link: stored.link,
        bytes: length,
    };
    let json = serde_json::to_string(&told).unwrap_or_default();
    Ok(answer::ours(StatusCode::OK, "application/json", json))
}

/// Hands a body over, which has to come fast enough and be as long as was said. One that is cut leaves the put without
/// its end, so that nothing is stored.
async fn feed(body: Body, length: u64, mut writer: UploadWriter, limits: Limits) -> Result<(), Failure> {
    let mut data = body.into_data_stream();
    let ends = Instant::now() + limits.body + Duration::from_secs(length / limits.bytes_per_second_min);
    let mut left = length;
    loop {
        let deadline = ends.min(Instant::now() + limits.stall);
        let next = timeout_at(deadline, data.next()).await;
        let next: Option<Bytes> = next
            .map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the file comes too slowly"))?
            .transpose()
            .map_err(|_| Failure::bad_request("the file broke off, and nothing was stored"))?;
        match next {
            Some(bytes) => {
                let longer = || Failure::bad_request("the file is longer than it was said to be");
                left = left.checked_sub(bytes.len() as u64).ok_or_else(longer)?;
                if writer.send(bytes).await.is_err() {
                    // The put has ended, and says why.
                    return Ok(());
                }
            }
            None if left == 0 => {
                let _ = writer.end().await;
                return Ok(());
            }
            None => return Err(Failure::bad_request("the file broke off, and nothing was stored")),
        }
    }
}

/// A link as a picture.
fn code(link: &str) -> String {
    // Upper case takes half of the room, and links are the same in both.
    let code = QrCode::new(link.to_ascii_uppercase().as_bytes());
    code.map(|code| code.render::<svg::Color<'_>>().min_dimensions(240, 240).build()).unwrap_or_default()
}

/// Leads whoever has typed a link or a name to where it opens.
pub(super) async fn open(shared: &Arc<Shared>, body: &mut Body) -> Result<Response, Failure> {
    let reading = axum::body::to_bytes(std::mem::take(body), OPENED_BYTES_MAX);
    let form = tokio::time::timeout(shared.limits.stall, reading)
        .await
        .map_err(|_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the form comes too slowly"))?
        .map_err(|_| Failure::bad_request("that is too long for a link or a name"))?;
    let form = String::from_utf8_lossy(&form).replace('+', "%20");
    let which = form.split('&').find_map(|part| part.strip_prefix("which=")).unwrap_or_default();
    let which = percent_decode_str(which).decode_utf8_lossy();
    let which = which.trim();
    let (base, path) = which.split_once('/').unwrap_or((which, ""));
    if base.is_empty() || base.contains(':') {
        return Err(Failure::bad_request(
            "type a link (chord1r...) or a name, with a path behind it if you like",
        ));
    }
    let mut address = format!("/{}", encode(base.as_bytes()));
    for part in path.split('/').filter(|part| !part.is_empty()) {
        address.push('/');
        address.push_str(&encode(part.as_bytes()));
    }
    Ok(answer::moved(StatusCode::SEE_OTHER, &address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_becomes_a_picture() {
        let code = code(&format!("chord1r{}", "a".repeat(109)));
        assert!(code.starts_with("<?xml") && code.contains("<svg"), "{code}");
    }
}
