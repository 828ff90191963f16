//! Records in a network too large for everybody to list it.

use super::*;

#[test]
fn they_are_kept_and_found_where_they_belong_though_hardly_anybody_lists_everybody() {
    for metric in METRICS {
        let config = Config { members: 40, quarantine: Duration::from_secs(5), ..config() };
        let mut world = World::settled(96, metric, config, 160);
        let client = world.add_client();
        world.join(client, &[0]);
        world.run_until(Duration::from_secs(900), |world| {
            world.live().into_iter().any(|node| world.nodes[node].dht.is_super_peer())
        });
        world.run(Duration::from_secs(300));
        for owner in 0..24 {
            let (writer, reader) = (world.random(161), world.random(161));
            let began = world.now;
            let stored = world.update(writer, owner, b"value").unwrap();
            assert!(stored.stored > stored.of / 2, "{stored:?}");
            let wrote = world.now.since(began);
            let region = world.region(owner);
            let kept = region.iter().filter(|node| world.seq_at(**node, owner) == Some(1)).count();
            assert!(kept > region.len() / 2, "{metric}: {kept} of {} have what {writer} wrote", region.len());
            assert_eq!(world.read(reader, owner), 1, "{metric}: {reader} reads what {writer} wrote");
            assert!(wrote < Duration::from_secs(5), "{metric}: {writer} took {wrote:?}");
        }
    }
}
