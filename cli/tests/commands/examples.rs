//! The examples of the client crate, as applications of several people that run at once.

use std::path::Path;

use chordage_api::client::Client;

use crate::harness::Scene;

#[path = "../../../node/api/examples/counter.rs"]
#[allow(dead_code, reason = "its command line is not used here")]
mod counter;

fn daemon(scene: &Scene, node: usize) -> String {
    let dir: &Path = &scene.net.data_dir(node);
    dir.to_str().unwrap().to_owned()
}

/// Three writers at three daemons, which have the same key.
#[test]
fn those_who_count_together_lose_nothing() {
    const PASSPHRASE: &str = "counting together";
    let scene = Scene::with_daemons(5);
    let daemons: Vec<String> = (0..3).map(|node| daemon(&scene, node)).collect();
    let clients: Vec<Client> = daemons.iter().map(|daemon| Client::find(daemon).unwrap()).collect();
    let counted = scene.block_on(async {
        clients[0].create_name("hits").await.unwrap();
        let key = clients[0].export_name("hits", PASSPHRASE).await.unwrap();
        for client in &clients[1..] {
            client.import_name("hits", PASSPHRASE, &key.sealed).await.unwrap();
        }
        let count = |node: usize, writer| counter::run(&daemons[node], "hits", writer, 8);
        futures::future::join3(count(0, "alice"), count(1, "bob"), count(2, "carol")).await
    });
    let [a, b, c] = [counted.0, counted.1, counted.2].map(Result::unwrap);
    assert_eq!(a.max(b).max(c), 24, "whoever is last sees what all have counted: {a}, {b}, {c}");
    let found = scene.block_on(clients[2].resolve_name("hits", true, None)).unwrap();
    assert_eq!((found.target.as_str(), found.seq), ("alice=8 bob=8 carol=8", 24));
}
