//! Keys and values of volumes, as views use them.

use std::time::Instant;

use chordage_api::types::{
    VolumeChange, VolumeChanged, VolumeChanges, VolumeExpectation, VolumeMove, VolumeValue, VolumeValues,
};
use chordage_storage::volume::Value;
use data_encoding::BASE64;

use super::view::{Moving, View};
use super::{Volumes, VolumesError};
use crate::get::GetError;

/// Longest key that views may use, bytes.
const KEY_MAX: usize = 1024;
/// Longest value, bytes. What is longer is stored as an object, and the value holds its link.
const VALUE_MAX: usize = 4096;
/// Changes of one request at most.
const CHANGES_MAX: usize = 1000;
/// Prefixes of one request whose keys are moved, at most.
const MOVES_MAX: usize = 16;
/// Keys that one request moves or copies, at most: they are in memory until they are stored.
const MOVED_MAX: usize = 250_000;
/// Keys that are listed at a time at most.
pub(super) const LISTED_MAX: u32 = 1000;
/// Keys that begin so belong to snapshots.
const RESERVED: [&str; 2] = [super::snapshot::KEPT, super::snapshot::FORGOTTEN];
/// How often a list is begun again because what it reads was replaced meanwhile.
const READS_MAX: usize = 4;

impl Volumes {
    /// Keys that begin with `prefix` and are behind `after`, with their values, of the newest state that a majority
    /// has.
    pub(crate) async fn values(
        &self,
        name: &str,
        prefix: String,
        after: Option<String>,
        limit: Option<u32>,
    ) -> Result<VolumeValues, VolumesError> {
        let most = limit.unwrap_or(LISTED_MAX).min(LISTED_MAX) as usize;
        let (seq, mut found) = self
            .read(name, move |view| {
                view.list(prefix.as_bytes(), after.as_ref().map(String::as_bytes), most + 1)
            })
            .await?;
        let more = found.len() > most;
        found.truncate(most);
        let value = |(key, value): (Vec<u8>, Value)| VolumeValue {
            key: String::from_utf8_lossy(&key).into_owned(),
            value: BASE64.encode(&value.bytes),
        };
        Ok(VolumeValues { seq, values: found.into_iter().map(value).collect(), more })
    }

    /// Reads the newest state that a majority has; says which number it has.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        name: &str,
        read: impl Fn(&mut View<'_>) -> Result<T, VolumesError> + Send + Clone + 'static,
    ) -> Result<(u64, T), VolumesError> {
        let volume = self.book().find(name)?;
        let mut before = None;
        for _ in 0..READS_MAX {
            let held = self.read_head(&volume).await?;
            let root = self.root_of(&volume, held.as_ref())?;
            let seq = held.map_or(0, |held| held.record.seq());
            let (mut source, read) = (self.source(), read.clone());
            let found = tokio::task::spawn_blocking(move || read(&mut View::new(root, &mut source))).await;
            match found.map_err(|_| VolumesError::Stopped)? {
                Ok(found) => return Ok((seq, found)),
                // Another writer may have replaced it while it was read.
                Err(VolumesError::Read(GetError::Unavailable { .. } | GetError::Forgotten { .. }))
                    if before != Some(seq) =>
                {
                    before = Some(seq);
                }
                Err(error) => return Err(error),
            }
        }
        Err(VolumesError::Overtaken)
    }

    /// Changes keys, all or none.
    pub(crate) async fn change(&self, request: VolumeChanges) -> Result<VolumeChanged, VolumesError> {
        let begun = Instant::now();
        let volume = self.book().find(&request.volume)?;
        if request.changes.len() > CHANGES_MAX {
            return Err(VolumesError::BadChange(format!("at most {CHANGES_MAX} keys are changed at a time")));
        }
        let changes: Result<Vec<_>, VolumesError> = request.changes.iter().map(decoded).collect();
        let changes = changes?;
        if request.moves.len() > MOVES_MAX {
            return Err(VolumesError::BadChange(format!("at most {MOVES_MAX} prefixes are moved at a time")));
        }
        let moves: Result<Vec<_>, VolumesError> = request.moves.iter().map(decoded_move).collect();
        let moves = moves?;
        // How many keys have a prefix shows when they are moved: nothing else is stored together with them.
        let keys = if moves.is_empty() { changes.len() } else { MOVED_MAX };
        let ((), committed) = self
            .commit_keys(&volume, keys, move |view| {
                for (key, _, expect) in &changes {
                    check(view, key, *expect)?;
                }
                for (key, value, _) in &changes {
                    match value {
                        Some(value) => view.put(key.clone().into_bytes(), Value::of(value.clone())),
                        None => view.remove(key.clone().into_bytes()),
                    }
                }
                let mut left = MOVED_MAX;
                for (moving, longest) in &moves {
                    left -= moved(view, moving, left, *longest)?;
                }
                Ok(())
            })
            .await?;
        let seconds = begun.elapsed().as_secs_f64();
        Ok(VolumeChanged { seq: committed.seq, state: committed.state, seconds })
    }
}

fn check(view: &mut View<'_>, key: &str, expect: VolumeExpectation) -> Result<(), VolumesError> {
    let wanted = match expect {
        VolumeExpectation::Any => return Ok(()),
        VolumeExpectation::Absent => false,
        VolumeExpectation::Present => true,
    };
    match (view.get(key.as_bytes())?.is_some(), wanted) {
        (true, false) => Err(VolumesError::Conflict(format!("the volume has `{key}` already"))),
        (false, true) => Err(VolumesError::Conflict(format!("the volume has no `{key}`"))),
        _ => Ok(()),
    }
}

/// Moves keys to where there are none; how many.
fn moved(view: &mut View<'_>, moving: &Moving, most: usize, longest: usize) -> Result<usize, VolumesError> {
    if let Some((key, _)) = view.list(&moving.to, None, 1)?.first() {
        let key = String::from_utf8_lossy(key);
        return Err(VolumesError::Conflict(format!("the volume has `{key}`, where others are to be moved")));
    }
    view.move_all(moving, most, longest)
}

fn decoded_move(asked: &VolumeMove) -> Result<(Moving, usize), VolumesError> {
    let bad = |what: String| Err(VolumesError::BadChange(what));
    let VolumeMove { from, to, copy, longest } = asked;
    for prefix in [from, to] {
        if prefix.is_empty() || prefix.len() > KEY_MAX {
            return bad(format!("a prefix has 1 to {KEY_MAX} bytes, not {}", prefix.len()));
        }
        if RESERVED
            .iter()
            .any(|reserved| prefix.starts_with(reserved) || reserved.starts_with(prefix.as_str()))
        {
            return bad(format!(
                "keys that begin with `{prefix}` are for snapshots, which have requests of their own"
            ));
        }
    }
    if from.starts_with(to.as_str()) || to.starts_with(from.as_str()) {
        return bad(format!("of the prefixes `{from}` and `{to}` one begins with the other"));
    }
    let longest = longest.map_or(KEY_MAX, |longest| KEY_MAX.min(usize::try_from(longest).unwrap_or(KEY_MAX)));
    let (from, to) = (from.clone().into_bytes(), to.clone().into_bytes());
    Ok((Moving { from, to, copy: *copy }, longest))
}

type Decoded = (String, Option<Vec<u8>>, VolumeExpectation);

fn decoded(change: &VolumeChange) -> Result<Decoded, VolumesError> {
    let bad = |what: String| Err(VolumesError::BadChange(what));
    let key = &change.key;
    if key.is_empty() || key.len() > KEY_MAX {
        return bad(format!("a key has 1 to {KEY_MAX} bytes, not {}", key.len()));
    }
    if RESERVED.iter().any(|reserved| key.starts_with(reserved)) {
        return bad(format!("`{key}` is for snapshots, which have requests of their own"));
    }
    let Some(text) = &change.value else { return Ok((key.clone(), None, change.expect)) };
    match BASE64.decode(text.as_bytes()) {
        Ok(value) if value.len() <= VALUE_MAX => Ok((key.clone(), Some(value), change.expect)),
        Ok(value) => bad(format!("a value has at most {VALUE_MAX} bytes, not {}", value.len())),
        Err(_) => bad("a value is not base64".to_owned()),
    }
}
