//! What the book of volumes remembers, and what it refuses.

use chordage_dht::AnyMetric;
use chordage_storage::volume::MapRoot;

use super::super::head;
use super::super::view::tests::reference;
use super::*;
use crate::network::NetworkFingerprint;

fn keys(secret: u8) -> VolumeKeys {
    VolumeKeys::of(&Capability::Write { secret: [secret; 32] }).unwrap()
}

fn reading(secret: u8) -> VolumeKeys {
    VolumeKeys::of(&keys(secret).reading()).unwrap()
}

fn held(keys: &VolumeKeys, seq: u64) -> Held {
    let root = MapRoot { chunk: reference(b"root"), level: 0, keys: 1 };
    let network = NetworkFingerprint::of("a", AnyMetric::Ring);
    let record = head::next(keys, network, None, seq - 1, &root).unwrap();
    Held { record, ballot: Default::default() }
}

#[test]
fn a_head_that_goes_back_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (keys, id) = (keys(1), keys(1).id());
    let seq = |found: Option<Held>| found.map(|held| held.record.seq());
    {
        let book = VolumeBook::open(dir.path()).unwrap();
        assert_eq!(seq(book.newest(id, None).unwrap()), None);
        assert_eq!(seq(book.newest(id, Some(held(&keys, 5))).unwrap()), Some(5));
        assert_eq!(seq(book.newest(id, Some(held(&keys, 5))).unwrap()), Some(5));
        assert_eq!(seq(book.newest(id, Some(held(&keys, 7))).unwrap()), Some(7));
        let refused = book.newest(id, Some(held(&keys, 6)));
        assert!(matches!(refused, Err(VolumesError::RolledBack { found: 6, seen: 7 })));
        book.remember(id, &held(&keys, 8), true).unwrap();
        book.remember(id, &held(&keys, 6), true).unwrap();
    }
    let book = VolumeBook::open(dir.path()).unwrap();
    let refused = book.newest(id, Some(held(&keys, 7)));
    assert!(matches!(refused, Err(VolumesError::RolledBack { found: 7, seen: 8 })), "over a restart, too");
    assert_eq!(seq(book.newest(id, None).unwrap()), Some(8), "what was seen is there though nobody keeps it");
    assert_eq!(seq(book.newest(self::keys(2).id(), None).unwrap()), None);
}

#[test]
fn a_volume_is_known_under_one_name_and_gains_rights_only() {
    let dir = tempfile::tempdir().unwrap();
    let book = VolumeBook::open(dir.path()).unwrap();
    book.insert("a", reading(1), 5).unwrap();
    assert!(book.find("a").unwrap().keys.pair().is_none());
    assert!(matches!(book.insert("a", reading(1), 5), Err(VolumesError::Exists(_))));
    assert!(matches!(book.insert("b", keys(1), 5), Err(VolumesError::Known(name)) if name == "a"));
    assert!(matches!(book.insert("a", keys(2), 5), Err(VolumesError::Exists(_))));
    book.insert("a", keys(1), 6).unwrap();
    assert!(book.find("a").unwrap().keys.pair().is_some());
    assert!(matches!(book.insert("a", reading(1), 7), Err(VolumesError::Exists(_))));
    book.insert("b", reading(2), 7).unwrap();
    drop(book);
    let book = VolumeBook::open(dir.path()).unwrap();
    let (a, b) = (book.find("a").unwrap(), book.find(&keys(2).id().to_string()).unwrap());
    assert!((a.keys.pair().is_some(), a.created) == (true, 6));
    assert!((b.petname.as_str(), b.keys.pair().is_none(), b.keys.writing().is_none()) == ("b", true, true));
    book.remove("a").unwrap();
    assert!(matches!(book.find("a"), Err(VolumesError::NoSuchVolume(_))));
    for bad in ["", "A", "a/b", "\u{e4}", &"a".repeat(64)] {
        assert!(matches!(book.insert(bad, keys(3), 5), Err(VolumesError::BadPetname(_))), "{bad}");
    }
}

#[test]
fn what_is_kept_is_known_until_it_is_released() {
    let dir = tempfile::tempdir().unwrap();
    let (root, other) = (ChunkId([1; 32]), ChunkId([2; 32]));
    let kept = |needed| KeptFor { volume: [9; 32], kind: KeptAs::Map, since: 5, needed, tree: None };
    let book = VolumeBook::open(dir.path()).unwrap();
    book.keep(root, &kept(true)).unwrap();
    book.keep(other, &kept(true)).unwrap();
    book.keep(root, &kept(false)).unwrap();
    drop(book);
    let book = VolumeBook::open(dir.path()).unwrap();
    assert_eq!(book.all_kept().unwrap(), [(root, kept(false)), (other, kept(true))]);
    book.release(root).unwrap();
    assert_eq!((book.kept(root).unwrap(), book.kept(other).unwrap()), (None, Some(kept(true))));
}
