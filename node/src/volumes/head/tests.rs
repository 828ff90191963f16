//! Whoever may read opens a head, whoever may write makes the next one, and nobody else does either.

use chordage_api::volume::Capability;
use chordage_dht::AnyMetric;

use super::super::view::tests::reference;
use super::*;

fn keys(secret: u8) -> VolumeKeys {
    VolumeKeys::of(&Capability::Write { secret: [secret; 32] }).unwrap()
}

fn reading(secret: u8) -> VolumeKeys {
    VolumeKeys::of(&keys(secret).reading()).unwrap()
}

fn root() -> MapRoot {
    MapRoot { chunk: reference(b"root"), level: 2, keys: u64::MAX }
}

fn after(current: Option<&Held>, seen: u64) -> Held {
    let network = NetworkFingerprint::of("a", AnyMetric::Ring);
    let record = next(&keys(1), network, current, seen, &root()).unwrap();
    Held { record, ballot: Default::default() }
}

fn changed(held: &Held, change: impl FnOnce(&mut Vec<u8>)) -> Held {
    let mut statement = held.record.statement().clone();
    change(&mut statement.value);
    let record = statement.signed(Signature([0; 64])).unwrap();
    Held { record: Arc::new(record), ballot: Default::default() }
}

#[test]
fn readers_open_a_head_and_others_do_not() {
    let held = after(None, 0);
    assert_eq!(open(&keys(1), &held), Some(root()));
    assert_eq!(open(&reading(1), &held), Some(root()));
    assert_eq!(open(&keys(2), &held), None);
    let Capability::Read { read_key, .. } = keys(1).reading() else { unreachable!() };
    let elsewhere = VolumeKeys::of(&Capability::Read { volume: keys(2).id().0, read_key }).unwrap();
    assert_eq!(open(&elsewhere, &held), None, "it is sealed for one volume");
    let len = held.record.statement().value.len();
    for at in 0..len {
        assert_eq!(open(&keys(1), &changed(&held, |value| value[at] ^= 1)), None, "byte {at}");
        assert_eq!(open(&keys(1), &changed(&held, |value| value.truncate(at))), None, "{at} bytes");
    }
    assert_eq!(open(&keys(1), &changed(&held, |value| value.push(0))), None);
}

#[test]
fn the_next_head_is_above_all_that_were_held_or_seen() {
    let first = after(None, 0);
    let second = after(Some(&first), 0);
    let third = after(Some(&second), 7);
    let lost = after(None, 9);
    assert_eq!([&first, &second, &third, &lost].map(|held| held.record.seq()), [1, 2, 8, 10]);
    let previous = |held: &Held| held.record.statement().previous;
    assert_eq!(previous(&first), None);
    assert_eq!(previous(&second), Some(first.record.hash()));
    assert_ne!(
        first.record.statement().value,
        after(None, 0).record.statement().value,
        "no nonce is used twice"
    );
}

#[test]
fn whoever_may_only_read_makes_no_head() {
    let network = NetworkFingerprint::of("a", AnyMetric::Ring);
    assert!(matches!(next(&reading(1), network, None, 0, &root()), Err(VolumesError::ReadOnly)));
    assert!(reading(1).writing().is_none());
    assert_eq!((reading(1).id(), reading(1).head_key()), (keys(1).id(), keys(1).head_key()));
}
