#![allow(clippy::unwrap_used)]

use chordage_node::archive::{FullMetadata, Mtime, Segment};

use super::*;

fn head(path: &str, kind: Kind, group: Option<u64>) -> Head {
    let full = Some(Box::new(FullMetadata { link_group: group, ..FullMetadata::default() }));
    Head { path: path.into(), kind, mode: 0o755, mtime: Mtime { seconds: 0, nanos: 0 }, full }
}

fn link(path: &str, target: &str, group: u64) -> Head {
    head(path, Kind::HardLink { target: target.into() }, Some(group))
}

/// `/home/me` with some files, two of them with several names, as a daemon sends it.
fn archive() -> Vec<u8> {
    let mut out = ArchiveWriter::new(Vec::new());
    let mut sparse = head("home/me/a/holes", Kind::File { size: 4 }, Some(2));
    let map = SparseMap { size: 1 << 20, segments: vec![Segment { offset: 4096, len: 4 }] };
    sparse.full.as_mut().unwrap().sparse = Some(map);
    let files = [
        (head("", Kind::Dir, None), &b""[..]),
        (head("home", Kind::Dir, None), b""),
        (head("home/me", Kind::Dir, None), b""),
        (head("home/me/a", Kind::Dir, None), b""),
        (head("home/me/a/first", Kind::File { size: 5 }, Some(1)), b"first"),
        (sparse, b"data"),
        (head("home/me/a/one.txt", Kind::File { size: 3 }, None), b"one"),
        (head("home/me/b", Kind::Dir, None), b""),
        (link("home/me/b/holes", "home/me/a/holes", 2), b""),
        (link("home/me/b/second", "home/me/a/first", 1), b""),
        (link("home/me/b/third", "home/me/a/first", 1), b""),
        (head("home/me/c", Kind::Dir, None), b""),
        (head("home/me/c/two.txt", Kind::File { size: 3 }, None), b"two"),
        (head("home/me/d", Kind::Symlink { target: "c".into() }, None), b""),
    ];
    for (head, content) in files {
        out.begin(&head).unwrap();
        out.data(content).unwrap();
    }
    out.finish().unwrap()
}

fn wanted(include: &[&str], exclude: &[&str]) -> Wanted {
    let patterns = |list: &[&str]| {
        let list: Vec<String> = list.iter().map(ToString::to_string).collect();
        Patterns::new(&list, false).unwrap()
    };
    Wanted { include: patterns(include), exclude: patterns(exclude), below: Vec::new() }
}

/// What a daemon lists of the archive.
fn orphans(wanted: &Wanted) -> Orphans {
    let mut orphans = Orphans::default();
    let bytes = archive();
    let mut archive = ArchiveReader::with_detail(&bytes[..], Detail::Full);
    while let Some(head) = archive.next_entry().unwrap() {
        let mut entry = super::super::entry::tests::file(std::str::from_utf8(&head.path).unwrap(), 0);
        entry.link_group = head.full.unwrap().link_group;
        if head.kind == Kind::Dir {
            entry.kind = VolumeEntryKind::Directory;
        }
        orphans.note(&entry, wanted);
    }
    orphans
}

/// Entries that come out, with their content; behind `=` the target of a hard link.
fn sifted(wanted: &Wanted) -> Vec<String> {
    let place = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let orphans = orphans(wanted);
    Sieve::new(wanted, &orphans, &mut out, None, place.path()).run(&archive()[..]).unwrap();
    let mut entries = Vec::new();
    let mut archive = ArchiveReader::with_detail(&out[..], Detail::Full);
    while let Some(head) = archive.next_entry().unwrap() {
        let mut content = vec![0; 100];
        let length = archive.read(&mut content).unwrap();
        let mut shown = String::from_utf8(head.path).unwrap();
        match head.kind {
            Kind::HardLink { target } => shown = format!("{shown}={}", String::from_utf8(target).unwrap()),
            Kind::File { .. } => {
                let sparse = head.full.unwrap().sparse.map_or("", |_| "(sparse) ");
                shown = format!("{shown}: {sparse}{}", String::from_utf8_lossy(&content[..length]));
            }
            _ => {}
        }
        entries.push(shown);
    }
    entries
}

#[test]
fn without_patterns_everything_goes_through() {
    assert!(wanted(&[], &[]).is_all());
    let all = sifted(&wanted(&[], &[]));
    assert_eq!(all.len(), 14);
    assert_eq!(all[9], "home/me/b/second=home/me/a/first");
    assert_eq!(all[5], "home/me/a/holes: (sparse) data");
}

#[test]
fn what_is_included_comes_with_what_leads_to_it() {
    assert_eq!(
        sifted(&wanted(&["*.txt"], &[])),
        ["", "home", "home/me", "home/me/a", "home/me/a/one.txt: one", "home/me/c", "home/me/c/two.txt: two"]
    );
    assert_eq!(
        sifted(&wanted(&["/home/me/c"], &[])),
        ["", "home", "home/me", "home/me/c", "home/me/c/two.txt: two"]
    );
    assert_eq!(sifted(&wanted(&["nowhere"], &[])), [""; 0]);
}

#[test]
fn what_is_excluded_is_left_out_with_all_below() {
    assert_eq!(
        sifted(&wanted(&[], &["/home/me/b", "*.txt", "holes"])),
        ["", "home", "home/me", "home/me/a", "home/me/a/first: first", "home/me/c", "home/me/d"]
    );
    assert_eq!(sifted(&wanted(&["c"], &["two*"])), ["", "home", "home/me", "home/me/c"]);
}

#[test]
fn content_goes_with_the_first_name_that_is_wanted() {
    assert_eq!(
        sifted(&wanted(&["/home/me/b"], &[])),
        [
            "",
            "home",
            "home/me",
            "home/me/b",
            "home/me/b/holes: (sparse) data",
            "home/me/b/second: first",
            "home/me/b/third=home/me/b/second"
        ]
    );
    let some = wanted(&["third", "holes"], &[]);
    assert_eq!(orphans(&some).groups, BTreeSet::from([1]));
    assert_eq!(sifted(&some).last().unwrap(), "home/me/b/third: first");
}

#[test]
fn patterns_see_the_whole_path_also_in_a_part_of_a_snapshot() {
    let part = Wanted { below: b"home/me".to_vec(), ..wanted(&["/home/me/c/*.txt"], &[]) };
    assert!(part.has(b"c/two.txt", false) && !part.has(b"two.txt", false) && !part.has(b"", true));
}

#[test]
fn a_broken_archive_and_a_reader_that_is_gone_end_it() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let (place, all, none) = (tempfile::tempdir().unwrap(), wanted(&[], &[]), Orphans::default());
    let whole = archive();
    let cut = Sieve::new(&all, &none, Vec::new(), None, place.path()).run(&whole[..whole.len() / 2]);
    assert!(matches!(cut, Err(SieveError::Archive(_))));
    let gone = Sieve::new(&all, &none, Gone, None, place.path()).run(&whole[..]);
    assert!(matches!(gone, Err(SieveError::Gone)));
}
