//! What a daemon counts, for Prometheus and whatever else reads OpenMetrics. Labels have values that stand in the
//! source, so that the number of series never grows: no peer, link or name is in them.

mod format;
mod sample;
mod series;

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse, Response};
use chordage_api::types::Problem;
pub(super) use prometheus_client::metrics::histogram::Histogram;

use self::format::Format;
use self::sample::Sample;
use super::problem;
use super::reply::Failure;
use super::state::Shared;

/// Bounds of the buckets of durations, seconds: from what a small file on a LAN takes to what is nearly given up.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0, 600.0];

/// Counts durations.
pub(super) fn durations() -> Histogram {
    Histogram::new(SECONDS)
}

/// What the daemon counts, for Prometheus
///
/// In the format of `OpenMetrics` 1.0.0 for whoever accepts it, otherwise in the older one of Prometheus (0.0.4). The
/// names of series and labels are stable, and there are the same ones from the start.
#[utoipa::path(
    get,
    path = "/v1/metrics",
    params(("Accept" = Option<String>, Header, description = "`application/openmetrics-text` for that format")),
    responses(
        (status = 200, content_type = "text/plain", description = "The series"),
        (status = 503, body = Problem, description = "The daemon is shutting down")
    )
)]
pub(super) async fn metrics(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let status = shared.handle.status().await.ok_or_else(problem::shutting_down)?;
    let sample = Sample { status, held: shared.held() };
    let format = Format::of(headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()));
    let text = format.text(sample);
    Ok(([(CONTENT_TYPE, HeaderValue::from_static(format.media_type()))], text).into_response())
}
