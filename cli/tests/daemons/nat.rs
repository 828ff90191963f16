//! Two daemons behind two NATs, and members on a network that both reach.

use std::fs;

use crate::harness::{json_of, random_bytes};
use crate::namespaces::{Running, skipped};
use crate::routers::{Internet, Nat, router_ip};

const MEMBERS: usize = 4;
const BYTES: usize = 3_000_000;

#[tokio::test]
async fn a_file_goes_from_behind_one_nat_to_behind_another() {
    let internet = match Internet::build(MEMBERS, &[Nat::PortRestricted, Nat::PortRestricted]) {
        Ok(internet) => internet,
        Err(why) => {
            skipped(&format!("a network with NAT cannot be built on this machine: {why}"));
            return;
        }
    };
    // Nobody outside knows a way to those behind NAT, and they have the same address.
    assert!(internet.public.run("ip route get 192.168.77.2").is_err());

    let dir = tempfile::tempdir().unwrap();
    let (mut members, bootstrap) = internet.start_members(MEMBERS, "nat", dir.path()).await;
    let mut clients = Vec::new();
    for (number, home) in internet.homes.iter().enumerate() {
        let args = ["--network", "nat", "--role", "client", "--bootstrap", &bootstrap[0]];
        let client = Running::start(home, dir.path().join(format!("client-{number}")), &args);
        assert_eq!(client.joined(MEMBERS).await["role"], "client");
        clients.push(client);
    }

    let file = dir.path().join("file");
    fs::write(&file, random_bytes(BYTES, 31)).unwrap();
    let link = clients[0].put("2/4", &file).await;
    assert!(clients[1].get(&link, &dir.path().join("there")).await == random_bytes(BYTES, 31));

    // Also with the writer gone, and a member that is not the one through which they came.
    drop(clients.remove(0));
    drop(members.remove(0));
    assert!(clients[0].get(&link, &dir.path().join("later")).await == random_bytes(BYTES, 31));
    for member in &members {
        let peers = json_of(&member.run(&["peers", "--json"]).await);
        let text = peers.to_string();
        let behind_nat =
            ["192.168.77.".to_owned(), format!("/{}/", router_ip(0)), format!("/{}/", router_ip(1))];
        assert!(behind_nat.iter().all(|ip| !text.contains(ip.as_str())), "{text}");
    }
}
