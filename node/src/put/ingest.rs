//! From a request's bytes to an object: a bare file as it is, a tree out of its archive.

use std::io::Read;

use chordage_storage::{
    ConvergenceSecret, EntryPath, Fingerprint, Metadata, ObjectWriter, PathError, WriteError, Written,
};

use super::sink::NetworkSink;
use super::{ObjectFormat, PutError, PutRequest};
use crate::archive::{ArchiveReader, Head, Kind, Quoted, ReadError};

/// Bytes read at a time.
const BUFFER: usize = 256 << 10;

/// What was written, and how much of it was never read.
pub(super) struct Ingested {
    pub(super) written: Written<NetworkSink>,
    pub(super) unchanged_files: u64,
    pub(super) unchanged_bytes: u64,
}

/// Writes the object that `body` holds into `sink`.
pub(super) fn ingest(
    sink: NetworkSink,
    secret: &ConvergenceSecret,
    body: Box<dyn Read + Send>,
    format: ObjectFormat,
    request: &PutRequest,
) -> Result<Ingested, PutError> {
    match format {
        ObjectFormat::File => file(sink, secret, body, request),
        ObjectFormat::Tar => tree(sink, secret, body),
    }
}

/// A bare file has no name, and its mode and time are those of whoever puts and gets it.
const BARE: Metadata = Metadata { mode: 0o644, mtime_s: 0, mtime_ns: 0 };
/// The root of an archive that does not mention it.
const ROOT: Metadata = Metadata { mode: 0o755, mtime_s: 0, mtime_ns: 0 };

fn file(
    sink: NetworkSink,
    secret: &ConvergenceSecret,
    mut body: Box<dyn Read + Send>,
    request: &PutRequest,
) -> Result<Ingested, PutError> {
    let failed = |error| failed(error, b"");
    let mut writer = ObjectWriter::file(sink, secret, BARE).map_err(failed)?;
    let mut unchanged_bytes = 0;
    match request.fingerprint {
        Some(fingerprint) if request.unchanged => {
            unchanged_bytes = take_over(&mut writer, &fingerprint, b"")?;
        }
        Some(fingerprint) => writer.catalog_as(fingerprint).map_err(failed)?,
        None => {}
    }
    let mut buffer = vec![0; BUFFER];
    loop {
        match body.read(&mut buffer) {
            Ok(0) => break,
            Ok(len) => writer.write(&buffer[..len]).map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(PutError::Input(error)),
        }
    }
    let written = writer.finish().map_err(failed)?;
    Ok(Ingested { written, unchanged_files: u64::from(request.unchanged), unchanged_bytes })
}

/// The content of a file that nobody sends, as bytes of the open file; returns how many.
fn take_over(
    writer: &mut ObjectWriter<NetworkSink>,
    fingerprint: &Fingerprint,
    path: &[u8],
) -> Result<u64, PutError> {
    let known = writer.sink_mut().find_file(fingerprint);
    let known = known.ok_or_else(|| PutError::Forgotten(path.to_vec()))?;
    writer.take_over(&known).map_err(|error| failed(error, path))?;
    Ok(known.size)
}

fn tree(
    sink: NetworkSink,
    secret: &ConvergenceSecret,
    body: Box<dyn Read + Send>,
) -> Result<Ingested, PutError> {
    let mut archive = ArchiveReader::new(std::io::BufReader::with_capacity(BUFFER, body));
    let mut buffer = vec![0; BUFFER];
    let mut next = archive.next_entry().map_err(unreadable)?;
    let root = match &next {
        Some(head) if head.path.is_empty() => metadata(head),
        _ => ROOT,
    };
    let mut writer = ObjectWriter::tree(sink, secret, root).map_err(|error| failed(error, b""))?;
    if next.as_ref().is_some_and(|head| head.path.is_empty()) {
        next = archive.next_entry().map_err(unreadable)?;
    }
    let (mut unchanged_files, mut unchanged_bytes) = (0, 0);
    while let Some(head) = next {
        let name = head.path.clone();
        let failed = |error| failed(error, &name);
        let path = EntryPath::new(head.path.clone()).map_err(|error| bad_path(&name, &error))?;
        match &head.kind {
            Kind::Dir => writer.directory(&path, metadata(&head)).map_err(failed)?,
            Kind::Symlink { target } => writer.symlink(&path, target, metadata(&head)).map_err(failed)?,
            Kind::Unchanged { fingerprint } => {
                writer.begin_file(&path, metadata(&head)).map_err(failed)?;
                unchanged_bytes += take_over(&mut writer, fingerprint, &name)?;
                unchanged_files += 1;
                writer.end_file().map_err(failed)?;
            }
            Kind::File { .. } => {
                writer.begin_file(&path, metadata(&head)).map_err(failed)?;
                if let Some(fingerprint) = archive.fingerprint() {
                    writer.catalog_as(fingerprint).map_err(failed)?;
                }
                loop {
                    match archive.read(&mut buffer).map_err(unreadable)? {
                        0 => break,
                        len => writer.write(&buffer[..len]).map_err(failed)?,
                    }
                }
                writer.end_file().map_err(failed)?;
            }
            // The reader, which knows their names, refuses them before.
            Kind::Fifo | Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::HardLink { .. } => {
                return Err(unreadable(ReadError::Unsupported { path: name, what: "special file" }));
            }
        }
        next = archive.next_entry().map_err(unreadable)?;
    }
    let written = writer.finish().map_err(|error| failed(error, b""))?;
    Ok(Ingested { written, unchanged_files, unchanged_bytes })
}

fn metadata(head: &Head) -> Metadata {
    Metadata { mode: head.mode, mtime_s: head.mtime.seconds, mtime_ns: head.mtime.nanos }
}

fn unreadable(error: ReadError) -> PutError {
    match error {
        ReadError::Io(error) => PutError::Input(error),
        error => PutError::Archive(error.to_string()),
    }
}

fn bad_path(name: &[u8], error: &PathError) -> PutError {
    PutError::Archive(format!("entry {}: {error}", Quoted(name)))
}

fn failed(error: WriteError<PutError>, name: &[u8]) -> PutError {
    match error {
        WriteError::Sink(error) => error,
        WriteError::TooLarge => PutError::Limit(error.to_string()),
        error => PutError::Archive(format!("entry {}: {error}", Quoted(name))),
    }
}
