//! What the API says about leases.

use chordage_api::types::LeaseStatus;

use super::Leases;

impl Leases {
    /// Who has this daemon keep what, what it frees, and what it keeps itself.
    pub(crate) async fn status(&self) -> LeaseStatus {
        // The log says why there are no figures.
        let claimed = self.holders.store.claimed().await.unwrap_or_default();
        let (kept_objects, kept_chunks) = self.keeping.totals().await.unwrap_or_default();
        let (freed_shards, freed_bytes) = self.holders.store.freeing().freed();
        LeaseStatus {
            claims: claimed.all.claims,
            nobodys_claims: claimed.nobodys.claims,
            freeing_chunks: claimed.freeing.claims,
            freeing_bytes: claimed.freeing.bytes,
            freed_shards,
            freed_bytes,
            expire: self.keeping.expires(),
            kept_objects,
            kept_chunks,
            unrenewed_chunks: self.keeping.unrenewed(),
        }
    }
}
