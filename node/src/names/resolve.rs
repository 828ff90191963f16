//! Resolving: from name to name until something else stands there.

use std::time::Instant;

use chordage_api::name::{Name, NameKey, Root};
use chordage_api::types::{ResolveStep, Resolved, TargetKind, Voucher};
use chordage_dht::{Consistency, Found, Goal, Held, OperationError, Outcome};

use super::anchor::domain_of;
use super::content::{Content, Target};
use super::{Names, NamesError, RECORD_WITHIN, now, record_of};

/// Records that are read for one name at most.
const DEPTH_MAX: usize = 8;

/// How records are read.
#[derive(Clone, Copy)]
pub(super) enum Way {
    /// From those who keep them.
    Ask(Consistency),
    /// From what this daemon has seen of them; nobody who keeps them is asked.
    Recall,
}

/// A record that was read, and how sure it is.
struct Read {
    held: Held,
    agree: usize,
    of: usize,
    stale: bool,
}

/// What led to an answer: with it one can tell later whether this daemon has seen something newer.
#[derive(Clone, Debug)]
pub(crate) struct Trail {
    root: Root,
    /// The keys on the way, in this order, with the newest version seen of each.
    seen: Vec<(NameKey, u64)>,
}

impl Names {
    /// What a name stands for.
    pub(crate) async fn resolve(&self, text: &str, consistency: Consistency) -> Result<Resolved, NamesError> {
        self.walk(text, Way::Ask(consistency), &mut Vec::new()).await
    }

    /// The same as `resolve` in a hurry, with the trail to the answer, also if there is nothing.
    pub(crate) async fn resolve_with_trail(&self, name: &Name) -> (Result<Resolved, NamesError>, Trail) {
        let mut asked = Vec::new();
        let found = self.walk(&name.to_string(), Way::Ask(Consistency::Fast), &mut asked).await;
        let seen = asked.into_iter().map(|key| (key, self.seen_of(key))).collect();
        (found, Trail { root: name.root.clone(), seen })
    }

    /// Whether this daemon has seen nothing newer on the trail since.
    pub(crate) fn is_current(&self, trail: &Trail) -> bool {
        let first = trail.seen.first().map(|(key, _)| *key);
        let begins_there = match &trail.root {
            Root::Petname(petname) => self.of_petname(petname).ok() == first,
            Root::Key(_) | Root::Domain(_) => true,
        };
        begins_there && trail.seen.iter().all(|(key, seq)| self.seen_of(*key) == *seq)
    }

    fn seen_of(&self, key: NameKey) -> u64 {
        self.keyring.seen(&record_of(key).address()).map_or(0, |held| held.record.seq())
    }

    /// What a name stood for when this daemon last saw the records on the way. Nobody who keeps them is asked.
    pub(crate) async fn recall(&self, name: &Name) -> Result<Resolved, NamesError> {
        self.walk(&name.to_string(), Way::Recall, &mut Vec::new()).await
    }

    /// What a name stands for, with the keys on the way that were asked, also if it leads nowhere.
    pub(super) async fn walk(
        &self,
        text: &str,
        way: Way,
        asked: &mut Vec<NameKey>,
    ) -> Result<Resolved, NamesError> {
        let begun = Instant::now();
        let name: Name = text.parse()?;
        let (mut steps, mut valid_until, mut ttl, mut stale) = (Vec::new(), u64::MAX, u32::MAX, false);
        let (mut key, mut path) = match &name.root {
            Root::Domain(domain) => {
                let anchored = self.anchor(domain).await?;
                ttl = anchored.ttl;
                steps.push(step_of_dns(domain, anchored.key));
                (anchored.key, name.path.clone())
            }
            _ => (self.key_of(&name).await?, name.path.clone()),
        };
        for _ in 0..DEPTH_MAX {
            asked.push(key);
            let read = match way {
                Way::Ask(consistency) => self.read(key, consistency).await?,
                Way::Recall => self.read_again(key)?,
            };
            let statement = read.held.record.statement();
            valid_until = valid_until.min(statement.valid_until);
            ttl = ttl.min(statement.ttl);
            stale |= read.stale;
            steps.push(step(key, &path, &read));
            let content = Content::decode(&statement.value).ok_or(NamesError::NotUnderstood(key))?;
            let no_such_path =
                || NamesError::NoSuchPath { key, path: path.clone(), below: content.has_below(&path) };
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
                seq: statement.seq,
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

    /// The newest version of a record that was seen here, if it still holds.
    fn read_again(&self, key: NameKey) -> Result<Read, NamesError> {
        let held = self.keyring.seen(&record_of(key).address()).ok_or(NamesError::NoSuchName(key))?;
        if held.record.is_expired(now()) {
            return Err(NamesError::Expired { key, until: held.record.statement().valid_until, now: now() });
        }
        Ok(Read { held, agree: 0, of: 0, stale: true })
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

fn step(key: NameKey, path: &str, read: &Read) -> ResolveStep {
    ResolveStep {
        voucher: Voucher::Key,
        domain: None,
        key: key.to_string(),
        path: path.to_owned(),
        seq: read.held.record.seq(),
        agree: read.agree as u64,
        of: read.of as u64,
    }
}

/// What DNS said of a domain.
fn step_of_dns(domain: &str, key: NameKey) -> ResolveStep {
    ResolveStep {
        voucher: Voucher::Dns,
        domain: Some(domain_of(domain)),
        key: key.to_string(),
        path: String::new(),
        seq: 0,
        agree: 0,
        of: 0,
    }
}
