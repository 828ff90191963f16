#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use chordage_api::types::EntryForm;
use proptest::prelude::*;

use super::super::listing::tests::info;
use super::super::record::Metadata;
use super::*;

const METADATA: Metadata = Metadata { mode: 0o644, mtime: (1, 2) };

fn stamp(ino: u64) -> Stamp {
    Stamp { ino, size: 1, mtime: (1, 2), ctime: (1, 2) }
}

fn file(content: &str) -> Record {
    Record::File(FileRecord {
        content: content.to_owned(),
        hash: content.to_owned(),
        metadata: METADATA,
        stamp: stamp(7),
        sure: true,
        adopted: false,
    })
}

fn listing(entries: &[(&str, EntryForm, &str)]) -> Listing {
    let mut listing = Listing::default();
    for (path, kind, content) in entries {
        listing.add("x", &info(path, *kind, content)).unwrap();
    }
    listing
}

fn known(records: &[(&str, Record)]) -> BTreeMap<Vec<u8>, Record> {
    records.iter().map(|(path, record)| (path.as_bytes().to_vec(), record.clone())).collect()
}

fn lies(places: &[(&str, Place)]) -> BTreeMap<Vec<u8>, Local> {
    let local = |place: &Place| Local { place: place.clone(), stamp: stamp(7) };
    places.iter().map(|(path, place)| (path.as_bytes().to_vec(), local(place))).collect()
}

#[test]
fn only_what_has_changed_is_fetched_and_what_is_gone_is_removed() {
    let wanted =
        listing(&[("a", EntryForm::File, "1"), ("b", EntryForm::File, "2"), ("c", EntryForm::File, "3")]);
    let before = known(&[("a", file("1")), ("b", file("old")), ("d", file("4"))]);
    let place = |content| Place::Brought(file(content));
    let local = lies(&[("a", place("1")), ("b", place("old")), ("d", place("4"))]);
    let planned = plan(&before, &wanted, &local, true);
    assert_eq!(planned.fetch, [1, 2]);
    let brought = Over::Brought(stamp(7));
    assert_eq!(
        planned.steps,
        [
            Step::Remove(b"d".to_vec(), stamp(7)),
            Step::Place(1, brought, Why::ChangedHere),
            Step::Place(2, Over::Nothing, Why::InTheWay)
        ]
    );
    assert_eq!(planned.kept, known(&[("a", file("1"))]));
    let left = plan(&before, &wanted, &local, false);
    assert!(!left.steps.iter().any(|step| matches!(step, Step::Remove(..))));
    assert_eq!(left.kept, known(&[("a", file("1")), ("d", file("4"))]), "a later version may have it again");
}

#[test]
fn changes_here_are_found_and_nothing_of_others_is_removed() {
    let wanted =
        listing(&[("a", EntryForm::File, "1"), ("b", EntryForm::File, "new"), ("c", EntryForm::File, "3")]);
    let mut adopted = file("5");
    if let Record::File(record) = &mut adopted {
        record.adopted = true;
    }
    let before = known(&[("a", file("1")), ("b", file("old")), ("d", file("4")), ("e", adopted.clone())]);
    let local = lies(&[
        ("a", Place::Other),
        ("b", Place::Other),
        ("c", Place::Other),
        ("d", Place::Other),
        ("e", Place::Brought(adopted)),
    ]);
    let planned = plan(&before, &wanted, &local, true);
    assert_eq!(
        planned.steps,
        [
            Step::Left(b"d".to_vec(), Why::GoneThere),
            Step::Left(b"a".to_vec(), Why::StillTheSame),
            Step::Place(1, Over::Other, Why::ChangedHere),
            Step::Place(2, Over::Other, Why::InTheWay)
        ]
    );
    // What it was is remembered, for when it changes there.
    assert_eq!(planned.kept, known(&[("a", file("1"))]));
}

#[test]
fn directories_and_files_take_each_others_places() {
    let wanted =
        listing(&[("a", EntryForm::File, "1"), ("b", EntryForm::Dir, ""), ("b/x", EntryForm::File, "2")]);
    let before = known(&[("a", Record::Dir), ("a/y", file("3")), ("a/z", Record::Dir), ("b", file("4"))]);
    let local = lies(&[
        ("a", Place::Dir),
        ("a/y", Place::Brought(file("3"))),
        ("a/z", Place::Dir),
        ("b", Place::Brought(file("4"))),
    ]);
    let planned = plan(&before, &wanted, &local, true);
    assert_eq!(
        planned.steps,
        [
            Step::Remove(b"a/y".to_vec(), stamp(7)),
            Step::RemoveDir(b"a/z".to_vec()),
            Step::RemoveDir(b"a".to_vec()),
            Step::Place(0, Over::Other, Why::InTheWay),
            Step::MakeDir(1, Over::Brought(stamp(7)), Why::ChangedHere),
            Step::Place(2, Over::Nothing, Why::InTheWay)
        ]
    );
}

/// Names that meet each other as files and directories.
const PATHS: [&str; 6] = ["a", "a/b", "a/c", "d", "d/e", "f"];

fn some_listing() -> impl Strategy<Value = Listing> {
    prop::collection::vec((0..4_u8, 0..3_u8), PATHS.len()).prop_map(|chosen| {
        let mut listing = Listing::default();
        for (path, (kind, content)) in PATHS.iter().zip(chosen) {
            let form = match kind {
                0 => continue,
                1 => EntryForm::Dir,
                2 => EntryForm::Symlink,
                _ => EntryForm::File,
            };
            // Those in no directory are left out.
            let _ = listing.add("x", &info(path, form, &content.to_string()));
        }
        listing
    })
}

fn some_record() -> impl Strategy<Value = Record> {
    prop_oneof![
        Just(Record::Dir),
        (0..3_u8).prop_map(|content| file(&content.to_string())),
        (0..3_u8).prop_map(|target| Record::Symlink { target: hex(target.to_string().as_bytes()) }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn every_entry_is_kept_or_made_and_only_what_was_brought_is_removed(
        wanted in some_listing(),
        records in prop::collection::vec(prop::option::of(some_record()), PATHS.len()),
        changed in prop::collection::vec(0..4_u8, PATHS.len()),
        delete in any::<bool>(),
    ) {
        let (mut before, mut local) = (BTreeMap::new(), BTreeMap::new());
        for ((path, record), changed) in PATHS.iter().zip(records).zip(changed) {
            let path = path.as_bytes().to_vec();
            let place = match (changed, &record) {
                (0, _) => None,
                (1, _) => Some(Place::Other),
                (2, _) => Some(Place::Dir),
                (_, Some(Record::Dir)) => Some(Place::Dir),
                (_, Some(record)) => Some(Place::Brought(record.clone())),
                (_, None) => None,
            };
            if let Some(record) = record {
                before.insert(path.clone(), record);
            }
            if let Some(place) = place {
                local.insert(path, Local { place, stamp: stamp(7) });
            }
        }
        let planned = plan(&before, &wanted, &local, delete);
        let mut made = BTreeSet::new();
        for step in &planned.steps {
            match step {
                Step::Remove(path, _) => {
                    prop_assert!(delete && matches!(local[path].place, Place::Brought(_)));
                    prop_assert!(wanted.get(path).is_none());
                }
                Step::RemoveDir(path) => prop_assert_eq!(before.get(path), Some(&Record::Dir)),
                Step::Left(path, _) => {
                    prop_assert!(matches!(local[path].place, Place::Other | Place::Dir));
                }
                Step::MakeDir(at, over, _) | Step::Place(at, over, _) | Step::Link(at, over, _) => {
                    let path = &wanted.entries[*at].path;
                    prop_assert!(made.insert(*at));
                    // Nothing is taken for brought, or for nothing, that is not.
                    match over {
                        Over::Nothing => prop_assert!(!local.contains_key(path)),
                        Over::Brought(_) => prop_assert!(matches!(local[path].place, Place::Brought(_))),
                        Over::Other => prop_assert!(!matches!(local[path].place, Place::Brought(_))),
                    }
                }
                Step::Touch(at, _) => prop_assert!(made.insert(*at)),
            }
        }
        for (at, entry) in wanted.entries.iter().enumerate() {
            let left = planned.steps.iter().any(|step| matches!(step, Step::Left(path, _) if *path == entry.path));
            let dir = entry.kind == Kind::Dir && is_dir(local.get(&entry.path));
            let kept = planned.kept.contains_key(&entry.path);
            prop_assert!(made.contains(&at) || left || dir || kept, "{:?} in {:?}", entry, planned);
            prop_assert!(!made.contains(&at) || !kept);
        }
        let placed = planned.steps.iter().filter(|step| matches!(step, Step::Place(..))).count();
        prop_assert_eq!(planned.fetch.len(), placed);
    }
}
