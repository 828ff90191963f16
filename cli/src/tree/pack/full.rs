//! Entries with all that POSIX knows of them, and files that have holes or do not hold still.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use chordage_api::fingerprint;
use chordage_node::archive::{FullMetadata, Kind, SparseMap};

use super::content::{BUFFER, State, hold_state, read_parts, state_now};
use super::entry::{Packer, head, kind_of_special, target};
use super::error::{PackError, failed, gone};
use super::{Flaw, HELD_MAX, Known, Watcher, special};
use crate::tree::extents::may_have_holes;
use crate::tree::links::Links;
use crate::tree::owners::Owners;
use crate::tree::steady::is_still;
use crate::tree::walk::open_entry;
use crate::tree::xattrs;

/// What is remembered from entry to entry.
pub(super) struct FullReader {
    owners: Owners,
    links: Links,
}

impl Default for FullReader {
    fn default() -> Self {
        FullReader { owners: Owners::of_system(), links: Links::default() }
    }
}

impl<W: Write, T: Watcher> Packer<'_, W, T> {
    /// Writes one entry with all that POSIX knows of it.
    #[allow(clippy::needless_pass_by_value, reason = "the same as for an entry of an object")]
    pub(super) fn full_entry(
        &mut self,
        path: &Path,
        inside: &[u8],
        listed: &Metadata,
        known: Option<Known>,
    ) -> Result<(), PackError> {
        if listed.file_type().is_socket() {
            // Only who listens on one could make it again.
            self.watcher.skipped(path, special(listed));
            return Ok(());
        }
        let linked = self.full.as_mut().and_then(|full| full.links.known(listed));
        if listed.is_file() && linked.is_none() {
            return self.full_file(path, inside, listed, known);
        }
        let entry = open_entry(&mut self.dirs, inside).map_err(failed("read", path))?;
        let entry = File::from(entry);
        let metadata = entry.metadata().map_err(failed("read", path))?;
        if !is_same(&metadata, listed) {
            return Err(PackError::Replaced { path: path.to_owned() });
        }
        let entry = OwnedFd::from(entry);
        let (group, kind) = match linked {
            Some((group, target)) => (Some(group), Kind::HardLink { target }),
            None => {
                let kind = match kind_of_special(&metadata) {
                    Some(kind) => kind,
                    None => Kind::Symlink { target: target(&entry).map_err(failed("read", path))? },
                };
                (self.next_group(&metadata), kind)
            }
        };
        let is_first = !matches!(kind, Kind::HardLink { .. });
        let full = self.full_metadata(path, entry, &metadata, group);
        self.begin(&head(inside.to_vec(), kind, &metadata, full), None)?;
        if is_first {
            self.enter(&metadata, inside);
        } else if metadata.is_file() {
            self.watcher.advance(metadata.len());
        }
        Ok(())
    }

    fn full_file(
        &mut self,
        path: &Path,
        inside: &[u8],
        listed: &Metadata,
        known: Option<Known>,
    ) -> Result<(), PackError> {
        if let Some(known) = known {
            let entry = open_entry(&mut self.dirs, inside).map_err(failed("read", path))?;
            let entry = File::from(entry);
            let metadata = entry.metadata().map_err(failed("read", path))?;
            if fingerprint(&metadata) == fingerprint(listed) {
                return self.unchanged(path, inside, entry, &metadata, known);
            }
        }
        let (mut file, opened) = self.open(path, inside)?;
        let is_small = opened.len() <= HELD_MAX || may_have_holes(&opened);
        let held = if is_small { hold_state(path, &mut file, &mut self.buffer)? } else { None };
        match held {
            Some(state) => {
                let size = self.buffer.len() as u64;
                self.begin_file(path, inside, &file, size, &state)?;
                self.archive.data(&self.buffer).map_err(gone)?;
                self.watcher.advance(state.metadata.len());
                self.tell(path, state.steady);
                Ok(())
            }
            None => self.large_file(path, inside, &mut file),
        }
    }

    /// A file whose content is stored already.
    fn unchanged(
        &mut self,
        path: &Path,
        inside: &[u8],
        entry: File,
        metadata: &Metadata,
        known: Known,
    ) -> Result<(), PackError> {
        let group = self.next_group(metadata);
        let content = known.map.as_ref().map_or(metadata.len(), SparseMap::data_len);
        let mut full = self.full_metadata(path, entry.into(), metadata, group);
        if let Some(full) = &mut full {
            full.sparse = known.map;
        }
        let kind = Kind::Unchanged { fingerprint: known.fingerprint };
        self.begin(&head(inside.to_vec(), kind, metadata, full), None)?;
        self.packed.bytes += content;
        self.enter(metadata, inside);
        self.watcher.advance(metadata.len());
        Ok(())
    }

    /// A file whose beginning is sent before its end is read. If it changes meanwhile, what is missing becomes zeros.
    fn large_file(&mut self, path: &Path, inside: &[u8], file: &mut File) -> Result<(), PackError> {
        let state = state_now(path, file)?;
        let (before, map) = (&state.metadata, state.map.as_ref());
        self.begin_file(path, inside, file, map.map_or(before.len(), SparseMap::data_len), &state)?;
        let midway = |error| PackError::Midway(Box::new(error));
        let refused = |error: io::Error| midway(failed("read", path)(error));
        let mut buffer = vec![0; BUFFER];
        let (archive, watcher) = (&mut self.archive, self.watcher);
        let whole = read_parts(file, before.len(), map, &mut buffer, |bytes| match bytes {
            Ok(bytes) => {
                watcher.advance(bytes.len() as u64);
                archive.data(bytes).map_err(gone)
            }
            Err(error) => Err(refused(error)),
        })?;
        let holes = map.map_or(0, |map| map.size - map.data_len());
        self.watcher.advance(holes);
        let still = is_still(file, before).map_err(refused)?;
        if still && !whole && state.steady {
            // It gives less than it says. Its fingerprint was sent, and must not stand for what was not read.
            return Err(midway(PackError::Changes { path: path.to_owned() }));
        }
        self.tell(path, state.steady && still && whole);
        Ok(())
    }

    /// Begins a file with so many bytes of content.
    fn begin_file(
        &mut self,
        path: &Path,
        inside: &[u8],
        file: &File,
        size: u64,
        state: &State,
    ) -> Result<(), PackError> {
        let group = self.next_group(&state.metadata);
        let xattrs = xattrs::of_file(file);
        let mut full = self.with_xattrs(path, xattrs, &state.metadata, group);
        if let Some(full) = &mut full {
            full.sparse = state.map.clone();
        }
        let known_as = state.known_as.map(|of_file| match &state.map {
            Some(map) => map.fingerprint(&of_file),
            None => of_file,
        });
        self.begin(&head(inside.to_vec(), Kind::File { size }, &state.metadata, full), known_as)?;
        self.enter(&state.metadata, inside);
        Ok(())
    }

    fn tell(&self, path: &Path, steady: bool) {
        if !steady {
            self.watcher.flawed(path, &Flaw::Changed);
        }
    }

    fn next_group(&self, metadata: &Metadata) -> Option<u64> {
        self.full.as_ref().and_then(|full| full.links.next_group(metadata))
    }

    fn enter(&mut self, metadata: &Metadata, inside: &[u8]) {
        if let Some(full) = &mut self.full {
            full.links.enter(metadata, inside);
        }
    }

    /// All that POSIX knows of what is open in whatever way, if that is wanted.
    pub(super) fn full_metadata(
        &self,
        path: &Path,
        entry: OwnedFd,
        metadata: &Metadata,
        link_group: Option<u64>,
    ) -> Option<Box<FullMetadata>> {
        self.full.as_ref()?;
        self.with_xattrs(path, xattrs::of_entry(entry), metadata, link_group)
    }

    fn with_xattrs(
        &self,
        path: &Path,
        (xattrs, refused): xattrs::Found,
        metadata: &Metadata,
        link_group: Option<u64>,
    ) -> Option<Box<FullMetadata>> {
        let owners = &self.full.as_ref()?.owners;
        let (uid, gid) = (metadata.uid(), metadata.gid());
        let (user, group) = (owners.user(uid), owners.group(gid));
        let mut full = FullMetadata { uid, gid, user, group, xattrs, link_group, sparse: None };
        if let Some(error) = refused {
            self.watcher.flawed(path, &Flaw::Attributes(error.into()));
        }
        if let Err(error) = full.check() {
            full.xattrs = Vec::new();
            self.watcher.flawed(path, &Flaw::Attributes(io::Error::other(error)));
        }
        Some(Box::new(full))
    }
}

/// Whether what was opened is what was listed.
fn is_same(opened: &Metadata, listed: &Metadata) -> bool {
    let of = |metadata: &Metadata| (metadata.dev(), metadata.ino(), metadata.file_type());
    of(opened) == of(listed)
}
