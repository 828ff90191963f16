//! A file that is read or written, as it comes.

use std::fmt;
use std::io::SeekFrom;
use std::sync::{Mutex, PoisonError};

use bytes::{Buf, Bytes};
use dav_server::fs::{DavFile, DavMetaData, FsError, FsFuture, FsResult};
use futures::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio_util::task::AbortOnDropHandle;

use super::entry::{Entry, Kind, milliseconds};
use super::filesystem::Metadata;
use super::path::Path;
use super::request::Request;
use super::store::Store;
use crate::front::Failure;
use crate::kept::{Error, ObjectBody, ObjectBytes, Piece};

/// Pieces of a body that wait to be stored.
const PIECES_WAITING_MAX: usize = 4;

/// A file that is read.
pub(crate) struct ReadFile<S> {
    request: Request<S>,
    entry: Entry,
    at: u64,
    /// Begun when the first byte is wanted.
    open: Option<Open>,
    /// Not handed over yet.
    rest: Bytes,
}

/// Content on its way.
struct Open {
    /// Nobody shares it: the lock says so.
    bytes: Mutex<ObjectBytes>,
    /// Whether any came.
    came: bool,
    _turn: OwnedSemaphorePermit,
}

impl<S: Store> ReadFile<S> {
    pub(crate) fn new(request: Request<S>, entry: Entry) -> Self {
        ReadFile { request, entry, at: 0, open: None, rest: Bytes::new() }
    }

    async fn read(&mut self, most: usize) -> FsResult<Bytes> {
        while self.rest.is_empty() {
            if self.at >= self.entry.size {
                return Ok(Bytes::new());
            }
            match self.piece().await {
                Ok(piece) => self.rest = piece,
                Err(failure) => {
                    self.request.shared.counters.failed(&failure.message);
                    return Err(self.request.note.failed(failure));
                }
            }
        }
        let piece = self.rest.split_to(most.min(self.rest.len()));
        self.at += piece.len() as u64;
        self.request.shared.counters.downloaded(piece.len() as u64);
        Ok(piece)
    }

    async fn piece(&mut self) -> Result<Bytes, Failure> {
        let shared = &self.request.shared;
        let open = match &mut self.open {
            Some(open) => open,
            None => {
                let until = self.request.read_until.filter(|until| *until > self.at);
                let until = until.unwrap_or(u64::MAX).min(self.entry.size);
                let gone = || Error::Other("a file with bytes has no content".to_owned());
                let link = self.entry.link.as_deref().ok_or_else(gone)?;
                let turn = shared.turns.download(&shared.limits).await?;
                let bytes = shared.store.read_object(link, self.at..until).await?;
                self.open.insert(Open { bytes: Mutex::new(bytes), came: false, _turn: turn })
            }
        };
        let bytes = open.bytes.get_mut().unwrap_or_else(PoisonError::into_inner);
        match bytes.next().await {
            Some(piece) => {
                open.came = true;
                Ok(piece?)
            }
            // What was asked for before may have been a part only, and whoever reads goes on.
            None if open.came => {
                self.open = None;
                Ok(Bytes::new())
            }
            None => Err(Error::Incomplete("the content of a file ends early".to_owned()).into()),
        }
    }
}

impl<S> fmt::Debug for ReadFile<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadFile").field("at", &self.at).finish_non_exhaustive()
    }
}

impl<S: Store> DavFile for ReadFile<S> {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let metadata = Box::new(Metadata(self.entry.clone())) as Box<dyn DavMetaData>;
        Box::pin(std::future::ready(Ok(metadata)))
    }

    fn write_buf(&'_ mut self, _: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn write_bytes(&'_ mut self, _: Bytes) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn read_bytes(&'_ mut self, count: usize) -> FsFuture<'_, Bytes> {
        Box::pin(async move {
            let piece = self.read(count).await?;
            // An empty piece would be shown as zeros.
            if piece.is_empty() { Err(FsError::GeneralFailure) } else { Ok(piece) }
        })
    }

    fn seek(&'_ mut self, to: SeekFrom) -> FsFuture<'_, u64> {
        let to = match to {
            SeekFrom::Start(to) => Some(to),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => self.entry.size.checked_add_signed(by),
        };
        let Some(to) = to else { return Box::pin(std::future::ready(Err(FsError::GeneralFailure))) };
        if to != self.at {
            (self.open, self.rest, self.at) = (None, Bytes::new(), to);
        }
        Box::pin(std::future::ready(Ok(to)))
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}

/// A file that is written. What was there before stays until all of it is stored.
pub(crate) struct WriteFile<S> {
    request: Request<S>,
    path: Path,
    before: Option<Entry>,
    storing: Option<Storing>,
    size: u64,
    written: Option<Entry>,
}

/// A body on its way into the network. Dropping it ends that, and nothing is stored.
struct Storing {
    pieces: mpsc::Sender<Piece>,
    stored: AbortOnDropHandle<Result<String, Error>>,
    /// What to show at the end: whether the same content was forgotten meanwhile.
    begun: u64,
    _turn: OwnedSemaphorePermit,
}

impl<S: Store> WriteFile<S> {
    pub(crate) fn new(request: Request<S>, path: Path, before: Option<Entry>) -> Self {
        WriteFile { request, path, before, storing: None, size: 0, written: None }
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), Failure> {
        if bytes.is_empty() {
            return Ok(());
        }
        let storing = match &mut self.storing {
            Some(storing) => storing,
            None => {
                let shared = &self.request.shared;
                let turn = shared.turns.upload(&shared.limits).await?;
                let (pieces, body) = ObjectBody::new(PIECES_WAITING_MAX);
                let (in_task, begun) = (self.request.shared.clone(), shared.uses.begin());
                let stored = tokio::spawn(async move { in_task.store.put_object(body).await });
                let stored = AbortOnDropHandle::new(stored);
                self.storing.insert(Storing { pieces, stored, begun, _turn: turn })
            }
        };
        self.size += bytes.len() as u64;
        if storing.pieces.send(Piece::Data(bytes)).await.is_err() {
            // It says why when it is asked.
            if let Some(storing) = self.storing.take() {
                ended(storing.stored).await?;
            }
            return Err(Error::Other("storing ended before the body did".to_owned()).into());
        }
        Ok(())
    }

    async fn end(&mut self) -> Result<(), Failure> {
        let shared = &self.request.shared;
        let link = match self.storing.take() {
            None => None,
            Some(Storing { pieces, stored, begun, _turn }) => {
                let _ = pieces.send(Piece::End).await;
                drop(pieces);
                let link = ended(stored).await?;
                let busy = || Failure::busy("the same content was just being forgotten: send it again");
                self.request.uses(shared.uses.enter(&link, begun).ok_or_else(busy)?);
                shared.stored(&link);
                Some(link)
            }
        };
        let fresh = Entry::new(Kind::File);
        let later = || self.request.shared.later_than(self.before.as_ref(), milliseconds());
        let modified = self.request.modified.unwrap_or_else(later);
        let before = self.before.clone().unwrap_or(fresh);
        let written = Entry { modified, size: self.size, link, ..before };
        self.request.tree().want(self.path.clone(), Some(written.clone()));
        self.written = Some(written);
        Ok(())
    }
}

async fn ended(stored: AbortOnDropHandle<Result<String, Error>>) -> Result<String, Failure> {
    match stored.await {
        Ok(stored) => Ok(stored?),
        Err(error) => Err(Error::Other(format!("storing was given up: {error}")).into()),
    }
}

impl<S> fmt::Debug for WriteFile<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WriteFile").field("path", &self.path).finish_non_exhaustive()
    }
}

impl<S: Store> DavFile for WriteFile<S> {
    fn metadata(&'_ mut self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let entry = self.written.clone().or_else(|| self.before.clone()).ok_or(FsError::NotFound);
        let metadata = entry.map(|entry| Box::new(Metadata(entry)) as Box<dyn DavMetaData>);
        Box::pin(std::future::ready(metadata))
    }

    fn write_buf(&'_ mut self, mut buf: Box<dyn Buf + Send>) -> FsFuture<'_, ()> {
        let bytes = buf.copy_to_bytes(buf.remaining());
        self.write_bytes(bytes)
    }

    fn write_bytes(&'_ mut self, bytes: Bytes) -> FsFuture<'_, ()> {
        Box::pin(async move { self.write(bytes).await.map_err(|failure| self.request.note.failed(failure)) })
    }

    fn read_bytes(&'_ mut self, _: usize) -> FsFuture<'_, Bytes> {
        Box::pin(std::future::ready(Err(FsError::Forbidden)))
    }

    fn seek(&'_ mut self, _: SeekFrom) -> FsFuture<'_, u64> {
        // Parts of files are not written.
        Box::pin(std::future::ready(Err(FsError::NotImplemented)))
    }

    fn flush(&'_ mut self) -> FsFuture<'_, ()> {
        Box::pin(async move { self.end().await.map_err(|failure| self.request.note.failed(failure)) })
    }
}
