//! Answers that go on and on, as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures::{Stream, StreamExt};
use serde::Serialize;

use super::slots::Slot;
use super::state::Shared;

/// How often a client that hears nothing hears that the daemon lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// An answer of all of `told`, until the client ends it or the daemon leaves. It keeps its `slot` as long.
pub(super) fn events<T: Stream<Item = Event> + Send + 'static>(
    shared: &Shared,
    slot: Slot,
    told: T,
) -> Sse<impl Stream<Item = Result<Event, Infallible>> + use<T>> {
    let leaving = shared.leaving().clone();
    let told = told.take_until(leaving.cancelled_owned()).map(move |event| {
        let _kept = &slot;
        Ok(event)
    });
    Sse::new(told).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}

/// An event of this kind that says this.
pub(super) fn event_of(kind: &str, said: &impl Serialize) -> Event {
    // The types of the API can always be encoded, in one line.
    Event::default().event(kind).data(serde_json::to_string(said).unwrap_or_default())
}
