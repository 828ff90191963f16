use std::fs;
use std::io;

use super::*;
use crate::ids::{ChunkId, ChunkKey, PieceHash};

fn secret() -> ConvergenceSecret {
    ConvergenceSecret::new([3; 32])
}

fn redundancy() -> Redundancy {
    Redundancy::new(4, 6).unwrap()
}

fn reference(seed: u8) -> ChunkRef {
    ChunkRef {
        id: ChunkId([seed; 32]),
        key: ChunkKey([seed; 32]),
        plain_len: 1000,
        redundancy: Some(redundancy()),
    }
}

fn pieces(seed: u8) -> Vec<PieceInfo> {
    let hash = |i| PieceHash(std::array::from_fn(|position| if position == 0 { seed } else { i }));
    (0..10).map(|i| PieceInfo { hash: hash(i), len: 100 }).collect()
}

fn add(catalog: &Catalog, seed: u8) -> u64 {
    let chunk = NewChunk { reference: reference(seed), sealed_len: 1023, pieces: &pieces(seed) };
    catalog.change(true, |changes| changes.add_chunk(&chunk)).unwrap()
}

fn find(catalog: &Catalog, hash: PieceHash) -> Option<KnownPiece> {
    catalog.snapshot().unwrap().piece(redundancy(), &hash).unwrap()
}

#[test]
fn pieces_and_files_are_found_again_after_closing_and_only_under_their_redundancy_and_secret() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap();
    let number = add(&catalog, 1);
    let fingerprint = Fingerprint([9; 32]);
    let file =
        NewFile { fingerprint, redundancy: redundancy(), extents: &[(number, 100, 250), (number, 0, 50)] };
    catalog.change(true, |changes| changes.add_file(&file)).unwrap();
    drop(catalog);

    let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap();
    let piece = find(&catalog, pieces(1)[3].hash).unwrap();
    assert_eq!((piece.offset, piece.len, piece.ageing), (300, 100, false));
    assert_eq!((piece.chunk.reference, piece.chunk.sealed_len), (reference(1), 1023));
    let snapshot = catalog.snapshot().unwrap();
    let found = snapshot.file(redundancy(), &fingerprint).unwrap().unwrap();
    assert_eq!(found.size, 300);
    assert_eq!(found.extents.iter().map(|e| (e.offset, e.len)).collect::<Vec<_>>(), [(100, 250), (0, 50)]);
    let other = Redundancy::new(4, 10).unwrap();
    assert_eq!(snapshot.file(other, &fingerprint).unwrap(), None);
    assert_eq!(snapshot.piece(other, &pieces(1)[3].hash).unwrap(), None);
    drop((snapshot, catalog));

    let stranger = Catalog::open(dir.path(), &ConvergenceSecret::new([4; 32])).unwrap().unwrap();
    assert_eq!(find(&stranger, pieces(1)[3].hash), None);
    assert_eq!(stranger.begun_anew(), 0);
}

#[test]
fn chunks_that_were_put_after_each_other_are_found_after_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap().with_generation_rows(30);
    for seed in 1..=5 {
        add(&catalog, seed);
    }
    let following = catalog.snapshot().unwrap().chunks_from(1, 3).unwrap();
    assert_eq!(following.iter().map(|chunk| chunk.number).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn what_is_not_used_is_forgotten_and_what_is_used_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap().with_generation_rows(100);
    let number = add(&catalog, 1);
    let fingerprint = Fingerprint([9; 32]);
    let file = NewFile { fingerprint, redundancy: redundancy(), extents: &[(number, 0, 1000)] };
    catalog.change(false, |changes| changes.add_file(&file)).unwrap();
    let (kept, forgotten) = (pieces(1)[2].hash, pieces(1)[3].hash);
    for seed in 2..200 {
        add(&catalog, seed);
        if let Some(piece) = find(&catalog, kept)
            && piece.ageing
        {
            let keep = |changes: &mut Changes<'_>| {
                changes.keep_piece(redundancy(), &kept)?;
                changes.keep_file(redundancy(), &fingerprint)
            };
            catalog.change(false, keep).unwrap();
            assert!(!find(&catalog, kept).unwrap().ageing);
        }
    }
    assert_eq!(find(&catalog, kept).unwrap().chunk.reference, reference(1));
    assert_eq!(find(&catalog, forgotten), None);
    let snapshot = catalog.snapshot().unwrap();
    assert_eq!(snapshot.file(redundancy(), &fingerprint).unwrap().unwrap().size, 1000);
    drop(snapshot);
    let bytes = fs::metadata(dir.path().join(FILE)).unwrap().len();
    assert!(bytes < 4 << 20, "{bytes}");
}

#[test]
fn a_damaged_file_is_begun_anew_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    for damage in [b"no database".to_vec(), Vec::new()] {
        fs::write(&path, &damage).unwrap();
        let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap();
        assert_eq!(catalog.begun_anew(), u64::from(!damage.is_empty()));
        add(&catalog, 1);
        assert!(find(&catalog, pieces(1)[0].hash).is_some());
    }
}

/// Whatever bit flips: what is found is what was entered, or nothing is.
#[test]
fn no_flipped_bit_makes_it_say_something_false() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE);
    let catalog = Catalog::open(dir.path(), &secret()).unwrap().unwrap();
    for seed in 1..=3 {
        add(&catalog, seed);
    }
    let before = find(&catalog, pieces(2)[5].hash).unwrap();
    drop(catalog);
    let whole = fs::read(&path).unwrap();
    let used = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
    let (mut found, mut unknown) = (0, 0);
    let written = (0..used).filter(|position| whole[*position] != 0); // most of the file is empty pages
    for position in written.step_by(23) {
        let mut bad = whole.clone();
        bad[position] ^= 1 << (position % 8);
        fs::write(&path, &bad).unwrap();
        let answer: io::Result<Option<KnownPiece>> =
            Catalog::open(dir.path(), &secret()).and_then(|catalog| {
                let catalog = catalog.unwrap();
                let snapshot = catalog.snapshot()?;
                snapshot.piece(redundancy(), &pieces(2)[5].hash)
            });
        match answer {
            Ok(Some(piece)) => {
                assert_eq!(KnownPiece { ageing: false, ..piece }, before, "bit flipped at {position}");
                found += 1;
            }
            Ok(None) | Err(_) => unknown += 1,
        }
    }
    assert!(found > 0 && unknown > 0, "{found} found, {unknown} unknown");
}
