//! How what one map needs differs from what another one needs.

use super::*;

type Counts = BTreeMap<ChunkId, i64>;

/// How often a map needs each chunk, by reading all of it.
fn counted(root: &MapRoot, store: &mut Store) -> Counts {
    let mut counts = Counts::new();
    let mut found = BTreeSet::new();
    nodes(root, store, &mut found);
    counts.extend(found.into_iter().map(|node| (node, 1)));
    let mut cursor = Cursor::new(root);
    while let Some((_, value)) = cursor.next(store).unwrap() {
        let outer: Vec<ChunkRef> = value.chunks().to_vec();
        let spilled = matches!(value, ValueRef::Spilled { .. });
        let inner = if spilled { value.load(store).unwrap().chunks } else { Vec::new() };
        for chunk in outer.into_iter().chain(inner) {
            *counts.entry(chunk.id).or_default() += 1;
        }
    }
    counts
}

fn add(counts: &mut Counts, needs: &Needs) {
    let more = needs.more().map(|(chunk, times)| (chunk.id, times as i64));
    let less = needs.less().map(|(chunk, times)| (chunk.id, -(times as i64)));
    for (chunk, times) in more.chain(less) {
        assert_ne!(times, 0);
        *counts.entry(chunk).or_default() += times;
    }
    counts.retain(|_, times| *times != 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn what_is_needed_more_and_less_leads_from_one_map_to_the_next(
        before in content(), after in content(), steps in 1usize..4,
    ) {
        let (first, mut store) = build(&before);
        let mut root = first;
        let mut counts = counted(&root, &mut store);
        let keys: BTreeSet<&Vec<u8>> = before.keys().chain(after.keys()).collect();
        let mut sum = Needs::new();
        for step in 0..steps {
            let part = keys.iter().skip(step).step_by(steps);
            let changes = part.map(|key| ((*key).clone(), after.get(*key).cloned())).collect();
            let edited = change(&root, &mut store, changes);
            let between = Needs::between(Some(&root), &edited.root, &mut store).unwrap();
            prop_assert_eq!(&between, &edited.needs);
            add(&mut counts, &edited.needs);
            prop_assert_eq!(&counts, &counted(&edited.root, &mut store));
            prop_assert_eq!(counts.keys().copied().collect::<BTreeSet<_>>(), reach(&edited.root, &mut store));
            root = edited.root;
            sum.add(edited.needs);
        }
        prop_assert_eq!(&sum, &Needs::between(Some(&first), &root, &mut store).unwrap());
        let mut back = Needs::between(Some(&root), &first, &mut store).unwrap();
        back.add(sum);
        prop_assert_eq!(back, Needs::new(), "there and back again");
    }

    #[test]
    fn the_first_map_needs_all_of_its_chunks(content in content()) {
        let (built, mut store) = build(&content);
        let mut writer = ChunkWriter::new(Store::default());
        let changes = content.into_iter().map(|(key, value)| (key, Some(value))).collect();
        let created = create(changes, &mut store, &mut writer).unwrap();
        prop_assert_eq!(created.root, built);
        prop_assert!(created.dropped.is_empty());
        let mut counts = Counts::new();
        add(&mut counts, &created.needs);
        prop_assert_eq!(&counts, &counted(&built, &mut store));
        prop_assert_eq!(&created.needs, &Needs::between(None, &built, &mut store).unwrap());
    }
}

#[test]
fn a_chunk_is_needed_until_the_last_value_is_gone_that_names_it() {
    // Equal long values lie in the same chunk; the second also names one that a short value names.
    let (shared, long) = (reference(b"shared"), vec![7; 3000]);
    let named = |bytes: &[u8]| Value { bytes: bytes.to_vec(), chunks: vec![shared] };
    let content = BTreeMap::from([
        (b"a".to_vec(), Value::of(long.clone())),
        (b"b".to_vec(), Value::of(long)),
        (b"c".to_vec(), named(&[8; 2000])),
        (b"d".to_vec(), named(b"short")),
    ]);
    let (mut root, mut store) = build(&content);
    let spilled = |key: &[u8], root: &MapRoot, store: &mut Store| match root.get(key, store).unwrap().unwrap()
    {
        ValueRef::Spilled { chunks, .. } => chunks[0].id,
        ValueRef::Inline(_) => panic!("it is long"),
    };
    let lies_in = spilled(b"a", &root, &mut store);
    assert_eq!(lies_in, spilled(b"b", &root, &mut store));
    let mut counts = counted(&root, &mut store);
    assert_eq!((counts[&lies_in], counts[&shared.id]), (2, 2));
    for (key, expected) in [(b"a", (1, 2)), (b"c", (1, 1)), (b"b", (0, 1)), (b"d", (0, 0))] {
        let edited = change(&root, &mut store, BTreeMap::from([(key.to_vec(), None)]));
        add(&mut counts, &edited.needs);
        root = edited.root;
        let count = |chunk| counts.get(&chunk).copied().unwrap_or(0);
        assert_eq!((count(lies_in), count(shared.id)), expected, "without {}", key[0] as char);
    }
}

#[test]
fn what_two_maps_share_is_not_read_to_see_what_they_need() {
    let (root, mut store) = build(&numbered(100_000));
    let key = b"home/00500000".to_vec();
    store.loads = 0;
    let edited = change(&root, &mut store, BTreeMap::from([(key, Some(Value::of(*b"other")))]));
    assert!(store.loads <= 10, "{} nodes read", store.loads);
    store.loads = 0;
    let needs = Needs::between(Some(&root), &edited.root, &mut store).unwrap();
    assert_eq!((needs.more().count(), needs.less().count(), store.loads), (3, 3, 6));
    assert_eq!(needs, edited.needs);
}

#[test]
fn a_change_of_everything_has_a_few_nodes_in_memory() {
    /// Counts the chunks that are submitted between two barriers.
    #[derive(Default)]
    struct Waiting(Store, usize, usize);
    impl ChunkSink for Waiting {
        type Error = &'static str;

        fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
            self.1 += 1;
            self.2 = self.2.max(self.1);
            self.0.submit(pack)
        }

        fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
            self.1 = 0;
            self.0.barrier()
        }
    }
    let content = numbered(50_000);
    let (root, mut store) = build(&content);
    let changes = || content.keys().map(|key| (key.clone(), Some(Value::of(*b"other")))).collect();
    let mut writer = ChunkWriter::new(Waiting::default());
    let edited = edit(&root, changes(), &mut store, &mut writer).unwrap();
    let mut creating = ChunkWriter::new(Waiting::default());
    let created = create(changes(), &mut store, &mut creating).unwrap();
    assert_eq!(created.root, edited.root);
    for written in [writer.into_sink(), creating.into_sink()] {
        assert!(written.0.chunks.len() > 150);
        assert!(written.2 < 40, "{} at a time", written.2);
    }
}
