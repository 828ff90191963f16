#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

use chordage_api::types::EntryForm;
use proptest::prelude::*;

use super::super::bring::{expected, merged};
use super::super::home::HOME;
use super::super::listing::tests::info;
use super::super::local::look;
use super::super::plan::plan;
use super::*;

/// A directory that follows, without a network: contents come from the listing itself.
struct Room {
    dir: tempfile::TempDir,
    known: BTreeMap<Vec<u8>, Record>,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(HOME)).unwrap();
        Room { dir, known: BTreeMap::new() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn plan(&self, listing: &Listing) -> Plan {
        let mut tree = Dirs::below(self.dir.path(), true).unwrap();
        let paths: BTreeSet<&[u8]> = self
            .known
            .keys()
            .chain(listing.entries.iter().map(|entry| &entry.path))
            .map(Vec::as_slice)
            .collect();
        let local = look(&mut tree, &[&self.known], paths.into_iter()).unwrap();
        plan(&self.known, listing, &local, true)
    }

    fn staged(&self, listing: &Listing, planned: &Plan) -> Stage {
        let mut stage = Stage::new(self.path(HOME));
        let mut written = Vec::new();
        for entry in planned.fetch.iter().map(|at| &listing.entries[*at]) {
            let Kind::File { content, .. } = &entry.kind else { panic!("{entry:?}") };
            let mut file = stage.create(&key(entry)).unwrap();
            io::Write::write_all(&mut file, content.as_bytes()).unwrap();
            give(&file, entry.metadata).unwrap();
            written.push((key(entry), hex(blake3::hash(content.as_bytes()).as_bytes())));
        }
        stage.finish(written).unwrap();
        stage
    }

    fn run(&mut self, listing: &Listing, planned: &Plan, stage: &Stage) -> Done {
        let mark = "T".to_owned();
        let mut switch = Switch::new(self.dir.path(), &self.path(HOME), listing, stage, mark).unwrap();
        switch.run(planned).unwrap();
        self.known = switch.done.records.clone();
        switch.done
    }

    fn bring(&mut self, entries: &[(&str, EntryForm, &str)]) -> Done {
        let listing = listing(entries);
        let planned = self.plan(&listing);
        let stage = self.staged(&listing, &planned);
        self.run(&listing, &planned, &stage)
    }

    /// What lies there: content of files, targets of links, a slash for directories.
    fn lies(&self) -> BTreeMap<String, String> {
        let mut found = BTreeMap::new();
        let mut open = vec![self.dir.path().to_owned()];
        while let Some(at) = open.pop() {
            for entry in fs::read_dir(at).unwrap() {
                let path = entry.unwrap().path();
                let inside = path.strip_prefix(self.dir.path()).unwrap().to_str().unwrap().to_owned();
                let metadata = fs::symlink_metadata(&path).unwrap();
                if inside == HOME {
                    continue;
                }
                let what = match metadata.file_type() {
                    kind if kind.is_dir() => "/".to_owned(),
                    kind if kind.is_symlink() => fs::read_link(&path).unwrap().to_str().unwrap().to_owned(),
                    _ => fs::read_to_string(&path).unwrap(),
                };
                if metadata.is_dir() {
                    open.push(path);
                }
                found.insert(inside, what);
            }
        }
        found
    }
}

fn listing(entries: &[(&str, EntryForm, &str)]) -> Listing {
    let mut listing = Listing::default();
    for (path, kind, content) in entries {
        listing.add("x", &info(path, *kind, content)).unwrap();
    }
    listing
}

fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
    entries.iter().map(|(path, what)| ((*path).to_owned(), (*what).to_owned())).collect()
}

use EntryForm::{Dir, File as Regular, Symlink};

#[test]
fn a_directory_goes_from_version_to_version() {
    let mut room = Room::new();
    let done = room.bring(&[("a", Dir, ""), ("a/x", Regular, "1"), ("b", Regular, "2"), ("l", Symlink, "b")]);
    assert_eq!(done.conflicts, []);
    assert_eq!(room.lies(), map(&[("a", "/"), ("a/x", "1"), ("b", "2"), ("l", "b")]));
    let metadata = fs::metadata(room.path("a/x")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::mtime_nsec(&metadata), 2);
    // A file takes a directory's place, and the other way round.
    let done = room.bring(&[("a", Regular, "3"), ("b", Dir, ""), ("b/y", Regular, "4"), ("l", Symlink, "a")]);
    assert_eq!((done.conflicts, done.removed), (Vec::new(), vec![b"a/x".to_vec()]));
    assert_eq!(room.lies(), map(&[("a", "3"), ("b", "/"), ("b/y", "4"), ("l", "a")]));
    let done = room.bring(&[]);
    assert_eq!(done.removed.len(), 3);
    assert_eq!(room.lies(), map(&[]));
    assert_eq!(fs::read_dir(room.path(HOME)).unwrap().count(), 0);
}

#[test]
fn what_is_not_ours_is_kept_aside() {
    let mut room = Room::new();
    fs::write(room.path("mine"), "mine").unwrap();
    fs::write(room.path("same"), "2").unwrap();
    fs::create_dir_all(room.path("dir/mine")).unwrap();
    let entries =
        [("dir", Regular, "3"), ("gone", Regular, "4"), ("mine", Regular, "1"), ("same", Regular, "2")];
    let done = room.bring(&entries);
    let aside = |path: &str, why, kept: &str| Conflict {
        path: path.as_bytes().to_vec(),
        why,
        kept_as: Some(kept.as_bytes().to_vec()),
    };
    assert_eq!(
        done.conflicts,
        [aside("dir", Why::InTheWay, "dir.local-T"), aside("mine", Why::InTheWay, "mine.local-T")]
    );
    let lies = room.lies();
    assert_eq!((&*lies["mine.local-T"], &*lies["mine"], &*lies["dir.local-T/mine"]), ("mine", "1", "/"));
    // Changed here, changed there; changed here and gone there; was here before and is gone there.
    fs::write(room.path("mine"), "changed").unwrap();
    fs::write(room.path("gone"), "changed").unwrap();
    let done = room.bring(&[("dir", Regular, "3"), ("mine", Regular, "5")]);
    let left = Conflict { path: b"gone".to_vec(), why: Why::GoneThere, kept_as: None };
    assert_eq!(done.conflicts, [left, aside("mine", Why::ChangedHere, "mine.local-T-2")]);
    assert_eq!(done.removed, Vec::<Vec<u8>>::new());
    let lies = room.lies();
    assert_eq!((&*lies["mine"], &*lies["mine.local-T-2"], &*lies["gone"]), ("5", "changed", "changed"));
    assert_eq!(lies["same"], "2", "it was there before, and is not removed");
}

#[test]
fn nothing_is_made_through_a_symlink() {
    let (mut room, outside) = (Room::new(), tempfile::tempdir().unwrap());
    let to = outside.path().to_str().unwrap();
    fs::write(outside.path().join("x"), "precious").unwrap();
    // A version has a link that leads out, the next one a directory of that name.
    room.bring(&[("a", Symlink, to)]);
    room.bring(&[("a", Dir, ""), ("a/x", Regular, "evil")]);
    assert_eq!(room.lies(), map(&[("a", "/"), ("a/x", "evil")]));
    // Somebody puts a link where a directory was brought.
    fs::remove_dir_all(room.path("a")).unwrap();
    symlink(to, room.path("a")).unwrap();
    let done = room.bring(&[("a", Dir, ""), ("a/x", Regular, "again"), ("a/y", Regular, "evil")]);
    assert_eq!(done.conflicts.len(), 1, "{done:?}");
    room.bring(&[]);
    assert_eq!(fs::read_to_string(outside.path().join("x")).unwrap(), "precious");
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert!(room.path("a.local-T").is_symlink());
}

#[test]
fn what_changes_between_look_and_switch_is_not_lost() {
    let mut room = Room::new();
    room.bring(&[("a", Regular, "1"), ("b", Regular, "2"), ("c", Regular, "3")]);
    let next = listing(&[("a", Regular, "4"), ("c", Regular, "5"), ("d", Regular, "6")]);
    let planned = room.plan(&next);
    let stage = room.staged(&next, &planned);
    fs::write(room.path("a"), "changed a").unwrap();
    fs::write(room.path("b"), "changed b").unwrap();
    fs::remove_file(room.path("c")).unwrap();
    fs::write(room.path("d"), "made").unwrap();
    let done = room.run(&next, &planned, &stage);
    assert_eq!(done.conflicts.len(), 3, "{done:?}");
    let expected = [
        ("a", "4"),
        ("a.local-T", "changed a"),
        ("b.local-T", "changed b"),
        ("c", "5"),
        ("d", "6"),
        ("d.local-T", "made"),
    ];
    assert_eq!(room.lies(), map(&expected));
}

#[test]
fn a_switch_that_is_cut_off_anywhere_is_gone_on_with() {
    let old = [
        ("a", Dir, ""),
        ("a/x", Regular, "1"),
        ("b", Regular, "2"),
        ("c", Symlink, "a"),
        ("d", Regular, "3"),
    ];
    let new = [
        ("a", Regular, "4"),
        ("b", Regular, "5"),
        ("c", Dir, ""),
        ("c/y", Regular, "6"),
        ("e", Regular, "7"),
    ];
    let newer = [("b", Regular, "5"), ("c", Regular, "8"), ("f", Regular, "7")];
    for cut in 0.. {
        let mut room = Room::new();
        room.bring(&old);
        let next = listing(&new);
        let planned = room.plan(&next);
        let stage = room.staged(&next, &planned);
        let begun = expected(&planned, &next, &stage);
        let done = cut >= planned.steps.len();
        let first = Plan { steps: planned.steps.iter().take(cut).cloned().collect(), ..planned };
        let before = room.known.clone();
        room.run(&next, &first, &stage);
        // The program dies here, and what it has written down is what the next one knows. By then there is a newer
        // version.
        let to = if cut % 2 == 0 { listing(&new) } else { listing(&newer) };
        let mut tree = Dirs::below(room.dir.path(), true).unwrap();
        let paths: BTreeSet<&[u8]> = before
            .keys()
            .chain(begun.keys())
            .chain(to.entries.iter().map(|entry| &entry.path))
            .map(Vec::as_slice)
            .collect();
        let local = look(&mut tree, &[&begun, &before], paths.into_iter()).unwrap();
        room.known = merged(before, begun, &local);
        let planned = plan(&room.known, &to, &local, true);
        let stage = room.staged(&to, &planned);
        let went_on = room.run(&to, &planned, &stage);
        assert_eq!(went_on.conflicts, [], "cut off after {cut} steps");
        let expected = match cut % 2 {
            0 => map(&[("a", "4"), ("b", "5"), ("c", "/"), ("c/y", "6"), ("e", "7")]),
            _ => map(&[("b", "5"), ("c", "8"), ("f", "7")]),
        };
        assert_eq!(room.lies(), expected, "cut off after {cut} steps");
        if done {
            break;
        }
    }
}

#[test]
fn names_as_long_as_they_may_be_can_be_kept_aside() {
    let mut room = Room::new();
    let name = "x".repeat(NAME_BYTES_MAX);
    fs::write(room.path(&name), "mine").unwrap();
    let done = room.bring(&[(&name, Regular, "1")]);
    let kept = String::from_utf8(done.conflicts[0].kept_as.clone().unwrap()).unwrap();
    assert_eq!((kept.len(), &*fs::read_to_string(room.path(&kept)).unwrap()), (NAME_BYTES_MAX, "mine"));
}

/// What a version has at the paths that there are: nothing, a directory, a link or a file, each of a few contents.
fn version() -> impl Strategy<Value = Vec<(u8, u8)>> {
    prop::collection::vec((0..4_u8, 0..3_u8), PATHS.len())
}

const PATHS: [&str; 6] = ["a", "a/b", "a/c", "d", "d/e", "f"];

fn entries(version: &[(u8, u8)]) -> Listing {
    let mut listing = Listing::default();
    for (path, (kind, content)) in PATHS.iter().zip(version) {
        let kind = match kind {
            0 => continue,
            1 => Dir,
            2 => Symlink,
            _ => Regular,
        };
        let _ = listing.add("x", &info(path, kind, &format!("theirs {content}")));
    }
    listing
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn whatever_is_done_here_and_there_nothing_of_here_is_lost_and_all_of_there_comes(
        story in prop::collection::vec((version(), prop::collection::vec(0..4_u8, PATHS.len())), 1..5),
    ) {
        let mut room = Room::new();
        let mut mine = BTreeSet::new();
        for (round, (version, changes)) in story.iter().enumerate() {
            for (at, (path, change)) in PATHS.iter().zip(changes).enumerate() {
                let place = room.path(path);
                let text = format!("mine {round} {at}");
                match change {
                    1 if !place.is_dir() || place.is_symlink() => {
                        let _ = fs::remove_file(&place);
                        if fs::write(&place, &text).is_ok() {
                            mine.insert(text);
                        }
                    }
                    2 if fs::read_to_string(&place).is_ok_and(|text| !text.starts_with("mine")) => {
                        let _ = fs::remove_file(&place);
                    }
                    3 => drop(fs::create_dir(&place)),
                    _ => {}
                }
            }
            // What was overwritten by the test itself is not to be found.
            let before = room.lies();
            mine.retain(|text| before.values().any(|lies| lies == text));
            let listing = entries(version);
            let planned = room.plan(&listing);
            let stage = room.staged(&listing, &planned);
            let done = room.run(&listing, &planned, &stage);
            let lies = room.lies();
            for text in &mine {
                prop_assert!(lies.values().any(|lies| lies == text), "{} in {:?}", text, lies);
            }
            for entry in &listing.entries {
                let path = std::str::from_utf8(&entry.path).unwrap();
                let left = done.conflicts.iter().any(|it| it.path == entry.path && it.kept_as.is_none());
                let expected = match &entry.kind {
                    Kind::Dir => "/".to_owned(),
                    Kind::Symlink(target) => String::from_utf8(target.clone()).unwrap(),
                    Kind::File { content, .. } => content.clone(),
                };
                prop_assert!(left || lies.get(path) == Some(&expected), "{} in {:?}", path, lies);
            }
            // Then there is nothing more to do.
            let again = room.plan(&listing);
            let more = again.steps.iter().filter(|step| !matches!(step, Step::Left(..) | Step::Link(_, Over::Other, _)));
            prop_assert_eq!(more.count(), 0, "{:?}", again);
        }
    }
}
