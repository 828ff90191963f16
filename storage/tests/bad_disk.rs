//! What the system says of a disk is no reason to begin a file anew, whichever kind of error it is: the file may be
//! whole.

#![allow(clippy::unwrap_used)]

#[path = "harness/disk.rs"]
#[allow(dead_code, unreachable_pub)]
mod disk;

use std::io::{self, ErrorKind};
use std::time::Duration;

use chordage_storage::catalog::Catalog;
use chordage_storage::lease::{Claim, Claims, Keeps, NewClaim};
use chordage_storage::repair::{ChunkRecord, Ledger, Moment};
use chordage_storage::rows::{Change, Rows, Table};
use chordage_storage::store::{Files, ShardStore, StoreConfig};
use chordage_storage::{ChunkId, ConvergenceSecret, Redundancy, Writer};
use disk::Disk;

const CHUNK: ChunkId = ChunkId([7; 32]);
const TABLE: Table = Table("table");

/// Opens a file, looks whether what was put into it is there, and says how often it was begun anew.
type Open = fn(Box<dyn Files>, put: bool) -> io::Result<(bool, u64)>;

fn rows(files: Box<dyn Files>, put: bool) -> io::Result<(bool, u64)> {
    let rows = Rows::open_files(files, "rows.redb", b"test")?;
    if put {
        rows.change(true, &[Change { table: TABLE, key: vec![1], value: Some(vec![2]) }])?;
    }
    Ok((rows.get(TABLE, &[1])?.is_some(), rows.begun_anew()))
}

fn ledger(files: Box<dyn Files>, put: bool) -> io::Result<(bool, u64)> {
    let io = |error: chordage_storage::repair::LedgerError| io::Error::other(error);
    let ledger = Ledger::open_files(files, "holders.redb").map_err(io)?;
    if put {
        let record = ChunkRecord::new(Redundancy::new(2, 4).unwrap(), 1, Moment(7));
        ledger.write([(&CHUNK, Some(&record))]).and_then(|()| ledger.flush()).map_err(io)?;
    }
    Ok((ledger.get(&CHUNK).map_err(io)?.is_some(), ledger.begun_anew().into()))
}

fn claims(files: Box<dyn Files>, put: bool) -> io::Result<(bool, u64)> {
    let claims = Claims::open_files(files)?;
    let claim = Claim { writer: Writer([1; 32]), lease_seconds: 1_000, retain_seconds: 0 };
    if put {
        let (bytes, held_before, written, hearsay, said) = (100, 0, true, false, 0);
        let new = NewClaim { chunk: CHUNK, claim, bytes, held_before, written, hearsay, said };
        claims.enter(Moment(0), &[new], Duration::from_secs(1_000))?;
    }
    Ok((claims.of_writer(claim.writer)?.claims == 1, claims.begun_anew()))
}

fn keeps(files: Box<dyn Files>, put: bool) -> io::Result<(bool, u64)> {
    let keeps = Keeps::open_files(files)?;
    if put {
        keeps.reserve_said(5, 1)?;
    }
    Ok((true, keeps.begun_anew()))
}

fn catalog(files: Box<dyn Files>, _: bool) -> io::Result<(bool, u64)> {
    let catalog = Catalog::open_files(files, &ConvergenceSecret::new([1; 32]))?;
    catalog.snapshot()?;
    Ok((true, catalog.begun_anew()))
}

#[test]
fn no_file_is_begun_anew_because_the_disk_fails() {
    let all: [(&str, Open); 5] =
        [("rows", rows), ("ledger", ledger), ("claims", claims), ("keeps", keeps), ("catalog", catalog)];
    for (name, open) in all {
        for kind in [ErrorKind::InvalidData, ErrorKind::Other, ErrorKind::PermissionDenied] {
            let disk = Disk::new(1);
            assert_eq!(open(Box::new(disk.clone()), true).unwrap(), (true, 0), "{name}");
            for after in 0.. {
                disk.fail_once_with(kind, after);
                // Whether it opens or not, it was not begun anew.
                let anew = open(Box::new(disk.clone()), false).map_or(0, |(_, anew)| anew);
                let was_late = disk.is_armed();
                disk.disarm();
                assert_eq!(anew, 0, "{name}: {kind:?} at operation {after}");
                let found = open(Box::new(disk.clone()), false).unwrap();
                assert_eq!(found, (true, 0), "{name}: after {kind:?} at operation {after}");
                if was_late {
                    assert!(after > 3, "{name}: opening takes more than {after} operations");
                    break;
                }
            }
        }
    }
}

#[test]
fn the_index_of_shards_is_not_made_again_because_the_disk_fails() {
    let disk = Disk::new(1);
    let open = || ShardStore::open_files(Box::new(disk.clone()), StoreConfig::with_quota(1 << 30));
    drop(open().unwrap());
    for after in 0.. {
        disk.fail_once_with(ErrorKind::InvalidData, after);
        let opened = open();
        let was_late = disk.is_armed();
        disk.disarm();
        if let Ok(store) = opened {
            assert!(!store.take_recovered().index_rebuilt, "at operation {after}");
        }
        assert!(!open().unwrap().take_recovered().index_rebuilt, "after operation {after}");
        if was_late {
            break;
        }
    }
}
