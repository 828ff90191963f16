//! Keeping records for others: answering what is held, and taking in what is written.

use alloc::{boxed::Box, vec::Vec};

use super::{
    Dht, Turn,
    record_state::Records,
    record_writes::{Ended, Waiting},
};
use crate::{
    CallId, Key, Time, WriteId,
    io::Output,
    message::{Message, Response},
    metric::Metric,
    params::MESSAGE_BYTES_MAX,
    peer::Peer,
    records::{
        Ballot, CLIENTS, Digests, Held, PROMISE, RecordRequest, RecordResponse, RecordTag, Refusal, Taken,
        Write, prefix_of, region_digest,
    },
};

/// Bytes of records in one message, so that it stays below the limit for messages.
pub(super) const RECORDS_BYTES: usize = MESSAGE_BYTES_MAX - 2048;
/// Tags in one answer to a comparison: at most 24 bytes each.
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

    /// Takes in the records that were on disk, before the node joins, each with the subnet that
    /// [`Output::KeepRecord`] named. Their signatures have been checked.
    pub fn load_records(&mut self, kept: impl IntoIterator<Item = (Held, u32)>) {
        if self.config.records {
            let records = self.records_mut();
            kept.into_iter().for_each(|(held, subnet)| records.shelf.load(held, subnet));
        }
    }

    /// For which subnet a record or a listing counts that a peer brings; 0 if there is no limit for it.
    pub(super) fn brought_from(&self, peer: &Peer) -> u32 {
        match peer.is_reachable() {
            false if self.table.grouping().is_some() => CLIENTS,
            _ => self.table.subnet_of(peer),
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
                let subnet = self.brought_from(from);
                match self.write_here(turn, &held, *write, subnet, Waiting::Peer(from.clone(), call)) {
                    Ok(Some(Taken::Older(held))) => RecordResponse::Newer { held, region },
                    Ok(Some(_)) => RecordResponse::Stored { region },
                    Ok(None) => return None,
                    Err(why) => RecordResponse::Refused { why, region },
                }
            }
            // Only neighbours share a region with this node.
            _ if !from.is_reachable() => return None,
            RecordRequest::Compare { digests, around } => self.compare_records(from, digests, *around)?,
            RecordRequest::Give(given) => {
                self.records_given(turn, from, given);
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
        // Whoever prepares a change has to hear of all that was accepted. What a crash may still lose counts for nobody
        // else.
        let held = match records.writes.on_disk(address).filter(|_| prepare.is_none()) {
            Some(on_disk) => on_disk.cloned(),
            None => records.shelf.get(address).cloned(),
        };
        (self.would_know(now, address), promised, held)
    }

    /// Takes a record in that comes from this subnet. Returns none if whoever `waiting` is will be answered once it is
    /// on disk.
    pub(super) fn write_here(
        &mut self,
        turn: &mut Turn<'_>,
        held: &Held,
        write: Write,
        subnet: u32,
        waiting: Waiting,
    ) -> Result<Option<Taken>, Refusal> {
        let unix_seconds = self.unix_seconds(turn.now);
        let address = held.record.address();
        let records = self.records_mut();
        let before = records.shelf.brought(address);
        match records.shelf.take(held, write, subnet, turn.now, unix_seconds)? {
            Taken::New => {}
            // Asked again, and not on disk yet.
            Taken::Same if records.writes.wait(address, &waiting) => return Ok(None),
            taken => return Ok(Some(taken)),
        }
        if !records.writes.has_room() {
            records.take_back(held, before);
            return Err(Refusal::Disk);
        }
        let write_id = records.writes.begin(held, before, Some(waiting));
        if matches!(write, Write::HandOver(_)) {
            // The rest of the region lacks it too.
            records.partners.hurry(turn.now + super::record_upkeep::SOON);
        }
        turn.out.push(Output::KeepRecord { held: held.clone(), subnet, write: write_id });
        Ok(None)
    }

    /// A record is on disk, or cannot be.
    pub(super) fn record_kept(&mut self, turn: &mut Turn<'_>, write: WriteId, kept: bool) {
        let records = self.records_mut();
        let Some(Ended { held, before, waiting }) = records.writes.end(write, kept) else { return };
        if kept {
            self.tell_watchers(turn, &held);
        } else {
            records.take_back(&held, before);
        }
        for waiting in waiting {
            match waiting {
                Waiting::Operation(serial, round) => {
                    self.own_write_ended(turn, serial, round, if kept { Ok(()) } else { Err(Refusal::Disk) });
                }
                Waiting::Peer(to, call) => {
                    let region = Vec::new();
                    let response = match kept {
                        true => RecordResponse::Stored { region },
                        false => RecordResponse::Refused { why: Refusal::Disk, region },
                    };
                    turn.send(&to, Message::Response(call, Response::Record(response)));
                }
            }
        }
    }

    /// A neighbour gives records that it says are missing here.
    pub(super) fn records_given(&mut self, turn: &mut Turn<'_>, from: &Peer, given: &[Held]) {
        let (unix_seconds, subnet) = (self.unix_seconds(turn.now), self.brought_from(from));
        for held in given.iter().take(RECORDS_IN_MESSAGE) {
            // What is not of our region takes no room from what is.
            if !self.keeps(held.record.address()) {
                continue;
            }
            let records = self.records_mut();
            let (write, before) = (Write::Repair(held.ballot), records.shelf.brought(held.record.address()));
            match records.shelf.take(held, write, subnet, turn.now, unix_seconds) {
                // It is given again with the next comparison.
                Ok(Taken::New) if !records.writes.has_room() => records.take_back(held, before),
                Ok(Taken::New) => {
                    let write = records.writes.begin(held, before, None);
                    turn.out.push(Output::KeepRecord { held: held.clone(), subnet, write });
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
        let (mine, theirs) = (self.care_of(self.own_id()), self.care_of(peer.id_ref()));
        let both = |address: &Key| self.is_in(&mine, address) && self.is_in(&theirs, address);
        records
            .shelf
            .iter_tagged()
            .filter(|(address, ..)| both(address))
            .map(|(address, held, tag)| {
                let prefix = prefix_of(address);
                (*address, RecordTag { prefix, seq: held.record.seq(), tag })
            })
            .collect()
    }

    /// Answers a neighbour that wants to compare; none if it asks for what cannot be.
    fn compare_records(&self, from: &Peer, digests: &[u32], around: u32) -> Option<RecordResponse> {
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
        let agreed = around == region_digest(self.partners_of(from.id_ref()).iter());
        Some(RecordResponse::Differences { parts, tags, more, agreed })
    }
}
