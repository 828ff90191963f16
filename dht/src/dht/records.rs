//! Keeping records for others: answering what is held, and taking in what is written.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Dht, Turn,
    record_state::{Records, Waiting},
};
use crate::{
    CallId, Distance, Key, Time, WriteId,
    io::Output,
    message::{Message, Response},
    metric::Metric,
    nearest,
    params::MESSAGE_BYTES_MAX,
    peer::Peer,
    records::{
        Ballot, Digests, Held, PROMISE, REGION, RecordRequest, RecordResponse, RecordTag, Refusal, Taken,
        Write, prefix_of, region_digest, tag_of,
    },
};

/// Bytes of records in one message, so that it stays below the limit for messages.
pub(super) const RECORDS_BYTES: usize = MESSAGE_BYTES_MAX - 2048;
/// Tags in one answer to a comparison: at most 20 bytes each.
const TAGS_MAX: usize = 600;
/// Records in one message.
pub(super) const RECORDS_IN_MESSAGE: usize = 64;

impl<M: Metric> Dht<M> {
    /// What it remembers of records; made when it is first needed.
    pub(super) fn records_mut(&mut self) -> &mut Records {
        self.records.get_or_insert_with(Box::default)
    }

    /// Seconds since 1970.
    pub(super) fn unix_seconds(&self, now: Time) -> u64 {
        self.lottery.unix_at_zero + now.as_micros() / 1_000_000
    }

    /// Takes in the records that were on disk, before the node joins. Their signatures have been checked.
    pub fn load_records(&mut self, held: impl IntoIterator<Item = Held>) {
        if self.config.records {
            let records = self.records_mut();
            held.into_iter().for_each(|held| records.shelf.load(held));
        }
    }

    /// How many records it keeps, and about how many bytes they take.
    pub fn records_kept(&self) -> (usize, usize) {
        self.records.as_ref().map_or((0, 0), |records| (records.shelf.len(), records.shelf.memory_bytes()))
    }

    /// The records that it keeps, in the order of their addresses.
    pub fn records(&self) -> impl Iterator<Item = &Held> {
        self.records.iter().flat_map(|records| records.shelf.iter().map(|(_, held)| held))
    }

    /// The nodes that keep the record of this address, nearest first, as far as this node's own neighbourhood shows it.
    /// Neighbours that have missed a probe are among them: only when they are given up does the region move on.
    pub(super) fn region_of(&self, address: &Key) -> Vec<(Peer, Distance)> {
        let me = self.local.id_ref().key();
        let mut region = Vec::with_capacity(2 * REGION);
        if self.is_member() {
            region.push((self.local.clone(), self.metric.distance(me, address)));
        }
        let others = region.len() + REGION;
        nearest::walk(&self.metric, me, self.leaves.as_slice(), address, &mut |distance, leaf| {
            region.push((leaf.peer.clone(), distance));
            region.len() < others
        });
        region.sort_unstable_by(|(a, near), (b, far)| near.cmp(far).then_with(|| a.id_ref().cmp(b.id_ref())));
        region.truncate(REGION);
        region
    }

    /// Whether fewer than nine of those this node knows are nearer to the address than `peer` is.
    pub(super) fn is_in_region(&self, peer: &Peer, address: &Key) -> bool {
        let me = self.local.id_ref();
        let nearer = |other: &Peer| self.metric.closer(address, other.id_ref(), peer.id_ref()).is_lt();
        let mut count = usize::from(peer.id_ref() != me && self.is_member() && nearer(&self.local));
        nearest::walk(&self.metric, me.key(), self.leaves.as_slice(), address, &mut |_, leaf| {
            if leaf.peer.id_ref() == peer.id_ref() || !nearer(&leaf.peer) {
                return false;
            }
            count += 1;
            count < REGION
        });
        count < REGION
    }

    /// The region, for somebody who sees another one.
    pub(super) fn correction(&self, address: &Key, seen: u32) -> Vec<Peer> {
        let region = self.region_of(address);
        if region_digest(region.iter().map(|(peer, _)| peer.id_ref())) == seen {
            return Vec::new();
        }
        region.into_iter().map(|(peer, _)| peer).collect()
    }

    /// What a question about records is answered with; none if the answer comes later, or never.
    pub(super) fn record_asked(
        &mut self,
        turn: &mut Turn<'_>,
        from: &Peer,
        call: CallId,
        request: &RecordRequest,
    ) -> Option<RecordResponse> {
        if !self.config.records || !self.is_member() {
            return None;
        }
        Some(match request {
            RecordRequest::Read { address, prepare, region } => {
                let region = self.correction(address, *region);
                let (ready, promised, held) = self.read_here(turn.now, address, *prepare);
                RecordResponse::State { ready, promised, held, region }
            }
            RecordRequest::Watch { address, region } => {
                let region = self.correction(address, *region);
                let (ready, promised, held) = self.read_here(turn.now, address, None);
                self.records_mut().watchers.add(*address, from, turn.now);
                RecordResponse::State { ready, promised, held, region }
            }
            RecordRequest::Write { record, write, region } => {
                let address = *record.address();
                let held = Held { record: record.clone(), ballot: write.ballot() };
                let region = self.correction(&address, *region);
                match self.write_here(turn, &held, *write, Waiting::Peer(from.clone(), call)) {
                    Ok(Some(Taken::Older(held))) => RecordResponse::Newer { held, region },
                    Ok(Some(_)) => RecordResponse::Stored { region },
                    Ok(None) => return None,
                    Err(why) => RecordResponse::Refused { why, region },
                }
            }
            // Only neighbours share a region with this node.
            _ if !from.is_reachable() => return None,
            RecordRequest::Compare { digests } => self.compare_records(from, digests)?,
            RecordRequest::Give(given) => {
                self.records_given(turn, given);
                RecordResponse::Taken
            }
            RecordRequest::Want(prefixes) => RecordResponse::Given(self.give(prefixes)),
        })
    }

    /// What is held here; and the promise, if one is asked for.
    pub(super) fn read_here(
        &mut self,
        now: Time,
        address: &Key,
        prepare: Option<Ballot>,
    ) -> (bool, Ballot, Option<Held>) {
        let records = self.records_mut();
        let promised = match prepare {
            Some(ballot) => records.shelf.promise(address, ballot, now),
            None => records.shelf.promised(address, now),
        };
        (records.partners.is_ready(now), promised, records.shelf.get(address).cloned())
    }

    /// Takes a record in. Returns none if whoever `waiting` is will be answered once it is on disk.
    pub(super) fn write_here(
        &mut self,
        turn: &mut Turn<'_>,
        held: &Held,
        write: Write,
        waiting: Waiting,
    ) -> Result<Option<Taken>, Refusal> {
        let unix_seconds = self.unix_seconds(turn.now);
        let records = self.records_mut();
        let taken = records.shelf.take(held, write, turn.now, unix_seconds)?;
        if taken != Taken::New {
            return Ok(Some(taken));
        }
        let id = records.begin_write(waiting).ok_or(Refusal::Disk)?;
        if matches!(write, Write::HandOver(_)) {
            // The rest of the region lacks it too.
            records.partners.hurry(turn.now + super::record_upkeep::SOON);
        }
        turn.out.push(Output::KeepRecord { held: held.clone(), write: Some(id) });
        self.tell_watchers(turn, held);
        Ok(None)
    }

    /// A record is on disk, or cannot be.
    pub(super) fn record_kept(&mut self, turn: &mut Turn<'_>, write: WriteId, kept: bool) {
        match self.records_mut().end_write(write) {
            None => {}
            Some(Waiting::Operation(serial, round)) => {
                self.own_write_ended(turn, serial, round, if kept { Ok(()) } else { Err(Refusal::Disk) });
            }
            Some(Waiting::Peer(to, call)) => {
                let region = Vec::new();
                let response = match kept {
                    true => RecordResponse::Stored { region },
                    false => RecordResponse::Refused { why: Refusal::Disk, region },
                };
                turn.send(&to, Message::Response(call, Response::Record(response)));
            }
        }
    }

    /// A neighbour gives records that it says are missing here.
    pub(super) fn records_given(&mut self, turn: &mut Turn<'_>, given: &[Held]) {
        let unix_seconds = self.unix_seconds(turn.now);
        for held in given.iter().take(RECORDS_IN_MESSAGE) {
            // What is not of our region takes no room from what is.
            if !self.is_in_region(&self.local, held.record.address()) {
                continue;
            }
            let records = self.records_mut();
            let write = Write::Repair(held.ballot);
            match records.shelf.take(held, write, turn.now, unix_seconds) {
                Ok(Taken::New) => {
                    turn.out.push(Output::KeepRecord { held: held.clone(), write: None });
                    self.tell_watchers(turn, held);
                }
                // If the attempt that stands against it comes to nothing, it is needed.
                Err(Refusal::NotPromised) => records.partners.hurry(turn.now + PROMISE),
                Ok(Taken::Same | Taken::Older(_)) | Err(_) => {}
            }
        }
    }

    /// Those of these records that are held, as many as fit into a message.
    fn give(&self, prefixes: &[u64]) -> Vec<Held> {
        let Some(records) = &self.records else { return Vec::new() };
        let mut room = RECORDS_BYTES;
        let mut given = Vec::new();
        for held in
            prefixes.iter().take(RECORDS_IN_MESSAGE).filter_map(|prefix| records.shelf.with_prefix(*prefix))
        {
            let Some(left) = room.checked_sub(held.record.encoded_len()) else { break };
            room = left;
            given.push(held.clone());
        }
        given
    }

    /// The records that both this node and a neighbour should hold.
    pub(super) fn shared_with(&self, peer: &Peer) -> Vec<(Key, RecordTag)> {
        let Some(records) = &self.records else { return Vec::new() };
        let both =
            |address: &Key| self.is_in_region(&self.local, address) && self.is_in_region(peer, address);
        let tag = |held: &Held| RecordTag {
            prefix: prefix_of(held.record.address()),
            seq: held.record.seq(),
            tag: tag_of(held),
        };
        records.shelf.iter().filter(|(address, _)| both(address)).map(|(at, held)| (*at, tag(held))).collect()
    }

    /// Answers a neighbour that wants to compare; none if it asks for what cannot be.
    fn compare_records(&self, from: &Peer, digests: &[u32]) -> Option<RecordResponse> {
        let buckets = digests.len();
        if !buckets.is_power_of_two() || buckets > crate::records::BUCKETS_MAX {
            return None;
        }
        let shared = self.shared_with(from);
        let mut own = Digests::empty(buckets);
        let mut counts = alloc::vec![0_usize; buckets];
        for (address, tag) in &shared {
            own.add(address, tag.tag);
            counts[Digests::bucket(address, buckets)] += 1;
        }
        let (mut parts, mut room, mut more) = (Vec::new(), TAGS_MAX, false);
        for part in (0..buckets).filter(|part| own.0[*part] != digests[*part]) {
            // One part always fits: whoever asks with too few parts is told what it can be told.
            if counts[part] > room && !parts.is_empty() {
                more = true;
                continue;
            }
            room = room.saturating_sub(counts[part]);
            parts.push(part as u8);
        }
        let told = |address: &Key| parts.contains(&(Digests::bucket(address, buckets) as u8));
        let mut tags: Vec<RecordTag> =
            shared.iter().filter(|(address, _)| told(address)).map(|(_, tag)| *tag).collect();
        more |= tags.len() > TAGS_MAX;
        tags.truncate(TAGS_MAX);
        Some(RecordResponse::Differences { parts, tags, more })
    }
}
