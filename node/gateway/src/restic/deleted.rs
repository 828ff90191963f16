//! What was deleted: it goes from its key at once, to a key that says when, and stays there for a while.
//!
//! Whoever has the password of a client can have everything deleted. Until the grace is over that can be undone here,
//! where that password does not reach.

use std::sync::Arc;

use axum::body::Body;
use axum::http::HeaderValue;
use axum::http::header::CONTENT_TYPE;
use axum::response::Response;
use serde::Serialize;

use super::answer::done;
use super::path::{FileId, Kind, Place, RepositoryName, key};
use super::repository::{Change, Repository, Stored};
use super::state::Shared;
use crate::front::Failure;
use crate::front::now;
use crate::kept::{Changed, Error, Expect};

/// What the keys of deleted files begin with.
pub(crate) const DELETED: &str = "restic/deleted/";
/// Files that one request brings back, at most.
const UNDELETED_MAX: usize = 1000;
/// How long before the end of the grace nothing is brought back any more, seconds: another daemon, whose clock may be
/// ahead, may be about to forget it.
const MARGIN: u64 = 3600;

/// A file that was deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deleted {
    /// When, seconds since 1970.
    pub(crate) when: u64,
    pub(crate) place: Place,
}

impl Deleted {
    /// The key it has now: sorted by time, so that the oldest are found first.
    pub(crate) fn key(self) -> String {
        let what = match self.place {
            Place::File(kind, id) => format!("{}/{id}", kind.word()),
            Place::Config | Place::Whole | Place::All(_) => "config".to_owned(),
        };
        format!("{DELETED}{:012x}/{what}", self.when)
    }

    pub(crate) fn parse(key: &str) -> Option<Self> {
        let (when, what) = key.strip_prefix(DELETED)?.split_once('/')?;
        let when = u64::from_str_radix(when, 16).ok()?;
        let place = match what.split_once('/') {
            None if what == "config" => Place::Config,
            None => return None,
            Some((kind, id)) => Place::File(Kind::from_word(kind)?, FileId::parse(id)?),
        };
        Some(Deleted { when, place })
    }

    /// What stands for it where files are claimed.
    pub(crate) fn subject(self) -> FileId {
        match self.place {
            Place::File(_, id) => id,
            Place::Config | Place::Whole | Place::All(_) => FileId([0; 32]),
        }
    }
}

/// Deletes a file. What is not there is deleted.
pub(crate) async fn delete<V, R>(
    shared: &Arc<Shared<V>>,
    repository: R,
    name: RepositoryName,
    place: Place,
) -> Result<Response, Failure>
where
    V: Send + Sync + 'static,
    R: Repository,
{
    let is_lock = matches!(place, Place::File(Kind::Locks, _));
    if shared.append_only && !is_lock {
        return Err(Failure::forbidden("this daemon only takes backups: it runs with --restic-append-only"));
    }
    let key = place.key().ok_or_else(|| Failure::not_found("this is no file"))?;
    let subject = Deleted { when: now(), place };
    let claims = Arc::clone(shared);
    let deleting = shared.changes.spawn(async move {
        let _claim = claims.claim(&name, subject.subject()).await?;
        if is_lock {
            // Nobody wants one back, and its change is all that a client waits for.
            repository.change(vec![Change::take_out(&key, Expect::Any)]).await?;
            return Ok(());
        }
        let Some(stored) = repository.get(&key).await? else { return Ok(()) };
        let moved =
            vec![Change::take_out(&key, Expect::Present), Change::enter(&subject.key(), stored, Expect::Any)];
        // Otherwise another daemon has deleted it meanwhile.
        let _ = repository.change(moved).await?;
        Ok::<(), Failure>(())
    });
    match deleting.await {
        Ok(deleted) => deleted.map(|()| done()),
        Err(error) => Err(Error::Other(format!("deleting was given up: {error}")).into()),
    }
}

#[derive(Serialize)]
struct Undeleted {
    /// Files that are there again.
    restored: usize,
    /// Files that have not been looked at yet: ask once more.
    left: usize,
}

/// Brings back what was deleted in the last while, `90m`, `12h` or `7d`.
pub(crate) async fn undelete<V, R>(
    shared: &Arc<Shared<V>>,
    repository: R,
    name: RepositoryName,
    period: &str,
) -> Result<Response, Failure>
where
    V: Send + Sync + 'static,
    R: Repository,
{
    let period = seconds(period).ok_or_else(|| {
        Failure::bad_request("say how far back, in minutes, hours or days: ?undelete=90m, 12h, 7d")
    })?;
    let now = now();
    let since = now.saturating_sub(period).max((now + MARGIN).saturating_sub(shared.keep_deleted));
    let claims = Arc::clone(shared);
    let bringing = shared.changes.spawn(async move {
        let keys = repository.list(DELETED).await?;
        let candidates: Vec<(Deleted, String)> = keys
            .into_iter()
            .filter_map(|(key, _)| Deleted::parse(&key).map(|deleted| (deleted, key)))
            .filter(|(deleted, _)| deleted.when >= since)
            .collect();
        let (mut restored, left) = (0, candidates.len().saturating_sub(UNDELETED_MAX));
        for (deleted, grave) in candidates.into_iter().take(UNDELETED_MAX) {
            let _claim = claims.claim(&name, deleted.subject()).await?;
            restored += usize::from(bring_back(&repository, deleted, &grave).await?);
        }
        Ok::<Undeleted, Failure>(Undeleted { restored, left })
    });
    let undeleted =
        bringing.await.map_err(|error| Error::Other(format!("undeleting was given up: {error}")))??;
    let body = serde_json::to_vec(&undeleted).map_err(|error| Error::Other(error.to_string()))?;
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Whether the file was not there, and is again.
async fn bring_back<R: Repository>(repository: &R, deleted: Deleted, grave: &str) -> Result<bool, Error> {
    let Some(key) = deleted.place.key() else { return Ok(false) };
    let Some(stored) = repository.get(grave).await? else { return Ok(false) };
    let moved = vec![Change::enter(&key, stored, Expect::Absent), Change::take_out(grave, Expect::Present)];
    // Where there is one again, the sweep forgets this one in its time, if it is another object.
    Ok(repository.change(moved).await? == Changed::Done)
}

/// Whether a file with this id, of whichever kind, is in use and is this object.
pub(crate) async fn is_in_use<R: Repository>(repository: &R, id: FileId, link: &str) -> Result<bool, Error> {
    for kind in Kind::ALL {
        let stored = repository.get(&key(kind, id)).await?;
        if matches!(stored, Some(Stored::Object { link: used, .. }) if used == link) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A number of minutes, hours or days.
fn seconds(period: &str) -> Option<u64> {
    let (at, unit) = period.char_indices().next_back()?;
    let number = &period[..at];
    let unit = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse::<u64>().ok().filter(|_| digits)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_deleted_files_say_when_and_what_and_are_sorted_by_time() {
        let id = FileId([0xab; 32]);
        let of = |when, place| Deleted { when, place };
        let all = [
            of(7, Place::Config),
            of(7, Place::File(Kind::Data, id)),
            of(1_800_000_000, Place::File(Kind::Snapshots, id)),
        ];
        let keys: Vec<String> = all.iter().map(|deleted| deleted.key()).collect();
        assert!(keys.is_sorted(), "{keys:?}");
        for (deleted, key) in all.iter().zip(&keys) {
            assert_eq!(Deleted::parse(key), Some(*deleted));
        }
        for key in [
            "restic/data/x",
            "restic/deleted/",
            "restic/deleted/zz/config",
            "restic/deleted/7/x",
            "restic/deleted/7/data/x",
        ] {
            assert_eq!(Deleted::parse(key), None, "{key}");
        }
    }

    #[test]
    fn periods_are_minutes_hours_or_days() {
        for (text, expected) in [
            ("90m", Some(5400)),
            ("12h", Some(43_200)),
            ("7d", Some(604_800)),
            ("7", None),
            ("d", None),
            ("-1d", None),
            ("+1d", None),
            ("1w", None),
            ("", None),
            ("1\u{e9}", None),
            ("99999999999999999999d", None),
            ("9999999999999999d", None),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
