//! A topic that is listened to.

use crate::client_error::ClientError;
use crate::download::Download;
use crate::events::{Events, unexpected};
use crate::types::{Problem, TopicMessage};

/// Messages of a topic. Dropping it ends the subscription.
pub struct Subscription {
    events: Events,
}

impl Subscription {
    pub(crate) fn new(download: Download) -> Self {
        Subscription { events: Events::new(download) }
    }

    /// The next message. `None` when the daemon ends. An error with a `Problem` if this program takes messages so
    /// slowly that some were left out.
    pub async fn next(&mut self) -> Result<Option<TopicMessage>, ClientError> {
        while let Some(event) = self.events.next().await? {
            let read = match &*event.kind {
                "message" => serde_json::from_str(&event.data).map(|message| Some(Ok(message))),
                "problem" => serde_json::from_str::<Problem>(&event.data).map(|problem| Some(Err(problem))),
                // Something that a newer daemon says.
                _ => Ok(None),
            };
            match read.map_err(|error| unexpected(&error))? {
                Some(Ok(message)) => return Ok(Some(message)),
                Some(Err(problem)) => return Err(ClientError::Problem(problem)),
                None => {}
            }
        }
        Ok(None)
    }
}
