//! Which snapshots can be forgotten, taken back and pruned, and which trees they need.

use super::super::view::tests::{Memory, reference};
use super::*;

const NOW: u64 = 1_000_000;

fn document(locked_until: Option<u64>) -> Document {
    Document {
        time: 5,
        entered: 6,
        host: "here".to_owned(),
        user: String::new(),
        paths: Vec::new(),
        tags: Vec::new(),
        files: 1,
        dirs: 0,
        others: 0,
        bytes: 1,
        unreadable: 0,
        level: 0,
        keys: 1,
        locked_until,
        forgotten: None,
    }
}

fn enter(view: &mut View<'_>, id: &str, locked_until: Option<u64>) {
    let value = document(locked_until).value(reference(id.as_bytes())).unwrap();
    view.put(format!("{KEPT}{id}").into_bytes(), value);
}

fn forget(view: &mut View<'_>, ids: &[&str], now: u64) -> Result<usize, VolumesError> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    moved(view, &ids, (KEPT, FORGOTTEN), |id, document| forget_at(id, document, now)).map(|moved| moved.len())
}

fn ids(view: &mut View<'_>, prefix: &str) -> Vec<String> {
    all(view, prefix).unwrap().into_iter().map(|snapshot| snapshot.info.id).collect()
}

#[test]
fn what_is_locked_is_neither_forgotten_nor_pruned() {
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    enter(&mut view, "free", None);
    enter(&mut view, "locked", Some(NOW));
    let refused = forget(&mut view, &["locked"], NOW - 1);
    assert!(matches!(refused, Err(VolumesError::Locked { id, until: NOW }) if id == "locked"));
    assert_eq!(forget(&mut view, &["free", "locked"], NOW).unwrap(), 2, "until then, and no longer");
    // A clock that has gone back.
    assert_eq!(pruned(&mut view, 0, NOW - 1).unwrap(), (1, 1, 0));
    assert_eq!(pruned(&mut view, 0, NOW).unwrap(), (1, 0, 0));
}

#[test]
fn what_was_forgotten_is_pruned_after_its_grace_and_not_before() {
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    for id in ["a", "b", "c"] {
        enter(&mut view, id, None);
    }
    forget(&mut view, &["a"], NOW).unwrap();
    forget(&mut view, &["b"], NOW + 5).unwrap();
    assert_eq!(pruned(&mut view, 10, NOW + 9).unwrap(), (0, 2, 1));
    assert_eq!(pruned(&mut view, 10, NOW + 10).unwrap(), (1, 1, 1));
    assert_eq!(
        (ids(&mut view, FORGOTTEN), ids(&mut view, KEPT)),
        (vec!["b".to_owned()], vec!["c".to_owned()])
    );
    assert_eq!(pruned(&mut view, 10, 0).unwrap(), (0, 1, 1), "a clock that has gone back prunes nothing");
}

#[test]
fn only_what_is_there_is_forgotten_and_taken_back() {
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    enter(&mut view, "a", None);
    assert!(matches!(forget(&mut view, &["a", "b"], NOW), Err(VolumesError::NoSuchSnapshot(_))));
    view.restore(Default::default());
    enter(&mut view, "a", None);
    let before = all(&mut view, KEPT).unwrap().remove(0).info;
    forget(&mut view, &["a"], NOW).unwrap();
    assert_eq!(all(&mut view, FORGOTTEN).unwrap()[0].info.forgotten, Some(NOW));
    assert!(ids(&mut view, KEPT).is_empty());
    let back = moved(&mut view, &["a".to_owned()], (FORGOTTEN, KEPT), |_, document| {
        document.forgotten = None;
        Ok(())
    });
    assert_eq!(back.unwrap(), [before]);
    assert_eq!((ids(&mut view, KEPT).len(), ids(&mut view, FORGOTTEN).len()), (1, 0));
}

#[test]
fn snapshots_that_can_be_taken_back_need_their_trees() {
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    enter(&mut view, "a", None);
    enter(&mut view, "b", None);
    forget(&mut view, &["a"], NOW).unwrap();
    let mut roots = roots_of(&mut view).unwrap();
    roots.sort_unstable();
    let mut expected = [b"a", b"b"].map(|id| reference(id).id);
    expected.sort_unstable();
    assert_eq!(roots, expected);
    pruned(&mut view, 0, NOW).unwrap();
    assert_eq!(roots_of(&mut view).unwrap(), [reference(b"b").id]);
}

#[test]
fn more_snapshots_than_can_be_listed_are_not_taken_for_fewer() {
    let mut memory = Memory::default();
    let mut view = View::new(None, &mut memory);
    let value = document(None).value(reference(b"a")).unwrap();
    for number in 0..=SNAPSHOTS_MAX {
        view.put(format!("{KEPT}{number:06}").into_bytes(), value.clone());
    }
    assert!(matches!(roots_of(&mut view), Err(VolumesError::Conflict(_))));
    view.remove(format!("{KEPT}000000").into_bytes());
    assert_eq!(roots_of(&mut view).unwrap().len(), SNAPSHOTS_MAX);
}
