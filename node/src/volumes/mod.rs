//! Volumes: what changes and has a history, as one sorted map whose beginning a signed record names.
//!
//! ```text
//!  head, a record ──▶ map ──▶ snapshots/ID ──▶ a tree of files, a map of its own ──▶ chunks of their contents
//!  (decision 18)        │
//!                       └───▶ whatever a view keeps there, such as locks and lists of packs
//! ```
//!
//! Whoever has the volume's secret changes it by compare-and-set of the head: of two writers the slower one makes its
//! change again on top of the faster one's. A change is acknowledged when a majority of those who keep the head has it,
//! and everything that it leads to was durable before. See decision 21.

mod book;
mod commit;
mod described;
mod error;
mod files;
mod head;
mod keep;
mod keys;
mod listing;
mod recent;
mod snapshot;
mod source;
mod store;
mod together;
mod values;
mod verify;
mod view;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use chordage_api::client::VolumeAccess;
use chordage_api::types::{VolumeCapability, VolumeImport, VolumeInfo};
use chordage_api::volume::Capability;
use chordage_storage::volume::Change;

pub(crate) use self::book::{VOLUMES_FILE, VolumeBook};
pub(crate) use self::error::VolumesError;
pub(crate) use self::files::TreePut;
pub(crate) use self::listing::Which;

use self::book::KnownVolume;
use self::commit::Queue;
use self::keys::{VolumeId, VolumeKeys};
use self::recent::{RecentChunks, RecentSnapshots};
use self::source::{NetworkSource, NodeCache};
use crate::clock::wall_clock;
use crate::driver::DriverHandle;
use crate::get::Reader;
use crate::network::NetworkFingerprint;
use crate::put::Putter;

/// Changes of a map, by key.
type Changes = BTreeMap<Vec<u8>, Change>;

/// See the module's description. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Volumes {
    inner: Arc<Inner>,
}

struct Inner {
    reader: Arc<Reader>,
    putter: Arc<Putter>,
    book: Arc<VolumeBook>,
    network: NetworkFingerprint,
    nodes: Arc<NodeCache>,
    queues: Mutex<BTreeMap<VolumeId, Arc<Queue>>>,
    /// Held while it is decided whether something is kept on, so that nothing is freed that was needed again meanwhile.
    deciding: tokio::sync::Mutex<()>,
    /// It is to be looked at once what others have made.
    keep_soon: tokio::sync::Notify,
    recent: RecentSnapshots,
    recent_chunks: RecentChunks,
}

impl Volumes {
    /// Reads through `reader` and stores through `putter`.
    pub(crate) fn new(
        reader: Arc<Reader>,
        putter: Arc<Putter>,
        book: VolumeBook,
        network: NetworkFingerprint,
    ) -> Self {
        let inner = Inner {
            reader,
            putter,
            book: Arc::new(book),
            network,
            nodes: Arc::default(),
            queues: Mutex::default(),
            deciding: tokio::sync::Mutex::default(),
            keep_soon: tokio::sync::Notify::new(),
            recent: RecentSnapshots::default(),
            recent_chunks: RecentChunks::default(),
        };
        Volumes { inner: Arc::new(inner) }
    }

    fn driver(&self) -> &DriverHandle {
        &self.inner.reader.placement.driver
    }

    fn reader(&self) -> &Arc<Reader> {
        &self.inner.reader
    }

    fn putter(&self) -> Arc<Putter> {
        self.inner.putter.clone()
    }

    fn book(&self) -> &VolumeBook {
        &self.inner.book
    }

    /// The book, for a thread that may wait for the disk.
    fn book_handle(&self) -> Arc<VolumeBook> {
        self.inner.book.clone()
    }

    fn network(&self) -> NetworkFingerprint {
        self.inner.network
    }

    fn recent(&self) -> &RecentSnapshots {
        &self.inner.recent
    }

    fn source(&self) -> NetworkSource {
        NetworkSource::new(self.inner.reader.clone(), self.inner.nodes.clone())
    }

    /// The changes of a volume. There are no more of these than volumes.
    fn queue(&self, volume: VolumeId) -> Arc<Queue> {
        let mut queues = self.inner.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.entry(volume).or_default().clone()
    }

    /// The volumes that are known here.
    pub(crate) fn list(&self) -> Vec<VolumeInfo> {
        self.book().all().iter().map(|volume| self.info(volume)).collect()
    }

    fn info(&self, volume: &KnownVolume) -> VolumeInfo {
        let id = volume.keys.id();
        VolumeInfo {
            petname: volume.petname.clone(),
            volume: id.to_string(),
            writable: volume.keys.pair().is_some(),
            created: volume.created,
            seq: self.book().seen(id).map_or(0, |held| held.record.seq()),
        }
    }

    /// Makes a volume. Nothing of it is in the network before its first change.
    pub(crate) async fn create(&self, petname: &str) -> Result<VolumeInfo, VolumesError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(|_| VolumesError::NoRandomness)?;
        self.insert(petname, Capability::Write { secret }).await
    }

    /// Takes a volume in that somebody else has made.
    pub(crate) async fn import(&self, import: VolumeImport) -> Result<VolumeInfo, VolumesError> {
        let capability = import.capability.parse()?;
        self.insert(&import.petname, capability).await
    }

    /// Takes a volume in under `petname`, or one like it that is free; says whether it was not known here. One that is
    /// known keeps its petname, and is written to from now on if the capability allows that.
    pub(crate) async fn take_in(
        &self,
        petname: &str,
        capability: Capability,
    ) -> Result<(VolumeInfo, bool), VolumesError> {
        let keys = VolumeKeys::of(&capability).ok_or(VolumesError::NotUnderstood)?;
        let (book, petname) = (self.book_handle(), petname.to_owned());
        let (volume, is_new) = on_disk(move || book.take_in(&petname, keys, now())).await??;
        Ok((self.info(&volume), is_new))
    }

    /// What a volume is called that a capability opens; `None` if it opens none.
    pub(crate) fn name_of(capability: &Capability) -> Option<String> {
        Some(VolumeKeys::of(capability)?.id().to_string())
    }

    /// The volumes that are known here but the home: what they are called everywhere and here, and what opens them.
    pub(crate) fn opened(&self) -> Vec<(String, String, Capability)> {
        let home = self.book().home();
        let all = self.book().all().into_iter().filter(|volume| Some(volume.keys.id()) != home);
        let opened = |volume: KnownVolume| {
            let capability = volume.keys.writing().unwrap_or_else(|| volume.keys.reading());
            (volume.keys.id().to_string(), volume.petname, capability)
        };
        all.map(opened).collect()
    }

    /// The volume that a recovery phrase opens, if this daemon has one.
    pub(crate) fn home(&self) -> Option<String> {
        self.book().home().map(|home| home.to_string())
    }

    /// It is this one from now on. Durable when this returns.
    pub(crate) async fn set_home(&self, name: &str) -> Result<(), VolumesError> {
        let volume = self.book().find(name)?;
        let book = self.book_handle();
        on_disk(move || book.set_home(volume.keys.id())).await??;
        Ok(())
    }

    async fn insert(&self, petname: &str, capability: Capability) -> Result<VolumeInfo, VolumesError> {
        let keys = VolumeKeys::of(&capability).ok_or(VolumesError::NotUnderstood)?;
        let (book, petname) = (self.book_handle(), petname.to_owned());
        let made = on_disk(move || book.insert(&petname, keys, now())).await?;
        Ok(self.info(&made?))
    }

    /// The text that opens a volume.
    pub(crate) fn export(&self, name: &str, access: VolumeAccess) -> Result<VolumeCapability, VolumesError> {
        let volume = self.book().find(name)?;
        let capability = match access {
            VolumeAccess::Read => volume.keys.reading(),
            VolumeAccess::Write => volume.keys.writing().ok_or(VolumesError::ReadOnly)?,
        };
        Ok(VolumeCapability {
            petname: volume.petname.clone(),
            volume: volume.keys.id().to_string(),
            capability: capability.to_string(),
        })
    }

    /// Forgets how to open a volume, and keeps nothing of it any more.
    pub(crate) async fn remove(&self, name: &str) -> Result<VolumeInfo, VolumesError> {
        let volume = self.book().find(name)?;
        let info = self.info(&volume);
        let (book, petname) = (self.book_handle(), volume.petname.clone());
        on_disk(move || book.remove(&petname)).await??;
        self.unneed_all_of(volume.keys.id()).await?;
        Ok(info)
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    wall_clock().0 / 1000
}

/// Lets the disk keep only this request waiting.
async fn on_disk<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, VolumesError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| VolumesError::Stopped)
}
