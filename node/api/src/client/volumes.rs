//! Requests about volumes and their snapshots.

use hyper::Method;
use hyper::header::{ACCEPT, CONTENT_TYPE, RANGE};
use serde::de::DeserializeOwned;

use super::{BodyFormat, Client, ClientError, Download, hex, put_query};
use crate::download::Lines;
use crate::exchange::json;
use crate::operation::{OPERATION_HEADER, OperationId};
use crate::range::ByteRange;
use crate::types::{
    PruneReport, PutQuery, SnapshotInfo, SnapshotRequest, SnapshotSelection, TreeReport, VerifyReport,
    VolumeCapability, VolumeChanged, VolumeChanges, VolumeDifference, VolumeEntry, VolumeEntryDetail,
    VolumeImport, VolumeInfo, VolumeValues,
};
use crate::upload::UploadBody;
use crate::uri::with_query;

/// Whether a capability may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeAccess {
    /// It can only read.
    Read,
    /// It can write as well.
    Write,
}

/// A part of a snapshot.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotPath<'a> {
    /// A petname, or the 64 digits of a volume.
    pub volume: &'a str,
    /// The id of a snapshot, or a beginning of it that fits only one, or `latest`.
    pub snapshot: &'a str,
    /// Path in it; `None`: all.
    pub path: Option<&'a [u8]>,
}

impl Client {
    /// The volumes that the daemon knows.
    pub async fn volumes(&self) -> Result<Vec<VolumeInfo>, ClientError> {
        self.exchange.get_json("/v1/volumes").await
    }

    /// Has the daemon make a volume and call it `petname`. Nothing of it is in the network before its first change.
    pub async fn create_volume(&self, petname: &str) -> Result<VolumeInfo, ClientError> {
        self.post_query("/v1/volumes/create", &[("name", Some(petname.to_owned()))]).await
    }

    /// Has the daemon take in a volume that was exported.
    pub async fn import_volume(&self, import: &VolumeImport) -> Result<VolumeInfo, ClientError> {
        self.post_body("/v1/volumes/import", import).await
    }

    /// The text that opens a volume.
    pub async fn export_volume(
        &self,
        volume: &str,
        access: VolumeAccess,
    ) -> Result<VolumeCapability, ClientError> {
        let access = match access {
            VolumeAccess::Read => "read",
            VolumeAccess::Write => "write",
        };
        let query = [("name", Some(volume.to_owned())), ("access", Some(access.to_owned()))];
        self.post_query("/v1/volumes/export", &query).await
    }

    /// Has the daemon forget how to open a volume, and keep nothing of it any more.
    pub async fn remove_volume(&self, volume: &str) -> Result<VolumeInfo, ClientError> {
        self.post_query("/v1/volumes/remove", &[("name", Some(volume.to_owned()))]).await
    }

    /// At most `limit` (1,000 by default and at most) keys that begin with `prefix` and are behind `after`, with their
    /// values. The state is the newest that a majority has; whatever was acknowledged before is in it.
    pub async fn volume_values(
        &self,
        volume: &str,
        prefix: &str,
        after: Option<&str>,
        limit: Option<u32>,
    ) -> Result<VolumeValues, ClientError> {
        let query = [
            ("volume", Some(volume.to_owned())),
            ("prefix", Some(prefix.to_owned())),
            ("after", after.map(str::to_owned)),
            ("limit", limit.map(|limit| limit.to_string())),
        ];
        self.exchange.get_json(&with_query("/v1/volumes/values", &query)).await
    }

    /// Changes keys, all or none. A conflict is an error of the code `conflict`, and then nothing was changed.
    pub async fn change_volume(&self, changes: &VolumeChanges) -> Result<VolumeChanged, ClientError> {
        self.post_body("/v1/volumes/change", changes).await
    }

    /// Stores a tree of files for a volume: an archive with full metadata. It is part of nothing until a snapshot names
    /// it. For `lock_seconds` its holders let nobody drop it.
    pub async fn put_tree(
        &self,
        volume: &str,
        body: UploadBody,
        query: &PutQuery,
        lock_seconds: u32,
    ) -> Result<TreeReport, ClientError> {
        let operation = OperationId::random();
        let [redundancy, allow_degraded, reread, ..] = put_query(query);
        let lock = ("lock_seconds", (lock_seconds > 0).then(|| lock_seconds.to_string()));
        let query = [("volume", Some(volume.to_owned())), redundancy, allow_degraded, reread, lock];
        let request = self
            .exchange
            .request(Method::POST, &with_query("/v1/volumes/trees", &query))
            .header(CONTENT_TYPE, BodyFormat::Tar.media_type())
            .header(OPERATION_HEADER, operation.to_string());
        let flow = body.flow();
        let outcome = async {
            let answer = self.exchange.send(request, body, Some(&flow)).await?;
            json(self.exchange.checked(answer).await?, self.exchange.timeouts.stall).await
        };
        match outcome.await {
            Ok(report) => Ok(report),
            // A daemon that refuses in the middle of a body closes the connection, and its answer may be lost with it.
            Err(error) => Err(self.exchange.account_for(error, operation).await),
        }
    }

    /// Enters a tree into a volume as a snapshot.
    pub async fn create_snapshot(&self, request: &SnapshotRequest) -> Result<SnapshotInfo, ClientError> {
        self.post_body("/v1/volumes/snapshots", request).await
    }

    /// The snapshots of a volume, the oldest first; with `forgotten` also those that can be taken back.
    pub async fn snapshots(&self, volume: &str, forgotten: bool) -> Result<Vec<SnapshotInfo>, ClientError> {
        let forgotten = forgotten.then(|| "true".to_owned());
        let query = [("volume", Some(volume.to_owned())), ("forgotten", forgotten)];
        self.exchange.get_json(&with_query("/v1/volumes/snapshots", &query)).await
    }

    /// Forgets snapshots: they are gone from lists at once, and for good with the next [`prune`](Self::prune_volume)
    /// after the grace.
    pub async fn forget_snapshots(
        &self,
        selection: &SnapshotSelection,
    ) -> Result<Vec<SnapshotInfo>, ClientError> {
        self.post_body("/v1/volumes/snapshots/forget", selection).await
    }

    /// Takes forgotten snapshots back.
    pub async fn undelete_snapshots(
        &self,
        selection: &SnapshotSelection,
    ) -> Result<Vec<SnapshotInfo>, ClientError> {
        self.post_body("/v1/volumes/snapshots/undelete", selection).await
    }

    /// Frees what snapshots needed that were forgotten at least `grace_seconds` (seven days by default) ago.
    pub async fn prune_volume(
        &self,
        volume: &str,
        grace_seconds: Option<u64>,
    ) -> Result<PruneReport, ClientError> {
        let grace = grace_seconds.map(|seconds| seconds.to_string());
        self.post_query("/v1/volumes/prune", &[("volume", Some(volume.to_owned())), ("grace", grace)]).await
    }

    /// Whether all that a snapshot (all of them by default) needs is there; with `read_data` every chunk is read.
    pub async fn verify_volume(
        &self,
        volume: &str,
        snapshot: Option<&str>,
        read_data: bool,
    ) -> Result<VerifyReport, ClientError> {
        let query = [
            ("volume", Some(volume.to_owned())),
            ("snapshot", snapshot.map(str::to_owned)),
            ("read_data", read_data.then(|| "true".to_owned())),
        ];
        self.post_query("/v1/volumes/verify", &query).await
    }

    /// The entries of a snapshot below a path: of the directory, with `recursive` all below it.
    pub async fn snapshot_entries(
        &self,
        of: &SnapshotPath<'_>,
        recursive: bool,
    ) -> Result<Lines<VolumeEntry>, ClientError> {
        let recursive = ("recursive", recursive.then(|| "true".to_owned()));
        let uri = snapshot_uri("/v1/volumes/entries", of, recursive);
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "application/x-ndjson");
        Ok(Lines::new(self.download(request).await?))
    }

    /// Those entries of a snapshot that are one of several names of a file: with the same `link_group` of the same
    /// file.
    pub async fn snapshot_links(
        &self,
        volume: &str,
        snapshot: &str,
    ) -> Result<Lines<VolumeEntry>, ClientError> {
        let of = SnapshotPath { volume, snapshot, path: None };
        let uri = snapshot_uri("/v1/volumes/entries", &of, ("links", Some("true".to_owned())));
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "application/x-ndjson");
        Ok(Lines::new(self.download(request).await?))
    }

    /// All that is known of one entry of a snapshot.
    pub async fn snapshot_entry(&self, of: &SnapshotPath<'_>) -> Result<VolumeEntryDetail, ClientError> {
        self.exchange.get_json(&snapshot_uri("/v1/volumes/entry", of, ("links", None))).await
    }

    /// A snapshot, or the part of it at a path, as an archive with full metadata.
    pub async fn snapshot_archive(&self, of: &SnapshotPath<'_>) -> Result<Download, ClientError> {
        let uri = snapshot_uri("/v1/volumes/archive", of, ("skip_files", None));
        self.download(self.exchange.request(Method::GET, &uri)).await
    }

    /// The bytes of a file of a snapshot.
    pub async fn snapshot_content(
        &self,
        of: &SnapshotPath<'_>,
        range: Option<ByteRange>,
    ) -> Result<Download, ClientError> {
        let uri = snapshot_uri("/v1/volumes/content", of, ("skip_files", None));
        let mut request = self.exchange.request(Method::GET, &uri);
        if let Some(range) = range {
            request = request.header(RANGE, format!("bytes={range}"));
        }
        self.download(request).await
    }

    /// How two snapshots of a volume differ.
    pub async fn snapshot_diff(
        &self,
        volume: &str,
        old: &str,
        new: &str,
    ) -> Result<Lines<VolumeDifference>, ClientError> {
        let query = [("volume", volume), ("old", old), ("new", new)]
            .map(|(key, value)| (key, Some(value.to_owned())));
        let uri = with_query("/v1/volumes/diff", &query);
        let request = self.exchange.request(Method::GET, &uri).header(ACCEPT, "application/x-ndjson");
        Ok(Lines::new(self.download(request).await?))
    }

    pub(super) async fn post_query<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&'static str, Option<String>)],
    ) -> Result<T, ClientError> {
        self.exchange.post_json(&with_query(path, query)).await
    }
}

fn snapshot_uri(path: &str, of: &SnapshotPath<'_>, more: (&'static str, Option<String>)) -> String {
    let query = [
        ("volume", Some(of.volume.to_owned())),
        ("snapshot", Some(of.snapshot.to_owned())),
        ("path_hex", of.path.map(hex)),
        more,
    ];
    with_query(path, &query)
}
