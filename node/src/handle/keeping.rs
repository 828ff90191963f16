//! Requests about what is kept.

use chordage_api::types::{KeepState, KeptObject};
use chordage_storage::lease::{Kept, KeptState, RECOVERED};
use chordage_storage::{ChunkId, Link};

use super::NodeHandle;
use crate::get::GetError;
use crate::leases::{ForgetError, KeepError, Promised};

/// Why the daemon does not keep an object that it was asked to keep.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeepObjectError {
    /// A verify link does for what is kept already only.
    #[error(
        "this daemon does not keep the object, and a verify link does not say which chunks it consists of"
    )]
    Sealed,
    /// The list of its chunks cannot be read.
    #[error(transparent)]
    Open(#[from] GetError),
    /// Its holders were asked, and that is not enough.
    #[error(transparent)]
    Keep(#[from] KeepError),
    /// The book of what is kept cannot be read, or has lost it again.
    #[error(transparent)]
    Kept(#[from] ForgetError),
}

impl NodeHandle {
    /// Has the holders of an object keep it for this daemon, from now on until it is forgotten. A verify link does for
    /// what is kept already: of anything else it does not say which chunks there are.
    pub(crate) async fn keep(&self, link: &Link) -> Result<KeptObject, KeepObjectError> {
        let leases = &self.inner.leases;
        if let Link::Verify { id } = link {
            let kept = leases.keeping.get(*id).await.map_err(ForgetError::Book)?;
            return match kept.filter(|kept| kept.state == KeptState::Kept) {
                Some(kept) => Ok(self.describe_one(kept).await),
                None => Err(KeepObjectError::Sealed),
            };
        }
        let object = self.open(link).await?;
        let promise = leases.keeping.promise(0);
        for chunk in object.distinct_chunks() {
            let redundancy = chunk.redundancy.unwrap_or(object.redundancy());
            promise.rely_on(chunk.id, redundancy, redundancy.k());
        }
        let bytes = object.manifest().summary().bytes;
        let promised = Promised { root: link.id(), bytes, stored_bytes: 0, put: false, name: None };
        promise.fulfil(leases, promised).await?;
        let kept = leases.keeping.get(link.id()).await.map_err(ForgetError::Book);
        Ok(self.describe_one(kept?.ok_or(ForgetError::NotKept)?).await)
    }

    /// Stops keeping an object.
    pub(crate) async fn forget(&self, link: &Link) -> Result<KeptObject, ForgetError> {
        let keeping = &self.inner.leases.keeping;
        // Before they are forgotten with it.
        let names = keeping.names(vec![link.id()]).await.map_err(ForgetError::Book)?.pop();
        let forgotten = keeping.forget(link.id()).await?;
        self.inner.reader.recent.forget(link.id());
        Ok(self.described(forgotten, names.unwrap_or_default()))
    }

    /// At most `most` kept objects behind `after`.
    pub(crate) async fn keeps(
        &self,
        after: Option<ChunkId>,
        most: usize,
    ) -> Result<Vec<KeptObject>, ForgetError> {
        let kept = self.inner.leases.keeping.list(after, most).await.map_err(ForgetError::Book)?;
        Ok(self.describe(kept).await)
    }

    /// With their names, as far as the book can be read.
    async fn describe(&self, kept: Vec<Kept>) -> Vec<KeptObject> {
        let roots = kept.iter().map(|kept| kept.root).collect();
        let names = self.inner.leases.keeping.names(roots).await.unwrap_or_default();
        let names = names.into_iter().chain(std::iter::repeat(Vec::new()));
        kept.into_iter().zip(names).map(|(kept, names)| self.described(kept, names)).collect()
    }

    pub(super) async fn describe_one(&self, kept: Kept) -> KeptObject {
        let names = self.inner.leases.keeping.names(vec![kept.root]).await.unwrap_or_default().pop();
        self.described(kept, names.unwrap_or_default())
    }

    fn described(&self, kept: Kept, names: Vec<String>) -> KeptObject {
        let (renewed, until) = self.inner.leases.keeping.renewed(&kept);
        KeptObject {
            verify_link: Link::Verify { id: kept.root }.to_string(),
            names,
            state: match kept.state {
                KeptState::Kept if kept.root == RECOVERED => KeepState::Recovered,
                KeptState::Kept => KeepState::Kept,
                KeptState::Forgetting | KeptState::Forgotten => KeepState::Forgetting,
            },
            put: kept.put,
            since: kept.since.0 / 1000,
            bytes: kept.bytes,
            stored_bytes: kept.stored_bytes,
            chunks: kept.chunks,
            renewed,
            until,
            retained_until: Some(kept.retained_until.0 / 1000).filter(|until| *until > 0),
        }
    }
}
