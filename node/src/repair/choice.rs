//! What is to be made again of a chunk, and who can take it: decided by what holders have said, without asking anybody.

use std::collections::BTreeSet;

use chordage_dht::Peer;
use chordage_storage::repair::{Answer, ChunkRecord, Moment, Need, Patience, assess, spare};
use chordage_storage::{Redundancy, ShardSet};

use crate::placement::spread;

/// Somebody who may take a shard, if it has said what it has.
pub(super) struct Candidate {
    pub(super) peer: Peer,
    /// Whether it may be given another shard.
    pub(super) trusted: bool,
    /// Whether it is this daemon.
    pub(super) local: bool,
}

/// What all of them show together.
pub(super) fn shown(answers: &[(Peer, Answer)]) -> ShardSet {
    answers.iter().filter_map(|(_, answer)| answer.held).fold(ShardSet::EMPTY, |all, held| all | held)
}

/// What they have said, for a record.
pub(super) fn heard(answers: &[(Peer, Answer)]) -> Vec<Answer> {
    answers.iter().map(|(_, answer)| *answer).collect()
}

/// Those that showed a shard.
pub(super) fn holding(answers: &[(Peer, Answer)]) -> Vec<Peer> {
    let holds = |answer: &Answer| answer.held.is_some_and(|held| !held.is_empty());
    answers.iter().filter(|(_, answer)| holds(answer)).map(|(peer, _)| peer.clone()).collect()
}

/// The shards that are to be made: what the record says is missing now, and what was found `damaged` here and nobody
/// shows.
pub(super) fn wanted(
    damaged: ShardSet,
    record: Option<&mut ChunkRecord>,
    answers: &[(Peer, Answer)],
    now: Moment,
    patience: &Patience,
) -> BTreeSet<u8> {
    let mut wanted = BTreeSet::new();
    if let Some(record) = record {
        record.observe(now, &heard(answers), |_| None);
        if let Need::Repair { wanted: missing, .. } = assess(record, now, patience) {
            wanted.extend(missing);
        }
    }
    wanted.extend((damaged - shown(answers)).iter());
    wanted
}

/// Who can take a shard and is trusted with one, in the order in which to ask: those that said they have none of the
/// chunk, and then those of whose shards others have copies. Whoever has said nothing is not among them.
pub(super) fn free_to_take(
    redundancy: Redundancy,
    candidates: impl Iterator<Item = Candidate>,
    answers: &[(Peer, Answer)],
) -> Vec<Peer> {
    let all = ShardSet::whole(redundancy);
    let said = |candidate: Candidate| {
        let (_, answer) = answers.iter().find(|(other, _)| other.id() == candidate.peer.id())?;
        Some((candidate, answer.held? & all))
    };
    let mut candidates: Vec<(Candidate, ShardSet)> = candidates.filter_map(said).collect();
    // Of several with the same shard, whoever is not trusted with another is the one that is counted on for it. What is
    // kept here need not be sent.
    candidates.sort_by_key(|(one, _)| (!one.trusted, !one.local));
    let shown: Vec<ShardSet> = candidates.iter().map(|(_, shown)| *shown).collect();
    let free = candidates.into_iter().zip(spare(&shown)).filter(|((one, _), free)| *free && one.trusted);
    let (empty, others): (Vec<_>, Vec<_>) = free.map(|(one, _)| one).partition(|(_, shown)| shown.is_empty());
    let spread = spread(redundancy);
    let beside = |holders: &[Peer], some: Vec<(Candidate, ShardSet)>| {
        spread.beside(holders, some.into_iter().map(|(one, _)| one.peer).collect())
    };
    let mut holders = holding(answers);
    let mut free = beside(&holders, empty);
    holders.extend(free.iter().cloned());
    free.extend(beside(&holders, others));
    free
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use chordage_dht::PeerInfo;
    use chordage_storage::repair::Holder;

    use super::*;

    /// Two of four shards suffice.
    fn redundancy() -> Redundancy {
        Redundancy::new(2, 4).expect("a code")
    }

    fn peer(number: u8) -> Peer {
        Arc::new(PeerInfo::new([number; 32], Vec::new(), 1).expect("valid"))
    }

    /// What a peer has said that it has; none if it did not answer.
    fn said(number: u8, held: Option<&[u8]>) -> (Peer, Answer) {
        let held = held.map(|indices| indices.iter().copied().collect());
        (peer(number), Answer { holder: Holder([number; 8]), held })
    }

    fn candidate(number: u8) -> Candidate {
        Candidate { peer: peer(number), trusted: true, local: false }
    }

    fn free(candidates: Vec<Candidate>, answers: &[(Peer, Answer)]) -> Vec<u8> {
        let free = free_to_take(redundancy(), candidates.into_iter(), answers);
        free.iter().map(|peer| peer.public_key()[0]).collect()
    }

    #[test]
    fn who_has_nothing_is_asked_first_and_then_those_of_whose_shards_others_have_copies() {
        let answers = [
            said(1, Some(&[0])),
            said(2, Some(&[0])),
            said(3, Some(&[])),
            said(4, Some(&[1])),
            said(5, None),
            said(6, Some(&[])),
        ];
        let candidates = (1..=6).map(candidate).collect();
        assert_eq!(free(candidates, &answers), [3, 6, 1], "4 has the only one, and 5 has said nothing");
    }

    #[test]
    fn who_is_not_trusted_gets_nothing_and_is_counted_on_for_what_it_has() {
        let answers = [said(1, Some(&[0])), said(2, Some(&[0])), said(3, Some(&[]))];
        let mut candidates: Vec<Candidate> = (1..=3).map(candidate).collect();
        candidates[0].trusted = false;
        candidates[2].trusted = false;
        assert_eq!(free(candidates, &answers), [2], "1 keeps the shard that both have");
    }

    #[test]
    fn what_is_kept_here_need_not_be_sent() {
        let answers = [said(1, Some(&[])), said(2, Some(&[]))];
        let mut candidates: Vec<Candidate> = [1, 2].map(candidate).into();
        candidates[1].local = true;
        assert_eq!(free(candidates, &answers), [2, 1]);
    }

    #[test]
    fn shards_that_the_chunk_does_not_have_are_none() {
        let answers = [said(1, Some(&[4, 127])), said(2, Some(&[3]))];
        assert_eq!(free([1, 2].map(candidate).into(), &answers), [1]);
    }

    #[test]
    fn what_was_damaged_here_is_made_again_unless_somebody_shows_it() {
        let answers = [said(1, Some(&[0])), said(2, None)];
        let damaged: ShardSet = [0, 2].into_iter().collect();
        let long = Duration::from_secs(1_000);
        let patience = Patience { suspect_after: long, lost_after: long, restore_after: long };
        let made = wanted(damaged, None, &answers, Moment(1), &patience);
        assert_eq!(made, BTreeSet::from([2]));
        assert_eq!(shown(&answers), ShardSet::of(0));
        assert_eq!(holding(&answers), [peer(1)]);
    }
}
