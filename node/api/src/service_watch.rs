//! A service that is watched.

use crate::client_error::ClientError;
use crate::download::Download;
use crate::events::{Events, unexpected};
use crate::types::ServiceChange;

/// Changes of a watched service. Dropping it ends the watch.
pub struct ServiceWatch {
    events: Events,
}

impl ServiceWatch {
    pub(crate) fn new(download: Download) -> Self {
        ServiceWatch { events: Events::new(download) }
    }

    /// The next change; first one for each that is there. `None` when the daemon ends.
    pub async fn next(&mut self) -> Result<Option<ServiceChange>, ClientError> {
        while let Some(event) = self.events.next().await? {
            // Others are of a newer daemon.
            if event.kind == "change" {
                return serde_json::from_str(&event.data).map(Some).map_err(|error| unexpected(&error));
            }
        }
        Ok(None)
    }
}
