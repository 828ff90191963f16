#![allow(clippy::unwrap_used)]

use std::io::Read;

use proptest::prelude::*;

use chordage_storage::Fingerprint;

use super::*;

mod full;

type Entry = (Head, Vec<u8>);

fn write(entries: &[Entry]) -> Vec<u8> {
    let mut writer = ArchiveWriter::new(Vec::new());
    for (head, data) in entries {
        writer.begin(head).unwrap();
        // In two pieces, because content rarely comes in one.
        let (first, second) = data.split_at(data.len() / 2);
        if matches!(head.kind, Kind::File { .. }) {
            writer.data(first).unwrap();
            writer.data(second).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, ReadError> {
    read_with(bytes, Detail::Basic)
}

fn read_with(bytes: &[u8], detail: Detail) -> Result<Vec<Entry>, ReadError> {
    let mut reader = ArchiveReader::with_detail(bytes, detail);
    let mut entries = Vec::new();
    while let Some(head) = reader.next_entry()? {
        let mut data = Vec::new();
        let mut buffer = [0; 333];
        loop {
            match reader.read(&mut buffer)? {
                0 => break,
                length => data.extend_from_slice(&buffer[..length]),
            }
        }
        entries.push((head, data));
    }
    Ok(entries)
}

fn file(path: &str, data: &[u8]) -> Entry {
    let kind = Kind::File { size: data.len() as u64 };
    let head =
        Head { path: path.into(), kind, mode: 0o644, mtime: Mtime { seconds: 7, nanos: 0 }, full: None };
    (head, data.to_vec())
}

fn component() -> impl Strategy<Value = Vec<u8>> {
    let byte = any::<u8>().prop_map(|byte| if byte == 0 || byte == b'/' { b'x' } else { byte });
    prop_oneof![
        4 => proptest::collection::vec(byte, 1..30),
        1 => proptest::collection::vec(Just(b'n'), 90..260),
    ]
    .prop_filter("not a dot", |name| name != b"." && name != b"..")
}

fn entry() -> impl Strategy<Value = Entry> {
    let kind = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..1500)
            .prop_map(|data| (Kind::File { size: data.len() as u64 }, data)),
        Just((Kind::Dir, Vec::new())),
        proptest::collection::vec(1..=255_u8, 1..300)
            .prop_map(|target| (Kind::Symlink { target }, Vec::new())),
    ];
    let path = proptest::collection::vec(component(), 1..6).prop_map(|parts| parts.join(&b'/'));
    let seconds = prop_oneof![-10_000_000_000..20_000_000_000_i64, Just(0), Just(-1)];
    let nanos = prop_oneof![Just(0), 0..1_000_000_000_u32];
    (path, kind, 0..=0o7777_u32, seconds, nanos).prop_map(|(path, (kind, data), mode, seconds, nanos)| {
        (Head { path, kind, mode, mtime: Mtime { seconds, nanos }, full: None }, data)
    })
}

fn target(head: &Head) -> &[u8] {
    match &head.kind {
        Kind::Symlink { target } => target,
        _ => b"",
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_is_read_back(entries in proptest::collection::vec(entry(), 0..8)) {
        prop_assert_eq!(read(&write(&entries)).unwrap(), entries);
    }

    /// Another implementation reads ours. (It ends extended records at any line end, so names with one are left out.)
    #[test]
    fn the_tar_crate_reads_what_we_write(mut entries in proptest::collection::vec(entry(), 0..8)) {
        entries.retain(|(head, _)| !head.path.contains(&b'\n') && !target(head).contains(&b'\n'));
        let bytes = write(&entries);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut found = 0;
        for (theirs, (head, data)) in archive.entries().unwrap().zip(&entries) {
            let mut theirs = theirs.unwrap();
            let path = theirs.path_bytes().into_owned();
            prop_assert_eq!(path.strip_suffix(b"/").unwrap_or(&path), &head.path[..]);
            prop_assert_eq!(theirs.header().mode().unwrap(), head.mode);
            let mut content = Vec::new();
            theirs.read_to_end(&mut content).unwrap();
            prop_assert_eq!(&content, data);
            if let Kind::Symlink { target } = &head.kind {
                prop_assert_eq!(&theirs.link_name_bytes().unwrap()[..], &target[..]);
            }
            found += 1;
        }
        prop_assert_eq!(found, entries.len());
    }

    /// We read another implementation, with GNU's long names. (It cannot write names that are long and not UTF-8.)
    #[test]
    fn we_read_what_the_tar_crate_writes(mut entries in proptest::collection::vec(entry(), 0..8)) {
        use std::os::unix::ffi::OsStrExt;
        // Paths pass through its own idea of them, which has no double slashes.
        let plain = |name: &[u8]| {
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name));
            path.components().collect::<std::path::PathBuf>().as_os_str().as_bytes() == name
        };
        let writable = |name: &[u8]| plain(name) && (name.len() < 100 || std::str::from_utf8(name).is_ok());
        entries.retain(|(head, _)| writable(&head.path) && writable(target(head)));
        let mut builder = tar::Builder::new(Vec::new());
        let mut expected = entries.clone();
        for (head, data) in &mut expected {
            // Its headers have whole seconds since 1970, and its paths must pass through its own checks.
            head.mtime = Mtime { seconds: head.mtime.seconds.max(0), nanos: 0 };
            let mut header = tar::Header::new_gnu();
            header.set_mode(head.mode);
            header.set_mtime(head.mtime.seconds as u64);
            header.set_size(data.len() as u64);
            let path = std::path::Path::new(std::ffi::OsStr::from_bytes(&head.path));
            match &head.kind {
                Kind::File { .. } => {
                    header.set_entry_type(tar::EntryType::Regular);
                    builder.append_data(&mut header, path, &data[..]).unwrap();
                }
                Kind::Dir => {
                    header.set_entry_type(tar::EntryType::Directory);
                    builder.append_data(&mut header, path, std::io::empty()).unwrap();
                }
                Kind::Symlink { target } => {
                    header.set_entry_type(tar::EntryType::Symlink);
                    let target = std::path::Path::new(std::ffi::OsStr::from_bytes(target));
                    builder.append_link(&mut header, path, target).unwrap();
                }
                other => unreachable!("{other:?} was not made"),
            }
        }
        let bytes = builder.into_inner().unwrap();
        prop_assert_eq!(read(&bytes).unwrap(), expected);
    }

    #[test]
    fn a_prefix_is_never_taken_for_the_whole(entries in proptest::collection::vec(entry(), 1..4), cut in any::<prop::sample::Index>()) {
        let bytes = write(&entries);
        let length = cut.index(bytes.len());
        let answer = read(&bytes[..length]);
        let truncated = matches!(answer, Err(ReadError::Truncated { .. }));
        prop_assert!(truncated, "{:?}", answer);
    }

    #[test]
    fn no_bytes_make_it_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..4096), fix in any::<bool>()) {
        if fix && bytes.len() >= BLOCK {
            // With a valid checksum the rest of the header is looked at too.
            let mut block = [0; BLOCK];
            block.copy_from_slice(&bytes[..BLOCK]);
            bytes[..BLOCK].copy_from_slice(&header::Block(block).finish());
        }
        for detail in [Detail::Basic, Detail::Full] {
            let _ = read_with(&bytes, detail);
        }
    }
}

/// An archive with one entry whose header the test has had its hands on.
fn forged(path: &[u8], change: impl FnOnce(&mut [u8; BLOCK])) -> Vec<u8> {
    let (head, _) = file("x", b"");
    let mut block = [0; BLOCK];
    block.copy_from_slice(&write::head_bytes(&head));
    block[..100].fill(0);
    block[..path.len()].copy_from_slice(path);
    change(&mut block);
    let mut bytes = header::Block(block).finish().to_vec();
    bytes.extend_from_slice(&write::END);
    bytes
}

#[test]
fn paths_that_would_leave_the_tree_are_named() {
    let cases: [(&[u8], NameError); 3] = [
        (b"/etc/passwd", NameError::Absolute),
        (b"a/../../b", NameError::Upwards),
        (b"..", NameError::Upwards),
    ];
    for (path, expected) in cases {
        match read(&forged(path, |_| {})) {
            Err(ReadError::Path { path: named, reason }) => {
                assert_eq!((&named[..], reason), (path, expected));
            }
            other => panic!("{other:?}"),
        }
    }
    let plain = read(&forged(b"./a//b/./c", |_| {})).unwrap();
    assert_eq!(plain[0].0.path, b"a/b/c");
}

#[test]
fn what_a_tree_cannot_hold_is_named() {
    for (kind, word) in
        [(b'1', "hard link"), (b'3', "device"), (b'4', "device"), (b'6', "pipe"), (b'S', "sparse")]
    {
        let error = read(&forged(b"odd", |block| block[156] = kind)).unwrap_err().to_string();
        assert!(error.contains("\"odd\"") && error.contains(word), "{error}");
    }
}

#[test]
fn an_endless_extended_header_is_refused_before_it_is_read() {
    let bytes = forged(b"x", |block| {
        block[156] = b'x';
        block[124..136].copy_from_slice(b"77777777777\0");
    });
    assert!(matches!(read(&bytes), Err(ReadError::Header { .. })));
}

#[test]
fn a_damaged_header_is_noticed() {
    let mut bytes = write(&[file("a", b"first"), file("b", b"second")]);
    bytes[2 * BLOCK + 3] ^= 1;
    match read(&bytes) {
        Err(error @ ReadError::Header { .. }) => {
            assert!(error.to_string().contains("after \"a\""), "{error}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn large_sizes_stand_in_extended_records() {
    let size = 9 << 30;
    let head = Head {
        path: b"big".to_vec(),
        kind: Kind::File { size },
        mode: 0o600,
        mtime: Mtime::default(),
        full: None,
    };
    let bytes = write::head_bytes(&head);
    let mut reader = ArchiveReader::new(&bytes[..]);
    assert_eq!(reader.next_entry().unwrap(), Some(head));
}

#[test]
fn the_root_is_an_entry_like_any_other() {
    let head = Head {
        path: Vec::new(),
        kind: Kind::Dir,
        mode: 0o700,
        mtime: Mtime { seconds: 1, nanos: 2 },
        full: None,
    };
    assert_eq!(read(&write(&[(head.clone(), Vec::new())])).unwrap(), [(head, Vec::new())]);
}

#[test]
fn content_may_stay_behind_and_files_may_be_catalogued() {
    let fingerprint = Fingerprint([0xa5; 32]);
    let (known, _) = file("known", b"");
    let known = Head { kind: Kind::Unchanged { fingerprint }, ..known };
    let (read, data) = file("read", b"content");
    let (other, _) = file("other", b"");
    let mut writer = ArchiveWriter::new(Vec::new());
    writer.begin(&known).unwrap();
    writer.begin_catalogued(&read, Some(&fingerprint)).unwrap();
    writer.data(&data).unwrap();
    writer.begin(&other).unwrap();
    let bytes = writer.finish().unwrap();
    let mut reader = ArchiveReader::new(&bytes[..]);
    assert_eq!((reader.next_entry().unwrap(), reader.fingerprint()), (Some(known), None));
    assert_eq!((reader.next_entry().unwrap(), reader.fingerprint()), (Some(read), Some(fingerprint)));
    assert_eq!((reader.next_entry().unwrap(), reader.fingerprint()), (Some(other), None));
}
