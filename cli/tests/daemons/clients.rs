//! Daemons that others cannot reach: they store and fetch, and hold nothing.

use std::path::Path;

use serde_json::Value;

use crate::harness::{Net, PATIENCE, json_of, random_bytes};

const BYTES: usize = 5_000_000;
const NOTHING: [&Path; 0] = [];

/// Six members, and the clients 6 and 7.
async fn six_and_two() -> Net {
    let mut net = Net::start(6).await;
    net.net.add_clients(2).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net
}

async fn told(net: &Net, node: usize, command: &str) -> Value {
    json_of(&net.run(node, [command, "--json"], NOTHING).await)
}

#[tokio::test]
async fn a_file_goes_from_one_client_to_another_through_the_members() {
    let mut net = six_and_two().await;
    let link = net.put(6, "2/4", &net.random_file("file", BYTES, 21)).await;
    assert!(net.get(7, &link, "other").await == random_bytes(BYTES, 21));

    // Nothing of it lies with a client, and no member knows one.
    for client in [6, 7] {
        let status = told(&net, client, "status").await;
        assert_eq!((status["role"].as_str(), status["state"].as_str()), (Some("client"), Some("joined")));
        assert_eq!((status["shards"].as_u64(), status["network_nodes"].as_u64()), (Some(0), Some(6)));
        assert_eq!(status["repair"]["enabled"], false);
        assert_eq!(status["listen"].as_array().map(Vec::len), Some(0));
        assert_eq!(told(&net, client, "ring").await["role"], "client");
        assert!(told(&net, client, "peers").await.as_array().is_some_and(|peers| peers.len() == 6));
        let human = net.run(client, ["status"], NOTHING).await;
        assert!(String::from_utf8_lossy(&human.stdout).contains("as a client"));
        let members = told(&net, client, "members").await;
        let own = members.as_array().unwrap().iter().find(|member| member["is_self"] == true).unwrap();
        assert_eq!(own["role"], "client");
    }
    for member in 0..6 {
        let status = told(&net, member, "status").await;
        assert_eq!((status["role"].as_str(), status["network_nodes"].as_u64()), (Some("member"), Some(6)));
        let peers = net.net.peers(member).await.unwrap();
        assert!(peers.iter().all(|peer| [6, 7].iter().all(|client| Some(peer.id) != net.net.id(*client))));
    }

    // It goes on when a member dies, and with the other client gone too.
    net.net.kill(&[2, 6]).unwrap();
    assert!(net.get(7, &link, "after").await == random_bytes(BYTES, 21));
    let link = net.put(7, "2/4", &net.random_file("second", BYTES, 22)).await;
    assert!(net.get(0, &link, "second-again").await == random_bytes(BYTES, 22));

    // A client that starts again finds the members that it knew.
    net.net.restart(&[6]).await.unwrap();
    assert!(net.get(6, &link, "third").await == random_bytes(BYTES, 22));
}
