//! Registering, renewing, withdrawing and finding.

use super::*;

/// Members near the place and far from it, and clients, as providers and as askers.
#[test]
fn what_is_registered_is_found_by_everybody() {
    for (metric, seed) in METRICS.into_iter().zip([301, 302]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.joined_client();
        assert!(world.found(3, 1).is_empty());
        let mut providers = vec![world.holders(1)[0], world.holders(1)[8], world.far_from(1)[0], client];
        for provider in &providers {
            let id = world.register(*provider, 1, 5);
            let KeptBy { stored, of } = world.registered(id).unwrap().unwrap();
            assert!(of == 9 && stored >= 5, "{stored} of {of}, {metric}");
        }
        providers.sort_by_key(|node| *world.peer(*node).public_key());
        world.run(SECOND);
        let askers = world.live();
        for asker in askers {
            assert_eq!(world.found(asker, 1), providers, "{metric}, asked by {asker}, seed {seed}");
        }
        assert!(world.found(3, 2).is_empty(), "nothing was listed elsewhere");
        // For as long as the providers live.
        world.run(Duration::from_secs(600));
        assert_eq!(world.found(client, 1), providers);
        let kept = world.holders(1).into_iter().map(|node| world.nodes[node].dht.listings_kept().0);
        assert_eq!(kept.collect::<Vec<_>>(), [4; 9]);
    }
}

#[test]
fn a_network_of_one_and_of_three_keep_what_is_listed() {
    for count in [1, 3] {
        let mut world = World::settled(303, AnyMetric::Ring, config(), count);
        let id = world.register(0, 1, 1);
        assert_eq!(world.registered(id).unwrap().unwrap().of, count);
        assert_eq!(world.found(count - 1, 1), [0]);
        world.wants(0, RendezvousInput::Withdraw(id));
        world.run(SECOND);
        assert!(world.found(count - 1, 1).is_empty());
    }
}

/// The provider ends without a word, whether senders learn that it is gone or not.
#[test]
fn whoever_is_killed_is_gone_within_twenty_seconds_and_suspected_before() {
    for (refuses, seed) in [(true, 304), (false, 305)] {
        for wait in [0, 1, 2, 3, 4] {
            let mut world = World::settled(seed, AnyMetric::Ring, config(), 20);
            world.weather.refuses = refuses;
            let (provider, asker) = (world.far_from(1)[0], world.far_from(1)[1]);
            world.register(provider, 1, 1);
            world.run(Duration::from_secs(30 + wait));
            world.kill(provider);
            world.run(Duration::from_secs(2));
            assert_eq!(world.found(asker, 1), [provider], "it is not given up at once");
            world.run(Duration::from_secs(7));
            let seen = world.find(asker, 1).unwrap();
            assert!(seen.iter().all(|seen| seen.suspect && seen.age >= 8 * SECOND), "{seen:?}");
            world.run(Duration::from_secs(11));
            assert!(world.found(asker, 1).is_empty(), "after {wait} s, seed {seed}");
        }
    }
}

#[test]
fn who_leaves_or_withdraws_is_gone_at_once() {
    for (metric, seed) in METRICS.into_iter().zip([306, 307]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.joined_client();
        let nodes = [world.holders(1)[2], world.far_from(1)[0], world.far_from(1)[1], client];
        let ids: Vec<_> = nodes.iter().map(|node| world.register(*node, 1, 1)).collect();
        world.run(Duration::from_secs(17));
        world.input(nodes[0], Input::Leave);
        world.input(nodes[1], Input::Leave);
        world.wants(nodes[2], RendezvousInput::Withdraw(ids[2]));
        world.run(Duration::from_millis(900));
        assert_eq!(world.found(world.far_from(1)[5], 1), [client], "{metric}");
        let told = world.told.iter().any(|(_, told)| match told {
            RendezvousOutput::Withdrawn { id, told } => *id == ids[2] && told.stored >= 5 && told.of == 9,
            _ => false,
        });
        assert!(told, "{:?}", world.told.last());
        world.input(client, Input::Leave);
        world.run(Duration::from_millis(900));
        assert!(world.found(world.far_from(1)[5], 1).is_empty());
        // Nobody renews it behind their backs.
        world.run(Duration::from_secs(100));
        assert!(world.found(world.far_from(1)[5], 1).is_empty(), "{metric}");
        let kept: usize = world.nodes.iter().map(|node| node.dht.listings_kept().0).sum();
        assert_eq!(kept, 0, "withdrawals are forgotten in the end");
    }
}

#[test]
fn a_registration_that_is_cancelled_is_no_longer_renewed() {
    let mut world = World::settled(308, AnyMetric::Ring, config(), 20);
    let id = world.register(3, 1, 1);
    world.input(3, Input::CancelOperation(id));
    world.run(Duration::from_secs(2));
    assert_eq!(world.found(4, 1), [3]);
    world.run(Duration::from_secs(18));
    assert!(world.found(4, 1).is_empty());
}

#[test]
fn a_registration_takes_the_place_of_the_earlier_one() {
    let mut world = World::settled(309, AnyMetric::Ring, config(), 20);
    let (first, second) = (world.register(3, 1, 1), world.register(3, 1, 2));
    for wait in [0, 10, 60] {
        world.run(Duration::from_secs(wait));
        let seqs: Vec<u64> = world.find(4, 1).unwrap().iter().map(|seen| seen.listing.seq()).collect();
        assert_eq!(seqs, [2]);
    }
    world.wants(3, RendezvousInput::Withdraw(first));
    world.run(SECOND);
    assert_eq!(world.found(4, 1), [3]);
    assert!(!world.is_withdrawn(first), "the earlier one is forgotten");
    world.wants(3, RendezvousInput::Withdraw(second));
    world.run(SECOND);
    assert!(world.found(4, 1).is_empty());
}

#[test]
fn a_registration_ends_when_it_expires() {
    let mut world = World::settled(310, AnyMetric::Ring, config(), 20);
    let until = world.now.as_micros() / 1_000_000 + 60;
    let expiring = |listing: &Listing| {
        let statement = ListingStatement { valid_until: until, ..listing.statement().clone() };
        Arc::new(statement.signed(Signature([0; 64])).unwrap())
    };
    let (id, listing, withdrawal) =
        (world.next_id(), world.listing(3, 1, 0, 1, b"x"), world.listing(3, 1, 0, 2, b""));
    let (listing, withdrawal) = (expiring(&listing), expiring(&withdrawal));
    world.wants(3, RendezvousInput::Register { id, listing, withdrawal });
    world.run(Duration::from_secs(58));
    assert_eq!(world.found(4, 1), [3]);
    world.run(Duration::from_secs(10));
    assert!(world.found(4, 1).is_empty());
    world.wants(3, RendezvousInput::Withdraw(id));
    world.run(SECOND);
    assert!(!world.is_withdrawn(id), "it is forgotten");
}

/// A provider that was killed starts again and has lost nothing: its number has risen.
#[test]
fn a_provider_that_starts_again_is_listed_again() {
    let mut world = World::settled(311, AnyMetric::Ring, config(), 20);
    let provider = world.far_from(1)[0];
    world.register(provider, 1, 1);
    world.run(Duration::from_secs(10));
    world.kill(provider);
    world.run(Duration::from_secs(2));
    world.restart(provider, &[world.far_from(1)[1]]);
    world.run_until(DEADLINE, |world| world.is_joined(provider));
    world.register(provider, 1, 10);
    for _ in 0..30 {
        world.run(SECOND);
        assert_eq!(world.found(world.far_from(1)[1], 1), [provider]);
    }
}

/// All of the nine but one start anew at the same moment and know nothing.
#[test]
fn a_live_service_is_found_while_most_of_those_who_list_it_start_again() {
    for (metric, seed) in METRICS.into_iter().zip([312, 313]) {
        let mut world = World::settled(seed, metric, config(), 30);
        let (provider, asker) = (world.far_from(1)[0], world.far_from(1)[1]);
        world.register(provider, 1, 1);
        world.run(Duration::from_secs(20));
        let holders = world.holders(1);
        for holder in &holders[1..] {
            world.restart(*holder, &[asker]);
        }
        for _ in 0..100 {
            world.run(Duration::from_millis(100));
            assert_eq!(world.found(asker, 1), [provider], "{metric}, seed {seed}");
        }
    }
}
