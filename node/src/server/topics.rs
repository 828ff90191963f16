//! Topics.

use std::convert::Infallible;
use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::response::Json;
use axum::response::sse::{Event, Sse};
use chordage_api::types::{MESSAGE_BYTES_MAX, Problem, TopicMessage, TopicReport};
use futures::{Stream, stream};
use serde::Deserialize;

use super::events::{event_of, events};
use super::problem;
use super::reply::{Failure, Query};
use super::state::Shared;
use crate::topics::{TopicMessages, TopicsError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TopicQuery {
    topic: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SubscribeQuery {
    topic: String,
    #[serde(default)]
    last: u16,
}

/// Publishes a message
///
/// Anybody may publish to any topic.
#[utoipa::path(
    post,
    path = "/v1/topics/publish",
    params(("topic" = String, Query, description = "The topic")),
    request_body(content = String, content_type = "application/octet-stream", description = "The message, at most 4 KiB of any bytes"),
    responses(
        (status = 200, body = TopicReport, description = "A majority of those who keep the topic have it"),
        (status = 400, body = Problem, description = "No name of a topic, or the message is too long"),
        (status = 409, body = Problem, description = "Those who keep the topic refuse it"),
        (status = 503, body = Problem, description = "Fewer than a majority have it, and some subscribers may have seen it; or the daemon is not part of its network")
    )
)]
pub(super) async fn publish(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<TopicQuery>,
    body: Body,
) -> Result<Json<TopicReport>, Failure> {
    let _slot = shared.name_slot()?;
    // A client that broke off hears nothing any more; to all others it was too long.
    let body = to_bytes(body, MESSAGE_BYTES_MAX).await.map_err(|_| Problem::from(&TopicsError::TooLarge))?;
    tokio::select! {
        report = shared.handle.topics().publish(&query.topic, body.to_vec()) => {
            Ok(Json(report.map_err(|error| Problem::from(&error))?))
        }
        () = shared.stopping().cancelled() => Err(problem::shutting_down().into()),
    }
}

/// Tells every message of a topic from now on, as server-sent events
///
/// `message` has a `TopicMessage`; each comes once, those of one publisher normally in the order of their numbers.
/// `problem` has a `Problem` and is the last event: the client did not take messages as fast as they came.
#[utoipa::path(
    get,
    path = "/v1/topics/subscribe",
    params(
        ("topic" = String, Query, description = "The topic"),
        ("last" = Option<u16>, Query, description = "How many of the messages that are kept are told first, at most")
    ),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "Events, until the client ends it"),
        (status = 400, body = Problem, description = "It is no name of a topic"),
        (status = 503, body = Problem, description = "The daemon is not part of its network, or too much is listened to")
    )
)]
pub(super) async fn subscribe(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<SubscribeQuery>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Failure> {
    let slot = shared.watch_slot()?;
    let messages = shared.handle.topics().subscribe(&query.topic, query.last).await;
    let messages = messages.map_err(|error| Problem::from(&error))?;
    let told = stream::unfold(Some(messages), |messages| async move {
        let mut messages: TopicMessages = messages?;
        let told = messages.next().await?;
        let goes_on = told.is_ok();
        Some((event(&told), goes_on.then_some(messages)))
    });
    Ok(events(&shared, slot, told))
}

fn event(told: &Result<TopicMessage, TopicsError>) -> Event {
    match told {
        Ok(message) => event_of("message", message),
        Err(error) => event_of("problem", &Problem::from(error)),
    }
}
