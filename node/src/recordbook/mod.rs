//! The signed records that this daemon keeps for others, on disk: one thread writes them, many in one change, and says
//! which a crash would not lose any more.

use std::io;
use std::path::Path;

use chordage_dht::{Held, Key, WriteId};
use chordage_storage::rows::{Change, Rows, Table};
use tokio::sync::mpsc;

use crate::network::NetworkFingerprint;
use crate::tasks::Tasks;

/// The directory and its file.
pub(crate) const RECORDS_FILE: &str = "records/records.redb";
const DIRECTORY: &str = "records";
const FILE: &str = "records.redb";
const HELD: Table = Table("held");
/// Changes that may wait for the disk; more are told to have failed, and their writers try again.
const WAITING_MAX: usize = 1024;
/// Changes that are written at once.
const TOGETHER_MAX: usize = 256;

/// One thing to be written.
#[derive(Debug)]
pub(crate) enum RecordChange {
    /// Keep this, with the subnet that brought it, and say so under this number.
    Keep(Held, u32, WriteId),
    /// Keep it no longer.
    Drop(Key),
}

/// The open file.
pub(crate) struct RecordBook {
    rows: Rows,
}

/// Both ends of the way to the disk.
pub(crate) struct RecordDisk {
    /// Takes what is to be written.
    pub(crate) changes: mpsc::Sender<RecordChange>,
    /// Gives what has been, and whether it succeeded.
    pub(crate) written: mpsc::Receiver<(WriteId, bool)>,
}

impl RecordBook {
    /// Opens or makes the book below `dir`. Records of another network are forgotten: nobody would believe them here.
    pub(crate) fn open(dir: &Path, network: NetworkFingerprint) -> io::Result<Self> {
        let rows = Rows::open(&dir.join(DIRECTORY), FILE, &network.0)?;
        let rows = rows.ok_or_else(|| io::Error::other("the book of records is in use"))?;
        Ok(Self { rows })
    }

    /// Whether it was damaged, and begun anew.
    pub(crate) fn begun_anew(&self) -> bool {
        self.rows.begun_anew() > 0
    }

    /// Everything in it, with the subnets. What cannot be read is left out: the other holders have it.
    pub(crate) fn load(&self) -> io::Result<Vec<(Held, u32)>> {
        let rows = self.rows.all(HELD)?;
        Ok(rows.iter().filter_map(|(_, bytes)| kept(bytes)).collect())
    }

    /// Starts the thread that writes. It ends when nobody can give it anything any more.
    pub(crate) fn start(self, tasks: &Tasks) -> io::Result<RecordDisk> {
        let (changes, waiting) = mpsc::channel(WAITING_MAX);
        let (done, written) = mpsc::channel(WAITING_MAX);
        let tasks = tasks.clone();
        std::thread::Builder::new().name("records".to_owned()).spawn(move || {
            tasks.essential_thread("records", || self.write(waiting, &done));
        })?;
        Ok(RecordDisk { changes, written })
    }

    fn write(&self, mut waiting: mpsc::Receiver<RecordChange>, done: &mpsc::Sender<(WriteId, bool)>) {
        let mut failing = false;
        while let Some(first) = waiting.blocking_recv() {
            let (mut changes, mut ids) = (Vec::new(), Vec::new());
            let more = std::iter::from_fn(|| waiting.try_recv().ok());
            for change in std::iter::once(first).chain(more).take(TOGETHER_MAX) {
                let (change, id) = row(change);
                changes.extend(change);
                ids.extend(id);
            }
            let written = self.rows.change(true, &changes);
            if let Err(error) = &written
                && !failing
            {
                tracing::error!(%error, "records of others cannot be written: they are refused until it works again");
            }
            failing = written.is_err();
            for id in ids {
                // A driver that has stopped answers nobody.
                let _ = done.blocking_send((id, !failing));
            }
        }
    }
}

/// The value of a row. Those of earlier daemons end with the record and its ballot.
fn kept(bytes: &[u8]) -> Option<(Held, u32)> {
    let (held, rest) = postcard::take_from_bytes(bytes).ok()?;
    Some((held, postcard::from_bytes(rest).unwrap_or(0)))
}

fn row(change: RecordChange) -> (Option<Change>, Option<WriteId>) {
    match change {
        RecordChange::Keep(held, subnet, id) => {
            // Records are small and of types that can always be encoded; one that could not be is not kept.
            let value = postcard::to_allocvec(&(&held, subnet)).ok();
            let key = held.record.address().as_bytes().to_vec();
            (value.map(|value| Change { table: HELD, key, value: Some(value) }), Some(id))
        }
        RecordChange::Drop(address) => {
            (Some(Change { table: HELD, key: address.as_bytes().to_vec(), value: None }), None)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use chordage_dht::{Namespace, RecordName, Signature, Statement};

    use super::*;

    fn held() -> Held {
        let name = RecordName::new(Namespace::NAMES, [1; 32], b"").unwrap();
        let (valid_until, value) = (u64::MAX, b"value".to_vec());
        let statement = Statement { name, seq: 1, valid_until, ttl: 300, previous: None, value };
        let record = statement.signed(Signature([0; 64])).unwrap().into();
        Held { record, ballot: chordage_dht::Ballot::default() }
    }

    #[test]
    fn a_row_says_which_subnet_brought_the_record() {
        for subnet in [0, 5, u32::MAX] {
            let (change, _) = row(RecordChange::Keep(held(), subnet, WriteId(0)));
            assert_eq!(kept(&change.unwrap().value.unwrap()), Some((held(), subnet)));
        }
    }

    /// Daemons of both kinds can follow each other.
    #[test]
    fn rows_without_a_subnet_are_read_and_those_with_one_can_be_read_as_before() {
        let old = postcard::to_allocvec(&held()).unwrap();
        assert_eq!(kept(&old), Some((held(), 0)));
        let (change, _) = row(RecordChange::Keep(held(), 5, WriteId(0)));
        assert_eq!(postcard::from_bytes::<Held>(&change.unwrap().value.unwrap()), Ok(held()));
        assert_eq!(kept(&old[..old.len() - 1]), None);
    }
}
