//! Watching what is listed.

use super::*;

#[test]
fn a_watcher_hears_of_everything_within_a_second() {
    for (metric, seed) in METRICS.into_iter().zip([321, 322]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.joined_client();
        let early = world.register(7, 1, 1);
        let watchers = [world.holders(1)[0], world.far_from(1)[0], client, 7];
        let leaves = world.far_from(1).into_iter().find(|node| !watchers.contains(node)).unwrap();
        let watches: Vec<_> = watchers.iter().map(|node| world.watch_listings(*node, 1)).collect();
        let empty = world.watch_listings(3, 2);
        world.run(SECOND);
        assert_eq!(
            world.believed(empty),
            Some(BTreeMap::new()),
            "the first news may be that there is nothing"
        );
        let believe = |world: &World, expected: &[usize]| {
            let expected: BTreeMap<_, _> = expected.iter().map(|node| (*node, false)).collect();
            for watch in &watches {
                assert_eq!(world.believed(*watch).as_ref(), Some(&expected), "{metric}, seed {seed}");
            }
        };
        believe(&world, &[7]);
        world.register(client, 1, 1);
        world.run(SECOND);
        believe(&world, &[7, client]);
        // For longer than anything is remembered without being renewed.
        world.run(Duration::from_secs(300));
        let told = world.told.len();
        world.run(Duration::from_secs(60));
        assert_eq!(world.told.len(), told, "nothing is told when nothing happens");
        world.register(leaves, 1, 1);
        world.run(SECOND);
        believe(&world, &[leaves, 7, client]);
        world.wants(7, RendezvousInput::Withdraw(early));
        world.run(SECOND);
        believe(&world, &[leaves, client]);
        world.input(leaves, Input::Leave);
        world.run(SECOND);
        believe(&world, &[client]);
    }
}

#[test]
fn a_watcher_hears_that_a_killed_provider_is_suspected_and_then_gone() {
    for (metric, seed) in METRICS.into_iter().zip([323, 324]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.joined_client();
        let provider = world.far_from(1)[0];
        let watches =
            [client, world.far_from(1)[1], world.holders(1)[3]].map(|node| world.watch_listings(node, 1));
        world.register(provider, 1, 1);
        world.run(Duration::from_secs(33));
        world.kill(provider);
        world.run(Duration::from_secs(9));
        for watch in watches {
            assert_eq!(world.believed(watch), Some([(provider, true)].into()), "{metric}, seed {seed}");
        }
        world.run(Duration::from_secs(11));
        for watch in watches {
            assert_eq!(world.believed(watch), Some(BTreeMap::new()), "{metric}, seed {seed}");
        }
    }
}

/// Messages get lost, and those who list it end one after the other until none of the first is left.
#[test]
fn a_live_provider_is_never_gone_whoever_else_dies() {
    for (metric, seed) in METRICS.into_iter().zip([325, 326]) {
        for lost_per_mille in [0, 50] {
            let mut world = World::settled(seed, metric, config(), 40);
            world.weather.lost_per_mille = lost_per_mille;
            let (provider, watcher) = (world.far_from(1)[0], world.far_from(1)[1]);
            world.register(provider, 1, 1);
            let watch = world.watch_listings(watcher, 1);
            world.run(Duration::from_secs(5));
            for holder in world.holders(1) {
                world.kill(holder);
                for _ in 0..4 {
                    world.run(Duration::from_secs(6));
                    assert_eq!(world.found(watcher, 1), [provider], "{metric}, seed {seed}");
                }
            }
            assert!(world.gone_at(watch).is_empty(), "{metric}, seed {seed}");
            let suspected = world.told.iter().any(|(_, told)| match told {
                RendezvousOutput::ListingsChanged { changed, .. } => changed.iter().any(|seen| seen.suspect),
                _ => false,
            });
            assert!(!suspected || lost_per_mille > 0, "{metric}, seed {seed}");
        }
    }
}

#[test]
fn a_provider_that_was_stopped_for_a_while_is_suspected_no_longer() {
    let mut world = World::settled(327, AnyMetric::Ring, config(), 20);
    let (provider, watcher) = (world.far_from(1)[0], world.far_from(1)[1]);
    world.register(provider, 1, 1);
    let watch = world.watch_listings(watcher, 1);
    world.run(Duration::from_secs(20));
    world.nodes[provider].frozen = true;
    world.run(Duration::from_secs(10));
    assert_eq!(world.believed(watch), Some([(provider, true)].into()));
    world.nodes[provider].frozen = false;
    world.input(provider, Input::Timeout);
    world.run(SECOND);
    assert_eq!(world.believed(watch), Some([(provider, false)].into()));
    assert!(world.gone_at(watch).is_empty());
    // For so long that it was given up: it is listed again.
    world.nodes[provider].frozen = true;
    world.run(Duration::from_secs(40));
    assert_eq!(world.believed(watch), Some(BTreeMap::new()));
    world.nodes[provider].frozen = false;
    world.input(provider, Input::Timeout);
    world.run(Duration::from_secs(3));
    assert_eq!(world.believed(watch), Some([(provider, false)].into()));
}

#[test]
fn a_watch_that_is_cancelled_hears_nothing_more() {
    let mut world = World::settled(328, AnyMetric::Ring, config(), 20);
    let watch = world.watch_listings(3, 1);
    world.run(SECOND);
    world.input(3, Input::CancelOperation(watch));
    let told = world.told.len();
    world.register(4, 1, 1);
    world.run(Duration::from_secs(60));
    assert_eq!(world.told.len(), told + 1, "only that it is registered");
}

/// Nobody tells the watcher anything for a while: it asks itself.
#[test]
fn a_watch_survives_those_who_were_to_tell() {
    let mut world = World::settled(329, AnyMetric::Ring, config(), 40);
    let (provider, watcher) = (world.far_from(1)[0], world.far_from(1)[1]);
    let watch = world.watch_listings(watcher, 1);
    world.run(SECOND);
    for holder in world.holders(1) {
        world.kill(holder);
    }
    world.run(Duration::from_secs(30));
    world.register(provider, 1, 1);
    world.run(Duration::from_secs(34));
    assert_eq!(world.believed(watch), Some([(provider, false)].into()));
}
