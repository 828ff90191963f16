//! What one node may have under way, and what it is told when it wants more or cannot have it.

use chordage_dht::Rejection;

use super::*;

#[test]
fn who_is_part_of_no_network_is_told_so() {
    let mut world = World::new(361, AnyMetric::Ring, config());
    let node = world.add();
    let id = world.start_registering(node, 1, 0, 1);
    assert_eq!(world.registered(id), Some(Err(RendezvousError::NotJoined)));
    assert_eq!(world.find(node, 1), Err(RendezvousError::NotJoined));
    // A watch waits until there is one.
    let watch = world.watch_listings(node, 1);
    world.run(Duration::from_secs(30));
    assert_eq!(world.believed(watch), None);
    world.join(node, &[]);
    world.run(Duration::from_secs(30));
    assert_eq!(world.believed(watch), Some(BTreeMap::new()));
}

#[test]
fn what_is_not_the_nodes_own_or_cannot_be_taken_back_is_not_registered() {
    let mut world = World::settled(362, AnyMetric::Ring, config(), 10);
    let own = |world: &World, seq, body: &[u8]| world.listing(3, 1, 0, seq, body);
    for (listing, withdrawal) in [
        (world.listing(4, 1, 0, 1, b"x"), world.listing(4, 1, 0, 2, b"")),
        (own(&world, 1, b"x"), world.listing(3, 2, 0, 2, b"")),
        (own(&world, 1, b"x"), world.listing(3, 1, 1, 2, b"")),
        (own(&world, 1, b"x"), own(&world, 1, b"")),
        (own(&world, 1, b"x"), own(&world, 2, b"x")),
    ] {
        let id = world.next_id();
        world.wants(3, RendezvousInput::Register { id, listing, withdrawal });
        assert_eq!(world.registered(id), Some(Err(RendezvousError::Refused(Rejection::NotYours))));
    }
    world.run(Duration::from_secs(10));
    assert!(world.found(5, 1).is_empty());
}

#[test]
fn more_than_a_node_may_have_is_refused() {
    let mut world = World::settled(363, AnyMetric::Ring, config(), 3);
    let ids: Vec<_> = (0..257).map(|at| world.start_registering(0, (at / 16) as u8, at % 16, 1)).collect();
    assert_eq!(world.registered(ids[256]), Some(Err(RendezvousError::Busy)));
    world.run(SECOND);
    assert!(ids[..256].iter().all(|id| world.registered(*id).is_some_and(|outcome| outcome.is_ok())));
    // One that is taken back makes room; one that there is already needs none.
    let again = world.start_registering(0, 0, 0, 5);
    world.run(SECOND);
    assert!(world.registered(again).unwrap().is_ok());
    world.wants(0, RendezvousInput::Withdraw(ids[7]));
    let (watches, refused) =
        ((0..256).map(|_| world.watch_listings(1, 1)).count(), world.watch_listings(1, 1));
    let told = |world: &World| {
        world.told.iter().any(|(_, told)| {
            matches!(told, RendezvousOutput::NotBegun { id, why: RendezvousError::Busy } if *id == refused)
        })
    };
    assert!(watches == 256 && told(&world));
    for _ in 0..256 {
        let (id, deadline) = (world.next_id(), DEADLINE);
        world.wants(2, RendezvousInput::FindListings { id, place: place(1), deadline });
    }
    assert_eq!(world.find(2, 1), Err(RendezvousError::Busy));
    world.run(SECOND);
    assert_eq!(world.find(2, 1).unwrap().len(), 16);
}

/// The holders count what they keep of one provider; what a majority refuses is not registered.
#[test]
fn who_lists_too_much_at_one_place_is_told_so() {
    let mut world = World::settled(364, AnyMetric::Ring, config(), 20);
    let outcomes: Vec<_> = (0..17)
        .map(|number| {
            let id = world.start_registering(3, 1, number, 1);
            world.run(SECOND);
            world.registered(id).unwrap()
        })
        .collect();
    assert!(outcomes[..16].iter().all(Result::is_ok), "{outcomes:?}");
    assert_eq!(outcomes[16], Err(RendezvousError::Refused(Rejection::SenderFull)));
}

#[test]
fn without_a_majority_nothing_is_found_and_nothing_is_sure() {
    let mut world = World::settled(365, AnyMetric::Ring, config(), 20);
    let (provider, asker) = (world.far_from(1)[0], world.far_from(1)[1]);
    for other in (0..20).filter(|node| ![provider, asker].contains(node)) {
        world.nodes[other].frozen = true;
    }
    let (registration, find, deadline) =
        (world.start_registering(provider, 1, 0, 1), world.next_id(), 2 * SECOND);
    world.wants(asker, RendezvousInput::FindListings { id: find, place: place(1), deadline });
    world.run(11 * SECOND);
    let found = world.told.iter().find_map(|(_, told)| match told {
        RendezvousOutput::ListingsFound { id, outcome } if *id == find => Some(outcome.clone()),
        _ => None,
    });
    let none = Some(Err(RendezvousError::NoMajority { heard: 0, needed: 5, of: 9 }));
    assert_eq!(found, none);
    let none = Some(Err(RendezvousError::Unknown { stored: 0, needed: 5, of: 9 }));
    assert_eq!(world.registered(registration), none);
    // It goes on trying.
    for node in 0..20 {
        world.nodes[node].frozen = false;
        world.input(node, Input::Timeout);
    }
    world.run(Duration::from_secs(20));
    assert_eq!(world.found(asker, 1), [provider]);
}

/// What is under way when a node leaves is over.
#[test]
fn who_leaves_is_told_how_everything_ended() {
    let mut world = World::settled(366, AnyMetric::Ring, config(), 20);
    let node = world.far_from(1)[0];
    for holder in world.holders(1) {
        world.nodes[holder].frozen = true;
    }
    let (registration, watch) = (world.start_registering(node, 1, 0, 1), world.watch_listings(node, 1));
    let (find, deadline) = (world.next_id(), DEADLINE);
    world.wants(node, RendezvousInput::FindListings { id: find, place: place(1), deadline });
    world.input(node, Input::Leave);
    assert_eq!(world.registered(registration), Some(Err(RendezvousError::NotJoined)));
    let found = world.told.iter().any(|(_, told)| {
        matches!(told, RendezvousOutput::ListingsFound { id, outcome: Err(RendezvousError::NotJoined) } if *id == find)
    });
    assert!(found && world.believed(watch).is_none());
    let told = world.told.len();
    world.run(Duration::from_secs(60));
    assert_eq!(world.told.len(), told);
}
