//! Taking files in. Nothing is entered that is not whole and what its name says.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::header::CONTENT_LENGTH;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::StreamExt;
use ring::digest::{Context, SHA256};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use super::answer::done;
use super::path::{FileId, Kind, Place, RepositoryName};
use super::repository::{Change, INLINE_MAX, Repository, Stored};
use super::state::Shared;
use crate::front::Limits;
use crate::front::{Failure, discard};
use crate::kept::{Changed, Error, Expect, ObjectBody, Piece};

/// Longest file, bytes: packs have 128 MiB at most, and a little more.
const FILE_BYTES_MAX: u64 = 160 << 20;
/// Pieces of a body that wait to be stored.
const PIECES_WAITING_MAX: usize = 4;
/// What stands for the `config`, which has no id, where files are claimed.
const CONFIG_SUBJECT: FileId = FileId([0; 32]);

/// Takes a file in. It goes on when the client goes away, once the body is whole.
pub(crate) async fn save<V, R>(
    shared: &Arc<Shared<V>>,
    repository: R,
    name: RepositoryName,
    place: Place,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Response, Failure>
where
    V: Send + Sync + 'static,
    R: Repository,
{
    let length = length_of(headers, place)?;
    let intake = Intake::new(std::mem::take(body), length, &shared.limits);
    let upload = Upload { shared: Arc::clone(shared), repository, name, place, length };
    let saving = shared.changes.spawn(async move { upload.run(intake).await });
    match saving.await {
        Ok(saved) => saved.map(|()| done()),
        Err(error) => Err(Error::Other(format!("the upload was given up: {error}")).into()),
    }
}

/// How long the body is. A client that does not say it beforehand could not be told that it is too long.
fn length_of(headers: &HeaderMap, place: Place) -> Result<u64, Failure> {
    let text = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = text.and_then(|text| text.parse().ok()).ok_or_else(|| {
        Failure::new(StatusCode::LENGTH_REQUIRED, "say with Content-Length how long the file is")
    })?;
    // Locks are made and removed all the time, and are never kept beside the map.
    let max = if matches!(place, Place::File(Kind::Locks, _)) { INLINE_MAX } else { FILE_BYTES_MAX };
    if length > max {
        let message = format!("the file has {length} bytes, and at most {max} are taken");
        return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message));
    }
    Ok(length)
}

/// A body on its way in, hashed as it comes.
struct Intake {
    data: BodyDataStream,
    left: u64,
    ends: Instant,
    stall: Duration,
    hash: Context,
}

impl Intake {
    fn new(body: Body, length: u64, limits: &Limits) -> Self {
        let for_length = Duration::from_secs(length / limits.bytes_per_second_min);
        Intake {
            data: body.into_data_stream(),
            left: length,
            ends: Instant::now() + limits.body + for_length,
            stall: limits.stall,
            hash: Context::new(&SHA256),
        }
    }

    /// The next piece; `None` once all that was announced is there.
    async fn next(&mut self) -> Result<Option<Bytes>, Failure> {
        let too_slow = |_| Failure::new(StatusCode::REQUEST_TIMEOUT, "the body comes too slowly");
        let deadline = self.ends.min(Instant::now() + self.stall);
        match timeout_at(deadline, self.data.next()).await.map_err(too_slow)? {
            Some(Ok(bytes)) => {
                let longer = || Failure::bad_request("the body is longer than it was said to be");
                self.left = self.left.checked_sub(bytes.len() as u64).ok_or_else(longer)?;
                self.hash.update(&bytes);
                Ok(Some(bytes))
            }
            None if self.left == 0 => Ok(None),
            None | Some(Err(_)) => Err(Failure::bad_request("the body broke off")),
        }
    }

    /// All of it, which is short.
    async fn all(&mut self) -> Result<Bytes, Failure> {
        let mut all = Vec::new();
        while let Some(bytes) = self.next().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }

    /// Whether what came is what the name says. The `config` has no name of its own.
    fn is(&self, place: Place) -> bool {
        match place {
            Place::File(_, id) => self.hash.clone().finish().as_ref() == id.0,
            Place::Config | Place::Whole | Place::All(_) => true,
        }
    }

    async fn discard(self) {
        discard(Body::from_stream(self.data)).await;
    }
}

fn wrong_name() -> Failure {
    Failure::bad_request("the name of the file is not the SHA-256 of what is in it")
}

fn exists() -> Failure {
    Failure::forbidden("there is a file of this name with other content, and files are not overwritten")
}

/// A file that is taken in.
struct Upload<V, R> {
    shared: Arc<Shared<V>>,
    repository: R,
    name: RepositoryName,
    place: Place,
    length: u64,
}

impl<V: Send + Sync + 'static, R: Repository> Upload<V, R> {
    async fn run(self, mut intake: Intake) -> Result<(), Failure> {
        let outcome = self.take(&mut intake).await;
        if outcome.is_err() {
            intake.discard().await;
        }
        outcome
    }

    async fn take(&self, intake: &mut Intake) -> Result<(), Failure> {
        let subject = match self.place {
            Place::File(_, id) => id,
            Place::Config | Place::Whole | Place::All(_) => CONFIG_SUBJECT,
        };
        let key = self.place.key().ok_or_else(|| Failure::not_found("this is no file"))?;
        let _claim = self.shared.claim(&self.name, subject).await?;
        if let Some(there) = self.repository.get(&key).await? {
            return self.compare(intake, &there).await;
        }
        let inside = !matches!(self.place, Place::File(Kind::Data | Kind::Index, _));
        let stored = if inside && self.length <= INLINE_MAX {
            let bytes = intake.all().await?;
            if !intake.is(self.place) {
                return Err(wrong_name());
            }
            Stored::Inline(bytes)
        } else {
            let _turn = self.shared.upload_turn().await?;
            Stored::Object { link: self.store(intake).await?, size: self.length }
        };
        let entered = Change::enter(&key, stored.clone(), Expect::Absent);
        match self.repository.change(vec![entered]).await? {
            Changed::Done => {
                self.shared.counters.uploaded(self.length);
                Ok(())
            }
            Changed::Unmet => self.was_first(&key, &stored).await,
        }
    }

    /// There is a file of this name. The same once more is fine: an answer may have been lost.
    async fn compare(&self, intake: &mut Intake, there: &Stored) -> Result<(), Failure> {
        if there.size() != self.length {
            return Err(exists());
        }
        let same = match (self.place, there) {
            // Its name is a hash of its content, and was compared with it then.
            (Place::File(..), _) => {
                while intake.next().await?.is_some() {}
                intake.is(self.place)
            }
            (_, Stored::Inline(bytes)) => intake.all().await? == *bytes,
            (_, Stored::Object { .. }) => false,
        };
        if same { Ok(()) } else { Err(exists()) }
    }

    /// Another daemon has entered a file of this name meanwhile.
    async fn was_first(&self, key: &str, ours: &Stored) -> Result<(), Failure> {
        let gone = || Failure::busy("another daemon is changing this file");
        let there = self.repository.get(key).await?.ok_or_else(gone)?;
        if let Stored::Object { link, .. } = ours
            && !matches!(&there, Stored::Object { link: of_others, .. } if of_others == link)
        {
            // If it cannot be forgotten now, it is kept in vain, and nothing is lost.
            let _ = self.repository.forget_object(link).await;
        }
        match (self.place, ours, there) {
            (Place::File(..), ..) => Ok(()),
            (_, ours, there) if *ours == there => Ok(()),
            _ => Err(exists()),
        }
    }

    /// Stores the body beside the map, as it comes. Nothing is stored if it is not whole and right.
    async fn store(&self, intake: &mut Intake) -> Result<String, Failure> {
        let (pieces, body) = ObjectBody::new(PIECES_WAITING_MAX);
        let (stored, fed) =
            tokio::join!(self.repository.put_object(body, self.length), feed(intake, self.place, pieces));
        // If the body was wrong, that is why it was not stored.
        fed?;
        Ok(stored?)
    }
}

/// Hands the body over, as long as anybody wants it, and says at its end that it is right.
async fn feed(intake: &mut Intake, place: Place, pieces: mpsc::Sender<Piece>) -> Result<(), Failure> {
    while let Some(bytes) = intake.next().await? {
        if pieces.send(Piece::Data(bytes)).await.is_err() {
            return Ok(());
        }
    }
    if !intake.is(place) {
        return Err(wrong_name());
    }
    let _ = pieces.send(Piece::End).await;
    Ok(())
}
