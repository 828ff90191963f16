//! Making what a request wants: in one change of the map.

use axum::http::{Method, StatusCode};

use super::entry::Entry;
use super::request::Request;
use super::store::Store;
use crate::front::{Failure, now};
use crate::kept::{Change, Changed, Error};

/// Keys that one change of a volume changes, at most.
const CHANGES_MAX: usize = 1000;

/// Makes what a request wants. What is deleted may take several changes, what lies deepest first; all else is done as a
/// whole or not at all.
pub(crate) async fn commit<S: Store>(
    request: &Request<S>,
    method: &Method,
    create_only: bool,
) -> Result<(), Failure> {
    let shared = &request.shared;
    let (groups, mut moves) = {
        let mut tree = request.tree();
        tree.clear_targets();
        (tree.changes(now())?, tree.moves())
    };
    if groups.is_empty() && moves.is_empty() {
        return Ok(());
    }
    let links = links(&groups);
    let count: usize = groups.iter().map(Vec::len).sum();
    if count > CHANGES_MAX && method != Method::DELETE {
        return Err(Error::Full(format!(
            "this would replace so many files that {count} keys change, and {CHANGES_MAX} at most are changed at once: delete what is \
             to be replaced before"
        ))
        .into());
    }
    let mut batch: Vec<Change<Vec<u8>>> = Vec::new();
    let mut batches = Vec::new();
    for group in groups {
        if batch.len() + group.len() > CHANGES_MAX {
            batches.push(std::mem::take(&mut batch));
        }
        batch.extend(group);
    }
    batches.push(batch);
    let bytes: u64 = match *method {
        Method::PUT => request.stored_bytes(),
        _ => 0,
    };
    for batch in batches {
        // Only what is deleted takes several changes, and it is not moved.
        let changed = shared.store.change(batch, std::mem::take(&mut moves)).await;
        // Also after one of which it is not known what came of it.
        shared.finder.changed();
        match changed? {
            Changed::Done => {}
            Changed::Unmet if create_only => {
                return Err(Failure::new(StatusCode::PRECONDITION_FAILED, "there is something by now"));
            }
            Changed::Unmet => {
                return Err(Failure::busy("another daemon has changed this meanwhile: try again"));
            }
        }
    }
    links.iter().for_each(|link| shared.entered(link));
    shared.counters.uploaded(bytes);
    Ok(())
}

/// Links that the map names afterwards.
fn links(groups: &[Vec<Change<Vec<u8>>>]) -> Vec<String> {
    let first = groups.iter().filter_map(|group| group.first());
    let entries = first.filter_map(|change| Entry::decode(&change.key, change.new.as_deref()?).ok());
    entries.filter_map(|entry| entry.link).collect()
}
