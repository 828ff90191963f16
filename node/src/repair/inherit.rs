//! For whom a shard that is made again is kept: what is left of the claims on its chunk, at those that hold shards of
//! it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use chordage_dht::Peer;
use chordage_storage::lease::{Claim, MAX_WRITERS};
use chordage_storage::{ChunkId, Writer};
use tokio::time::Instant;

use super::Inner;
use crate::holders::limits;
use crate::store::Asked;

/// Holders that are asked besides this one. More than one, because a crash may have taken a claim; not all, because
/// each more adds little.
const ASKED_MAX: usize = 8;

/// The claims to hand on with a shard of `chunk`; `None` if nobody wants it any more, as far as this daemon and the
/// others know: what no live claim covers is not made again. `holders` have shards of it.
pub(super) async fn inherited(
    inner: &Inner,
    chunk: ChunkId,
    holders: impl Iterator<Item = &Peer>,
) -> Option<Asked> {
    let own = inner.holders.store.claims(chunk).await.unwrap_or(Some(Vec::new()));
    let deadline = Instant::now() + limits::HELD_FOR_REPAIR;
    let asked = holders
        .filter(|peer| !inner.placement.is_local(peer))
        .take(ASKED_MAX)
        .map(|peer| inner.holders.client.claims(peer, chunk, deadline));
    let heard: Vec<Vec<Claim>> = futures::future::join_all(asked).await.into_iter().flatten().collect();
    wanted(own, heard).map(Asked::heard)
}

/// The claims to hand on, of those that this daemon has (`None`: all that it had have ended) and of those that each
/// other holder that answered has; `None` if the chunk is not to be made again.
fn wanted(own: Option<Vec<Claim>>, heard: Vec<Vec<Claim>>) -> Option<Vec<Claim>> {
    // Where nobody answers nothing is known, and what may be wanted is kept.
    let known = own.is_none() || !heard.is_empty();
    // Here all claims may have ended, and others may still have one that a crash has taken here.
    let claims = together(own.unwrap_or_default(), heard);
    (!known || !claims.is_empty()).then_some(claims)
}

/// What is known here comes first and stands as it is. Of what others say, that of most of them comes first, so that
/// one who makes up writers crowds nobody out; how long is what the most generous says, since it errs towards keeping.
fn together(own: Vec<Claim>, heard: Vec<Vec<Claim>>) -> Vec<Claim> {
    let mut said: BTreeMap<Writer, (u32, Claim)> = BTreeMap::new();
    for claim in heard.into_iter().flatten() {
        if own.iter().any(|known| known.writer == claim.writer) {
            continue;
        }
        let (votes, known) = said.entry(claim.writer).or_insert((0, claim));
        *votes += 1;
        known.lease_seconds = known.lease_seconds.max(claim.lease_seconds);
        known.retain_seconds = known.retain_seconds.max(claim.retain_seconds);
    }
    let mut said: Vec<(u32, Claim)> = said.into_values().collect();
    said.sort_by_key(|(votes, claim)| (Reverse(*votes), claim.writer));
    own.into_iter().chain(said.into_iter().map(|(_, claim)| claim)).take(MAX_WRITERS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(writer: u8, lease_seconds: u32, retain_seconds: u32) -> Claim {
        Claim { writer: Writer([writer; 32]), lease_seconds, retain_seconds }
    }

    #[test]
    fn what_a_crash_took_here_is_heard_of_elsewhere() {
        let heard = vec![vec![claim(1, 99, 99), claim(2, 5, 0)], vec![claim(2, 4, 7)]];
        assert_eq!(together(vec![claim(1, 10, 0)], heard), [claim(1, 10, 0), claim(2, 5, 7)]);
    }

    #[test]
    fn what_no_live_claim_covers_is_not_made_again() {
        assert_eq!(wanted(Some(Vec::new()), vec![Vec::new()]), None, "a holder has no claim on it");
        assert_eq!(wanted(None, Vec::new()), None, "the claims have ended here");
        assert_eq!(wanted(Some(Vec::new()), Vec::new()), Some(Vec::new()), "nothing is known");
        assert_eq!(wanted(None, vec![vec![claim(1, 5, 0)]]), Some(vec![claim(1, 5, 0)]));
        assert_eq!(wanted(Some(vec![claim(2, 5, 0)]), vec![Vec::new()]), Some(vec![claim(2, 5, 0)]));
    }

    #[test]
    fn who_makes_up_writers_crowds_out_nobody() {
        let real = vec![claim(201, 10, 0)];
        let made_up: Vec<Claim> = (1..=64).map(|writer| claim(writer, 10, 0)).collect();
        let all = together(Vec::new(), vec![made_up, real.clone(), real]);
        assert_eq!((all.len(), all[0]), (64, claim(201, 10, 0)));
    }
}
