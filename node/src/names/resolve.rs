//! Resolving: from name to name until something else stands there.

use std::time::Instant;

use chordage_api::name::{Name, NameKey};
use chordage_api::types::{ResolveStep, Resolved, TargetKind};
use chordage_dht::{Consistency, Found, Goal, Held, OperationError, Outcome};

use super::content::{Content, Target};
use super::{Names, NamesError, RECORD_WITHIN, now, record_of};

/// Records that are read for one name at most.
const DEPTH_MAX: usize = 8;

/// A record that was read, and how sure it is.
struct Read {
    held: Held,
    agree: usize,
    of: usize,
    stale: bool,
}

impl Names {
    /// What a name stands for.
    pub(crate) async fn resolve(&self, text: &str, consistency: Consistency) -> Result<Resolved, NamesError> {
        self.walk(text, consistency, &mut Vec::new()).await
    }

    /// The same, with the keys on the way that were asked, also if it leads nowhere.
    pub(super) async fn walk(
        &self,
        text: &str,
        consistency: Consistency,
        asked: &mut Vec<NameKey>,
    ) -> Result<Resolved, NamesError> {
        let begun = Instant::now();
        let name: Name = text.parse()?;
        let (mut key, mut path) = (self.key_of(&name)?, name.path.clone());
        let (mut steps, mut valid_until, mut ttl, mut stale) = (Vec::new(), u64::MAX, u32::MAX, false);
        for _ in 0..DEPTH_MAX {
            asked.push(key);
            let read = self.read(key, consistency).await?;
            let statement = read.held.record.statement();
            valid_until = valid_until.min(statement.valid_until);
            ttl = ttl.min(statement.ttl);
            stale |= read.stale;
            let (seq, agree, of) = (statement.seq, read.agree as u64, read.of as u64);
            steps.push(ResolveStep { key: key.to_string(), path: path.clone(), seq, agree, of });
            let content = Content::decode(&statement.value).ok_or(NamesError::NotUnderstood(key))?;
            let no_such_path = || NamesError::NoSuchPath { key, path: path.clone() };
            let (target, rest) = content.find(&path).ok_or_else(no_such_path)?;
            let kind = match target {
                Target::Delegate(next) => {
                    (key, path) = (NameKey(*next), rest.to_owned());
                    continue;
                }
                Target::Name(next, below) => {
                    (key, path) = (NameKey(*next), below.clone());
                    continue;
                }
                Target::Link(_) => TargetKind::Link,
                Target::Text(_) => TargetKind::Text,
            };
            return Ok(Resolved {
                name: text.to_owned(),
                target: target.text(),
                kind,
                seq,
                valid_until,
                // Nobody may use it for longer than it holds.
                ttl_seconds: ttl.min(u32::try_from(valid_until.saturating_sub(now())).unwrap_or(u32::MAX)),
                stale,
                steps,
                seconds: begun.elapsed().as_secs_f64(),
            });
        }
        Err(NamesError::TooDeep { name, most: DEPTH_MAX })
    }

    /// Reads the record of a key. What was seen before is never followed by something older.
    async fn read(&self, key: NameKey, consistency: Consistency) -> Result<Read, NamesError> {
        let address = record_of(key).address();
        let seen = self.keyring.seen(&address);
        let newest = seen.as_ref().map_or(0, |held| held.record.seq());
        // Who takes the first answer that comes still wants none that is older than the last.
        let asked = match consistency {
            Consistency::Fast if newest > 0 => Consistency::AtLeast(newest),
            other => other,
        };
        let outcome = self.driver.operate(address, Goal::Read(asked), RECORD_WITHIN, None).await;
        let Found { held, agree, of, .. } = match outcome.ok_or(NamesError::Stopped)? {
            Ok(Outcome::Found(found) | Outcome::Unchanged(found)) => found,
            Ok(Outcome::Stored(_)) => return Err(NamesError::NoSuchName(key)),
            Err(OperationError::NoMajority { .. } | OperationError::NotJoined)
                if consistency == Consistency::Fast
                    && seen.as_ref().is_some_and(|held| !held.record.is_expired(now())) =>
            {
                // Rather what was true lately than nothing; whoever wants to be sure asks for more.
                return seen
                    .map(|held| Read { held, agree: 0, of: 0, stale: true })
                    .ok_or(NamesError::Stopped);
            }
            Err(error) => return Err(error.into()),
        };
        let Some(held) = held else {
            return Err(match newest {
                0 => NamesError::NoSuchName(key),
                seen => NamesError::RolledBack { key, found: 0, seen },
            });
        };
        let found = held.record.seq();
        if found < newest {
            return Err(NamesError::RolledBack { key, found, seen: newest });
        }
        if let Consistency::AtLeast(seq) = consistency
            && found < seq
        {
            return Err(NamesError::RolledBack { key, found, seen: seq });
        }
        if held.record.is_expired(now()) {
            return Err(NamesError::Expired { key, until: held.record.statement().valid_until, now: now() });
        }
        if found > newest {
            self.remember(held.clone(), false).await?;
        }
        Ok(Read { held, agree, of, stale: false })
    }
}
