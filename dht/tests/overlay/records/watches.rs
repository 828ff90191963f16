//! Watching records.

use super::*;

impl World {
    fn watch(&mut self, node: usize, owner: u8) -> OperationId {
        let id = OperationId(self.next_lookup);
        self.next_lookup += 1;
        self.input(node, Input::StartWatch { id, address: address(owner) });
        id
    }

    /// The numbers that a watch has told so far.
    fn told(&self, id: OperationId) -> Vec<u64> {
        let told = self.watched.iter().filter(|(watch, _)| *watch == id);
        told.map(|(_, held)| held.record.seq()).collect()
    }
}

/// Members and clients, near the record and far from it, and one that comes late.
#[test]
fn every_version_is_told_once_and_soon() {
    for (metric, seed) in [(AnyMetric::Ring, 111), (AnyMetric::Xor, 112)] {
        let mut world = World::settled(seed, metric, config(), 30);
        let client = world.add_client();
        world.join(client, &[0]);
        world.run_until(Duration::from_secs(20), |world| world.is_joined(client));
        world.run(Duration::from_secs(60));
        let watchers: Vec<usize> = (0..30).step_by(7).chain([client, world.region(1)[0]]).collect();
        let watches: Vec<OperationId> = watchers.iter().map(|node| world.watch(*node, 1)).collect();
        world.run(Duration::from_secs(2));
        for seq in 1..=5 {
            // It takes a second, in which all have heard of it.
            world.update(3, 1, b"value").unwrap();
            for (node, watch) in watchers.iter().zip(&watches) {
                let told = world.told(*watch);
                assert_eq!(told, (1..=seq).collect::<Vec<_>>(), "{metric}, at {node}, seed {seed}");
            }
        }
        let late = world.watch(5, 1);
        world.run(Duration::from_secs(2));
        assert_eq!(world.told(late), [5]);
        // One that is cancelled hears nothing more; the others do, as long as they want.
        world.input(5, Input::CancelOperation(late));
        world.run(Duration::from_secs(300));
        world.update(3, 1, b"value").unwrap();
        assert_eq!(world.told(late), [5]);
        assert!(watches.iter().all(|watch| world.told(*watch) == [1, 2, 3, 4, 5, 6]), "{metric}");
    }
}

/// All who have heard that somebody watches are gone: the watcher finds the change out itself.
#[test]
fn a_watch_survives_those_who_were_to_tell() {
    let mut world = World::settled(113, AnyMetric::Ring, config(), 40);
    let region = world.region(1);
    let far: Vec<usize> = (0..40).filter(|node| !region.contains(node)).collect();
    let watch = world.watch(far[0], 1);
    world.update(far[1], 1, b"value").unwrap();
    for holder in region {
        world.kill(holder);
        world.run(Duration::from_secs(60));
    }
    world.update(far[1], 1, b"value").unwrap();
    world.run(Duration::from_secs(40));
    assert_eq!(world.told(watch), [1, 2]);
}
