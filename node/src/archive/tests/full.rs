//! Entries with all that POSIX knows.

use super::*;

fn name_of_owner() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        Just(Vec::new()),
        Just(b"user".to_vec()),
        Just(vec![b'n'; 31]),
        Just(vec![b'n'; 32]),
        Just(vec![0xff; 255]),
    ]
}

fn number() -> impl Strategy<Value = u32> {
    prop_oneof![Just(0), 1..5000_u32, Just(0o7_777_777), Just(0o7_777_777 + 1), Just(u32::MAX)]
}

fn xattrs() -> impl Strategy<Value = Vec<Xattr>> {
    let byte = prop_oneof![Just(b'='), Just(b'%'), Just(b'\n'), 1..=255_u8];
    let name = proptest::collection::vec(byte, 1..40);
    let value = proptest::collection::vec(any::<u8>(), 0..300);
    proptest::collection::btree_map(name, value, 0..4)
        .prop_map(|map| map.into_iter().map(|(name, value)| Xattr { name, value }).collect())
}

fn sparse() -> impl Strategy<Value = SparseMap> {
    let gaps = proptest::collection::vec((0..5_000_000_000_u64, 1..3000_u64), 0..20);
    (gaps, 0..10_u64).prop_map(|(gaps, behind)| {
        let mut size = 0;
        let mut segments = Vec::new();
        for (gap, len) in gaps {
            segments.push(Segment { offset: size + gap, len });
            size += gap + len;
        }
        SparseMap { size: size + behind, segments }
    })
}

fn full() -> impl Strategy<Value = FullMetadata> {
    let owner = (number(), number(), name_of_owner(), name_of_owner());
    (owner, xattrs(), proptest::option::of(any::<u64>())).prop_map(|(owner, xattrs, link_group)| {
        let (uid, gid, user, group) = owner;
        FullMetadata { uid, gid, user, group, xattrs, link_group, sparse: None }
    })
}

fn full_entry() -> impl Strategy<Value = Entry> {
    let device = (number(), number());
    let fingerprint = any::<[u8; 32]>().prop_map(Fingerprint);
    let kind = prop_oneof![
        Just(Kind::Dir),
        Just(Kind::Fifo),
        device.prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        (number(), number()).prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        proptest::collection::vec(component(), 1..6)
            .prop_map(|parts| Kind::HardLink { target: parts.join(&b'/') }),
        proptest::collection::vec(1..=255_u8, 1..300).prop_map(|target| Kind::Symlink { target }),
        (0..1500_u64).prop_map(|size| Kind::File { size }),
        (0..1500_u64).prop_map(|size| Kind::File { size }),
        fingerprint.prop_map(|fingerprint| Kind::Unchanged { fingerprint }),
    ];
    (entry(), kind, full(), proptest::option::of(sparse())).prop_map(|((mut head, _), kind, full, sparse)| {
        head.kind = kind;
        head.full = Some(Box::new(full));
        if matches!(head.kind, Kind::File { .. } | Kind::Unchanged { .. }) {
            head.full.as_mut().unwrap().sparse = sparse;
        }
        let data = match &mut head.kind {
            Kind::File { size } => {
                let sparse = head.full.as_ref().unwrap().sparse.as_ref();
                *size = sparse.map_or(*size, SparseMap::data_len);
                (0..*size).map(|at| at as u8).collect()
            }
            _ => Vec::new(),
        };
        (head, data)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn full_metadata_is_read_back(entries in proptest::collection::vec(full_entry(), 0..8)) {
        let bytes = write(&entries);
        prop_assert_eq!(read_with(&bytes, Detail::Full).unwrap(), entries);
    }

    /// A put takes of it what it always took.
    #[test]
    fn without_full_detail_owners_and_attributes_are_not_looked_at(
        mut entries in proptest::collection::vec(full_entry(), 0..8),
    ) {
        entries.retain(|(head, _)| {
            let known = matches!(head.kind, Kind::File { .. } | Kind::Dir | Kind::Symlink { .. } | Kind::Unchanged { .. });
            known && head.sparse().is_none()
        });
        let bytes = write(&entries);
        for (head, _) in &mut entries {
            head.full = None;
        }
        prop_assert_eq!(read(&bytes).unwrap(), entries);
    }

    #[test]
    fn a_prefix_with_full_metadata_is_never_taken_for_the_whole(
        entries in proptest::collection::vec(full_entry(), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        let bytes = write(&entries);
        let answer = read_with(&bytes[..cut.index(bytes.len())], Detail::Full);
        let refused = matches!(answer, Err(ReadError::Truncated { .. }));
        prop_assert!(refused, "{:?}", answer);
    }

    /// Damage that keeps headers well-formed reaches what stands in them.
    #[test]
    fn no_damage_makes_it_panic(
        entries in proptest::collection::vec(full_entry(), 1..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let mut bytes = write(&entries);
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for block in bytes.chunks_exact_mut(BLOCK).filter(|block| block[257..].starts_with(b"ustar")) {
            let mended = header::Block((&*block).try_into().unwrap()).finish();
            block.copy_from_slice(&mended);
        }
        for detail in [Detail::Basic, Detail::Full] {
            let _ = read_with(&bytes, detail);
        }
    }
}

/// Keys and values of extended records.
type Pairs<'a> = &'a [(&'a str, &'a str)];

/// An archive of one entry with these extended records and this content.
fn with_records(kind: u8, records: Pairs<'_>, content: &[u8]) -> Vec<u8> {
    let mut extended = Vec::new();
    for (key, value) in records {
        pax::push(&mut extended, key, value.as_bytes());
    }
    let mut bytes = header::Block::new(b'x', 0o644, extended.len() as u64, 0).finish().to_vec();
    extended.resize(extended.len() + write::padding(extended.len() as u64), 0);
    bytes.extend_from_slice(&extended);
    let mut block = header::Block::new(kind, 0o644, content.len() as u64, 0);
    block.set(header::NAME, b"odd");
    bytes.extend_from_slice(&block.finish());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len() + write::padding(content.len() as u64), 0);
    bytes.extend_from_slice(&write::END);
    bytes
}

const SPARSE: [(&str, &str); 4] = [
    ("GNU.sparse.major", "1"),
    ("GNU.sparse.minor", "0"),
    ("GNU.sparse.name", "holes"),
    ("GNU.sparse.realsize", "1000"),
];

fn sparse_file(map: &str, data: usize) -> Vec<u8> {
    let mut content = map.as_bytes().to_vec();
    content.resize(content.len() + write::padding(content.len() as u64) + data, 0);
    content
}

#[test]
fn impossible_metadata_are_refused_by_name() {
    let long = "n".repeat(256);
    let cases: [(u8, Pairs<'_>, MetadataError); 8] = [
        (b'0', &[("uid", "4294967296")], MetadataError::Number),
        (b'0', &[("gid", "18446744073709551615")], MetadataError::Number),
        (b'3', &[("SCHILY.devmajor", "4294967296")], MetadataError::Number),
        (b'4', &[("SCHILY.devminor", "4294967296")], MetadataError::Number),
        (b'0', &[("uname", &long)], MetadataError::OwnerName),
        (b'0', &[("gname", &long)], MetadataError::OwnerName),
        (b'0', &[("SCHILY.xattr.", "nameless")], MetadataError::XattrName),
        (b'5', &[("SCHILY.xattr.user.a\0b", "")], MetadataError::XattrName),
    ];
    for (kind, records, expected) in cases {
        match read_with(&with_records(kind, records, b""), Detail::Full) {
            Err(error @ ReadError::Metadata { reason, .. }) => {
                assert_eq!(reason, expected);
                assert!(error.to_string().starts_with("entry \"odd\": "), "{error}");
            }
            other => panic!("{records:?}: {other:?}"),
        }
    }
    for (key, value) in [("uid", "-2"), ("gid", "many"), (pax::LINK_GROUP, "1.5")] {
        let answer = read_with(&with_records(b'0', &[(key, value)], b""), Detail::Full);
        assert!(matches!(answer, Err(ReadError::Header { what: "extended records", .. })), "{answer:?}");
        assert!(read(&with_records(b'0', &[(key, value)], b"")).is_ok(), "a put does not look at {key}");
    }
}

#[test]
fn attributes_without_end_are_refused_however_they_are_spread() {
    let value = "v".repeat(60_000);
    let keys: Vec<String> = (0..14).map(|number| format!("SCHILY.xattr.user.{number}")).collect();
    let records: Vec<(&str, &str)> = keys.iter().map(|key| (&key[..], &value[..])).collect();
    let refused = |bytes: &[u8]| match read_with(bytes, Detail::Full) {
        Err(ReadError::Metadata { reason, .. }) => assert_eq!(reason, MetadataError::XattrsTooLarge),
        other => panic!("{other:?}"),
    };
    refused(&with_records(b'0', &records, b""));
    // Each in an extended header of its own.
    let mut bytes = Vec::new();
    for record in &records {
        let one = with_records(b'0', &[*record], b"");
        bytes.extend_from_slice(&one[..one.len() - 3 * BLOCK]);
    }
    bytes.extend_from_slice(&with_records(b'0', &[], b""));
    refused(&bytes);
    let long = "v".repeat(XATTR_VALUE_BYTES_MAX + 1);
    match read_with(&with_records(b'0', &[("SCHILY.xattr.user.a", &long)], b""), Detail::Full) {
        Err(ReadError::Metadata { reason, .. }) => assert_eq!(reason, MetadataError::XattrValue),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_most_that_is_allowed_can_be_written_and_read() {
    let name = |number: usize| [b"user.", &[b'='; 240][..], number.to_string().as_bytes()].concat();
    let mut full = FullMetadata { user: vec![0xff; 255], group: vec![0xff; 255], ..FullMetadata::default() };
    let mut room = XATTR_BYTES_MAX;
    for number in 1000..9999 {
        let xattr = Xattr { name: name(number), value: Vec::new() };
        full.xattrs.push(xattr.clone());
        let Some(left) = room.checked_sub(xattr.cost()) else { break };
        room = left;
    }
    assert_eq!(full.check(), Err(MetadataError::XattrsTooLarge));
    full.xattrs.pop();
    full.check().unwrap();
    let segments = (0..SEGMENTS_MAX as u64).map(|at| Segment { offset: (1 << 60) + at * 4096, len: 1 });
    let segments: Vec<Segment> = segments.collect();
    let size = segments.len() as u64;
    full.sparse = Some(SparseMap { size: 1 << 62, segments });
    let path = vec![b"n".repeat(250); 16].join(&b'/');
    let mtime = Mtime { seconds: i64::MIN / 2, nanos: 1 };
    let head = Head { path, kind: Kind::File { size }, mode: 0o7777, mtime, full: Some(Box::new(full)) };
    let entries = [(head, vec![7; size as usize])];
    assert_eq!(read_with(&write(&entries), Detail::Full).unwrap(), entries);
}

#[test]
fn a_map_that_does_not_match_its_content_is_refused() {
    let good =
        read_with(&with_records(b'0', &SPARSE, &sparse_file("1\n100\n10\n", 10)), Detail::Full).unwrap();
    let (head, data) = &good[0];
    assert_eq!((&head.path[..], &head.kind, data.len()), (&b"holes"[..], &Kind::File { size: 10 }, 10));
    let map = head.sparse().unwrap();
    assert_eq!((map.size, &map.segments[..]), (1000, &[Segment { offset: 100, len: 10 }][..]));

    for (map, data) in [
        ("1\n100\n10\n", 9),
        ("1\n100\n10\n", 11),
        ("1\n995\n10\n", 10),
        ("2\n100\n10\n105\n10\n", 20),
        ("nonsense", 10),
        ("", 10),
        ("", 0),
    ] {
        let answer = read_with(&with_records(b'0', &SPARSE, &sparse_file(map, data)), Detail::Full);
        match answer {
            Err(ReadError::Metadata { reason, .. }) => {
                assert_eq!(reason, MetadataError::SparseMap, "{map:?}");
            }
            other => panic!("{map:?}: {other:?}"),
        }
    }
    // Other versions, and holes in what has no content, are named and not misread.
    let older = [("GNU.sparse.major", "0"), SPARSE[1], SPARSE[2], SPARSE[3]];
    for (kind, records) in
        [(b'0', &older[..]), (b'0', &SPARSE[..3]), (b'6', &SPARSE), (b'5', &SPARSE), (b'S', &[])]
    {
        let answer = read_with(&with_records(kind, records, &sparse_file("1\n100\n10\n", 10)), Detail::Full);
        let unsupported = matches!(answer, Err(ReadError::Unsupported { .. }));
        assert!(unsupported, "{kind}: {answer:?}");
    }
    assert!(matches!(
        read(&with_records(b'0', &SPARSE, b"")),
        Err(ReadError::Unsupported { what: "sparse file", .. })
    ));
}

#[test]
fn content_that_stays_behind_has_only_its_map() {
    let unchanged = (pax::UNCHANGED, &*"a5".repeat(32));
    let records = [SPARSE[0], SPARSE[1], SPARSE[2], SPARSE[3], unchanged];
    let bytes = with_records(b'0', &records, &sparse_file("1\n100\n10\n", 0));
    let read_back = read_with(&bytes, Detail::Full).unwrap();
    assert_eq!(read_back[0].0.kind, Kind::Unchanged { fingerprint: Fingerprint([0xa5; 32]) });
    assert_eq!(read_back[0].0.sparse().unwrap().data_len(), 10);
    let bytes = with_records(b'0', &records, &sparse_file("1\n100\n10\n", 10));
    let answer = read_with(&bytes, Detail::Full);
    assert!(matches!(answer, Err(ReadError::Metadata { .. })), "{answer:?}");
}

#[test]
fn hard_links_lead_nowhere_else() {
    let link = |target: &str, content: &[u8]| {
        read_with(&with_records(b'1', &[("linkpath", target)], content), Detail::Full)
    };
    assert_eq!(link("./a//b", b"").unwrap()[0].0.kind, Kind::HardLink { target: b"a/b".to_vec() });
    for target in ["/etc/passwd", "a/../../b", &"n".repeat(5000)] {
        match link(target, b"") {
            Err(ReadError::Path { path, .. }) => assert_eq!(path, target.as_bytes()),
            other => panic!("{other:?}"),
        }
    }
    assert!(matches!(link("a", b"content"), Err(ReadError::Unsupported { .. })));
    assert!(matches!(link(".", b""), Err(ReadError::Unsupported { .. })));
}

#[test]
fn what_is_said_for_all_files_has_no_attributes() {
    let mut bytes =
        with_records(b'0', &[("uid", "7"), ("SCHILY.xattr.user.a", "b"), (pax::LINK_GROUP, "1")], b"");
    bytes[156] = b'g';
    let mut block = [0; BLOCK];
    block.copy_from_slice(&bytes[..BLOCK]);
    bytes[..BLOCK].copy_from_slice(&header::Block(block).finish());
    let full = read_with(&bytes, Detail::Full).unwrap()[0].0.full.clone().unwrap();
    assert_eq!((full.uid, full.xattrs.len(), full.link_group), (7, 0, None));
}

/// What GNU tar reads and writes, if it is here.
fn gnu_tar(args: &[&str], dir: &std::path::Path) -> Option<std::process::Output> {
    let version = std::process::Command::new("tar").arg("--version").output().ok()?;
    let is_gnu = String::from_utf8_lossy(&version.stdout).contains("GNU tar");
    is_gnu.then(|| std::process::Command::new("tar").args(args).current_dir(dir).output().unwrap())
}

#[test]
fn gnu_tar_and_we_read_each_other() {
    use std::os::unix::fs::MetadataExt;
    let dir = tempfile::tempdir().unwrap();
    let metadata = FullMetadata { uid: 0, gid: 0, ..FullMetadata::default() };
    let head = |path: &str, kind, full: FullMetadata| Head {
        path: path.into(),
        kind,
        mode: 0o640,
        mtime: Mtime { seconds: 1_000_000_000, nanos: 5 },
        full: Some(Box::new(full)),
    };
    let segments = vec![Segment { offset: 1 << 20, len: 4096 }, Segment { offset: 1 << 30, len: 1 }];
    let map = SparseMap { size: 10 << 30, segments };
    let data = vec![b'x'; 4097];
    let with_map = FullMetadata { sparse: Some(map.clone()), link_group: Some(1), ..metadata.clone() };
    let entries = [
        (head("holes", Kind::File { size: 4097 }, with_map), data.clone()),
        (head("link", Kind::HardLink { target: b"holes".to_vec() }, metadata.clone()), Vec::new()),
        (head("pipe", Kind::Fifo, metadata), Vec::new()),
    ];
    let archive = dir.path().join("ours.tar");
    std::fs::write(&archive, write(&entries)).unwrap();
    let Some(output) = gnu_tar(&["--no-same-owner", "-xf", "ours.tar"], dir.path()) else { return };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let holes = std::fs::metadata(dir.path().join("holes")).unwrap();
    assert_eq!(
        (holes.len(), holes.nlink(), holes.mode() & 0o7777, holes.mtime()),
        (10 << 30, 2, 0o640, 1_000_000_000)
    );
    assert!(holes.blocks() < 1000);

    let arguments =
        ["--format=posix", "--sparse", "--numeric-owner", "-cf", "theirs.tar", "holes", "link", "pipe"];
    let output = gnu_tar(&arguments, dir.path()).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs = read_with(&std::fs::read(dir.path().join("theirs.tar")).unwrap(), Detail::Full).unwrap();
    let (first, content) = &theirs[0];
    assert_eq!(
        (&first.path[..], first.mtime, first.sparse().unwrap().size),
        (&b"holes"[..], entries[0].0.mtime, map.size)
    );
    assert!(content.starts_with(&data[..4096]), "a block of file systems may be larger");
    assert_eq!(theirs[1].0.kind, entries[1].0.kind);
    assert_eq!(theirs[2].0.kind, Kind::Fifo);
}
