//! Publishing: the next version of what a key says, signed and stored by a majority of those who keep it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chordage_api::name::Name;
use chordage_api::types::{PublishReport, PublishRequest, PublishState};
use chordage_dht::{Goal, Held, OperationError, Outcome, Record, Signature, Statement, VALUE_BYTES_MAX};

use super::content::{Content, Target};
use super::keyring::OwnKey;
use super::{Names, NamesError, RECORD_WITHIN, now, record_of};
use crate::driver::Decision;
use crate::network::NetworkFingerprint;

/// Longest validity, seconds: ten years.
const VALID_SECONDS_MAX: u64 = 10 * 365 * 24 * 3600;

/// What is to change, and why it was not, if it was not.
struct Change {
    own: OwnKey,
    network: NetworkFingerprint,
    path: String,
    target: Option<Target>,
    ttl: u32,
    valid_until: u64,
    expect_seq: Option<u64>,
    /// The newest version that was seen here: numbers never go back, even if all who keep the name have forgotten it.
    seen: Option<Held>,
}

/// What the driver's call of the decision leaves for whoever waits for the outcome.
type Left = Arc<Mutex<Option<Result<Arc<Record>, NamesError>>>>;

impl Names {
    /// Publishes what a name of the keyring is to stand for.
    pub(crate) async fn publish(&self, request: PublishRequest) -> Result<PublishReport, NamesError> {
        let begun = Instant::now();
        let name: Name = request.name.parse()?;
        let key = self.key_of(&name).await?;
        let own = self.keyring.by_key(key).ok_or_else(|| NamesError::NotOwned(request.name.clone()))?;
        let target = match (&request.target, request.delegate) {
            (None, _) => None,
            (Some(text), false) => Some(Target::parse(text)?),
            (Some(text), true) => match Target::parse(text)? {
                Target::Name(key, path) if path.is_empty() => Some(Target::Delegate(key)),
                _ => {
                    return Err(NamesError::BadTarget(
                        "a path is delegated to a key: @ and 56 characters".into(),
                    ));
                }
            },
        };
        let record = record_of(key);
        let address = record.address();
        let change = Change {
            own,
            network: self.network,
            path: name.path,
            target,
            ttl: request.ttl_seconds,
            valid_until: now() + request.valid_seconds.min(VALID_SECONDS_MAX),
            expect_seq: request.expect_seq,
            seen: self.keyring.seen(&address),
        };
        let left = Left::default();
        let decision = decision(change, left.clone());
        let outcome = self.driver.operate(address, Goal::Update, RECORD_WITHIN, Some(decision)).await;
        let decided = left.lock().unwrap_or_else(PoisonError::into_inner).take();
        let report = |seq, stored: usize, of: usize, state| PublishReport {
            name: request.name.clone(),
            key: key.to_string(),
            seq,
            stored: stored as u64,
            of: of as u64,
            state,
            seconds: begun.elapsed().as_secs_f64(),
        };
        match (outcome.ok_or(NamesError::Stopped)?, decided) {
            (Ok(Outcome::Stored(stored)), _) => {
                self.remember(stored.held.clone(), true).await?;
                Ok(report(stored.held.record.seq(), stored.stored, stored.of, PublishState::Stored))
            }
            // The version counts from now on or never; its number is used all the same.
            (Err(OperationError::Unknown { stored, of, .. }), Some(Ok(record))) => {
                let seq = record.seq();
                Ok(report(seq, stored, of, PublishState::Unknown))
            }
            (Ok(_), Some(Err(error))) => Err(error),
            (Ok(Outcome::Unchanged(found) | Outcome::Found(found)), _) => {
                Err(NamesError::Overtaken { found: found.held.map_or(0, |held| held.record.seq()) })
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Remembers a version of a record. One of our own is on disk when this returns.
    pub(super) async fn remember(&self, held: Held, own: bool) -> Result<(), NamesError> {
        let keyring = self.keyring.clone();
        super::on_disk(move || keyring.remember(&held, own)).await
    }
}

fn decision(change: Change, left: Left) -> Decision {
    Box::new(move |current| {
        let next = change.next(current);
        let record = next.as_ref().ok().cloned();
        *left.lock().unwrap_or_else(PoisonError::into_inner) = Some(next);
        record
    })
}

impl Change {
    /// The version after what is held.
    fn next(self, current: Option<&Held>) -> Result<Arc<Record>, NamesError> {
        let found = current.map_or(0, |held| held.record.seq());
        if let Some(expected) = self.expect_seq.filter(|expected| *expected != found) {
            return Err(NamesError::Conflict { found, expected });
        }
        // Nobody else can have signed the seen one; those who keep the name may have forgotten it.
        let newest = [current, self.seen.as_ref()].into_iter().flatten().max_by_key(|held| held.record.seq());
        let content = newest.map(|held| Content::decode(&held.record.statement().value));
        let mut content = content
            .map(|content| content.ok_or_else(|| NamesError::NotUnderstood(self.own.public())))
            .transpose()?
            .unwrap_or_default();
        match self.target {
            Some(target) => drop(content.entries.insert(self.path, target)),
            None => drop(content.entries.remove(&self.path)),
        }
        let value = content.encode();
        if value.len() > VALUE_BYTES_MAX {
            return Err(NamesError::TooLarge(value.len()));
        }
        let statement = Statement {
            name: record_of(self.own.public()),
            seq: newest.map_or(0, |held| held.record.seq()) + 1,
            valid_until: self.valid_until,
            ttl: self.ttl,
            previous: current.map(|held| held.record.hash()),
            value,
        };
        let mut signature = [0; 64];
        let signed = self.own.pair.sign(&statement.signed_bytes(&self.network.0));
        signature.copy_from_slice(signed.get(..64).unwrap_or(&[0; 64]));
        let too_large = |_| NamesError::TooLarge(VALUE_BYTES_MAX);
        statement.signed(Signature(signature)).map(Arc::new).map_err(too_large)
    }
}
