//! A name that is watched.

use crate::client_error::ClientError;
use crate::download::Download;
use crate::events::{Event, Events, unexpected};
use crate::types::{Problem, Resolved};

/// What a watched name stands for, again and again. Dropping it ends the watch.
pub struct NameWatch {
    events: Events,
}

impl NameWatch {
    pub(crate) fn new(download: Download) -> Self {
        NameWatch { events: Events::new(download) }
    }

    /// What it stands for now, or why it stands for nothing; waits until that is something else than last time. `None`
    /// when the daemon ends.
    pub async fn next(&mut self) -> Result<Option<Result<Resolved, Problem>>, ClientError> {
        while let Some(event) = self.events.next().await? {
            if let Some(found) = read(&event)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

fn read(event: &Event) -> Result<Option<Result<Resolved, Problem>>, ClientError> {
    match &*event.kind {
        "found" => serde_json::from_str(&event.data).map(|found| Some(Ok(found))),
        "problem" => serde_json::from_str(&event.data).map(|problem| Some(Err(problem))),
        // Something that a newer daemon says.
        _ => Ok(None),
    }
    .map_err(|error| unexpected(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_name_is_read_and_what_is_unknown_is_passed_over() {
        let event = |kind: &str, data: &str| read(&Event { kind: kind.to_owned(), data: data.to_owned() });
        let found =
            event("problem", r#"{"code":"no_such_name","message":"m","state":"s","hint":"h"}"#).unwrap();
        assert_eq!(found.unwrap().unwrap_err().message, "m");
        assert_eq!(event("later", "{}").unwrap(), None);
        assert!(event("found", "nonsense").is_err());
    }
}
