//! The files as `dav-server` wants them. Nothing is changed here: what a request wants is noted, and made at its end.

use std::time::SystemTime;

use axum::http::StatusCode;
use dav_server::davpath::DavPath;
use dav_server::fs::{
    DavDirEntry, DavFile, DavFileSystem, DavMetaData, DavProp, FsError, FsFuture, FsResult, FsStream,
    OpenOptions, ReadDirMeta,
};
use futures::stream;

use super::entry::{Entry, Kind, Property, milliseconds, time_of};
use super::file::{ReadFile, WriteFile};
use super::path::Path;
use super::request::Request;
use super::store::Store;

impl<S: Store> Request<S> {
    /// Where something can be put: its directory has to be there.
    async fn place(&self, path: &DavPath) -> FsResult<Path> {
        let path = Path::of(path)?;
        match path.parent() {
            None => Err(FsError::Exists),
            Some(parent) if self.entry(&parent).await?.is_directory() => Ok(path),
            Some(_) => Err(FsError::NotFound),
        }
    }

    /// All that lies in a directory.
    async fn children(&self, directory: &Path) -> FsResult<Vec<(Path, Entry)>> {
        if self.tree().copies(directory) {
            // Nobody need copy it one by one.
            return Ok(Vec::new());
        }
        self.learn_children(directory).await.map_err(|error| self.note.failed(error))?;
        Ok(self.tree().children(directory))
    }

    async fn remove(&self, path: &DavPath, kind: Kind) -> FsResult<()> {
        let path = Path::of(path)?;
        let entry = self.entry(&path).await?;
        if path.is_root() || entry.kind != kind {
            return Err(FsError::Forbidden);
        }
        if entry.is_directory() && !self.children(&path).await?.is_empty() {
            return Err(FsError::Exists);
        }
        self.tree().want(path, None);
        Ok(())
    }

    async fn copied(&self, from: &DavPath, to: &DavPath) -> FsResult<()> {
        let (from, to) = (Path::of(from)?, self.place(to).await?);
        let entry = self.entry(&from).await?;
        // Whoever is asked about it has to know that it was not there before.
        let _ = self.find(&to).await.map_err(|error| self.note.failed(error))?;
        self.tree().want(to, Some(Entry { created: milliseconds(), ..entry }));
        Ok(())
    }

    async fn moved(&self, from: &DavPath, to: &DavPath) -> FsResult<()> {
        let (from, to) = (Path::of(from)?, self.place(to).await?);
        let entry = self.entry(&from).await?;
        if from.is_root() || to.is_within(&from) {
            return Err(FsError::Forbidden);
        }
        if self.find(&to).await.map_err(|error| self.note.failed(error))?.is_some() {
            return Err(FsError::Exists);
        }
        let mut tree = self.tree();
        if entry.is_directory() {
            tree.want_moved(from.clone(), to.clone());
        }
        tree.want(from, None);
        tree.want(to, Some(entry));
        Ok(())
    }

    async fn patched(
        &self,
        path: &DavPath,
        patch: Vec<(bool, DavProp)>,
    ) -> FsResult<Vec<(StatusCode, DavProp)>> {
        let path = Path::of(path)?;
        let mut entry = self.entry(&path).await?;
        if path.is_root() {
            // It stands in no map.
            return Ok(patch
                .into_iter()
                .map(|(_, property)| (StatusCode::FORBIDDEN, named(&property)))
                .collect());
        }
        let mut outcome = Vec::with_capacity(patch.len());
        for (is_set, property) in patch {
            entry.properties.retain(|known| !is(known, &property));
            outcome.push((StatusCode::OK, named(&property)));
            if is_set {
                let xml = property.xml.and_then(|xml| String::from_utf8(xml).ok()).unwrap_or_default();
                let DavProp { name, namespace, prefix, .. } = property;
                entry.properties.push(Property { name, namespace, prefix, xml });
            }
        }
        self.tree().want(path, Some(entry));
        Ok(outcome)
    }
}

/// A property without what it is.
fn named(property: &DavProp) -> DavProp {
    DavProp { xml: None, ..property.clone() }
}

fn is(known: &Property, asked: &DavProp) -> bool {
    known.name == asked.name && known.namespace == asked.namespace
}

impl<S: Store> DavFileSystem for Request<S> {
    fn open<'a>(&'a self, path: &'a DavPath, options: OpenOptions) -> FsFuture<'a, Box<dyn DavFile>> {
        Box::pin(async move {
            if !options.write {
                let entry = self.entry(&Path::of(path)?).await?;
                return Ok(Box::new(ReadFile::new(self.clone(), entry)) as Box<dyn DavFile>);
            }
            let path = self.place(path).await?;
            let found = self.find(&path).await.map_err(|error| self.note.failed(error))?;
            match &found {
                Some(entry) if entry.is_directory() => return Err(FsError::Exists),
                Some(_) if options.create_new => return Err(FsError::Exists),
                None if !options.create => return Err(FsError::NotFound),
                // A lock of what is not there makes an empty file.
                None if !options.truncate => self.tree().want(path.clone(), Some(Entry::new(Kind::File))),
                _ => {}
            }
            Ok(Box::new(WriteFile::new(self.clone(), path, found)) as Box<dyn DavFile>)
        })
    }

    fn read_dir<'a>(
        &'a self,
        path: &'a DavPath,
        _: ReadDirMeta,
    ) -> FsFuture<'a, FsStream<Box<dyn DavDirEntry>>> {
        Box::pin(async move {
            let children = self.children(&Path::of(path)?).await?;
            let entries = children.into_iter().map(|(path, entry)| {
                let child = Child { name: path.name().to_owned(), entry };
                Ok(Box::new(child) as Box<dyn DavDirEntry>)
            });
            Ok(Box::pin(stream::iter(entries.collect::<Vec<_>>())) as FsStream<_>)
        })
    }

    fn metadata<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, Box<dyn DavMetaData>> {
        Box::pin(async move {
            let entry = self.entry(&Path::of(path)?).await?;
            Ok(Box::new(Metadata(entry)) as Box<dyn DavMetaData>)
        })
    }

    fn create_dir<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(async move {
            let path = self.place(path).await?;
            match self.find(&path).await.map_err(|error| self.note.failed(error))? {
                Some(_) => Err(FsError::Exists),
                None => {
                    self.tree().want(path, Some(Entry::new(Kind::Directory)));
                    Ok(())
                }
            }
        })
    }

    fn remove_dir<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.remove(path, Kind::Directory))
    }

    fn remove_file<'a>(&'a self, path: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.remove(path, Kind::File))
    }

    fn rename<'a>(&'a self, from: &'a DavPath, to: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.moved(from, to))
    }

    fn copy<'a>(&'a self, from: &'a DavPath, to: &'a DavPath) -> FsFuture<'a, ()> {
        Box::pin(self.copied(from, to))
    }

    fn have_props<'a>(&'a self, _: &'a DavPath) -> std::pin::Pin<Box<dyn Future<Output = bool> + Send + 'a>> {
        Box::pin(std::future::ready(true))
    }

    fn patch_props<'a>(
        &'a self,
        path: &'a DavPath,
        patch: Vec<(bool, DavProp)>,
    ) -> FsFuture<'a, Vec<(StatusCode, DavProp)>> {
        Box::pin(self.patched(path, patch))
    }

    fn get_props<'a>(&'a self, path: &'a DavPath, do_content: bool) -> FsFuture<'a, Vec<DavProp>> {
        Box::pin(async move {
            let entry = self.entry(&Path::of(path)?).await?;
            let shown = entry.properties.into_iter().map(|property| {
                let Property { name, namespace, prefix, xml } = property;
                DavProp { name, namespace, prefix, xml: do_content.then(|| xml.into_bytes()) }
            });
            Ok(shown.collect())
        })
    }

    fn get_prop<'a>(&'a self, path: &'a DavPath, asked: DavProp) -> FsFuture<'a, Vec<u8>> {
        Box::pin(async move {
            let entry = self.entry(&Path::of(path)?).await?;
            let found = entry.properties.into_iter().find(|property| is(property, &asked));
            found.map(|property| property.xml.into_bytes()).ok_or(FsError::NotFound)
        })
    }
}

/// What lies in a directory.
#[derive(Debug)]
struct Child {
    name: String,
    entry: Entry,
}

impl DavDirEntry for Child {
    fn name(&self) -> Vec<u8> {
        self.name.clone().into_bytes()
    }

    fn metadata(&'_ self) -> FsFuture<'_, Box<dyn DavMetaData>> {
        let metadata = Box::new(Metadata(self.entry.clone())) as Box<dyn DavMetaData>;
        Box::pin(std::future::ready(Ok(metadata)))
    }
}

/// What is said of a file or a directory.
#[derive(Clone, Debug)]
pub(crate) struct Metadata(pub(crate) Entry);

impl DavMetaData for Metadata {
    fn len(&self) -> u64 {
        self.0.size
    }

    fn modified(&self) -> FsResult<SystemTime> {
        Ok(time_of(self.0.modified))
    }

    fn created(&self) -> FsResult<SystemTime> {
        Ok(time_of(self.0.created))
    }

    fn is_dir(&self) -> bool {
        self.0.is_directory()
    }

    fn etag(&self) -> Option<String> {
        (!self.is_dir()).then(|| self.0.etag())
    }
}
