//! Daemons that find each other on a LAN without an address: in network namespaces on one bridge.

use std::fs;

use serde_json::Value;

use crate::harness::{chordage, finish, random_bytes, shown};
use crate::namespaces::{Namespace, Running, skipped};

const BYTES: usize = 300_000;

/// Machines with a cable to one switch, which nobody has plugged in yet.
struct World {
    switch: Namespace,
    machines: Vec<Namespace>,
}

impl World {
    fn build(machines: usize) -> Result<Self, String> {
        let switch = Namespace::new()?;
        switch.run("ip link add bridge type bridge")?;
        switch.run("ip link set bridge up")?;
        let machine = |number| {
            let machine = Namespace::new()?;
            let process = machine.process();
            switch.run(&format!("ip link add port{number} type veth peer name eth netns {process}"))?;
            switch.run(&format!("ip link set port{number} master bridge"))?;
            machine.run(&format!("ip address add 192.168.78.{number}/24 dev eth"))?;
            machine.run("ip link set eth up")?;
            Ok(machine)
        };
        let machines = (1..=machines).map(machine).collect::<Result<_, String>>()?;
        Ok(World { switch, machines })
    }

    fn plug_in(&self, machine: usize) {
        self.switch.run(&format!("ip link set port{} up", machine + 1)).unwrap();
    }
}

fn found(status: &Value, number: u64) -> bool {
    status["lan"]["found"] == number && status["lan"]["met"] == number
}

#[tokio::test]
async fn machines_on_one_lan_need_no_address() {
    let world = match World::build(4) {
        Ok(world) => world,
        Err(why) => return skipped(&format!("a LAN cannot be built on this machine: {why}")),
    };
    let dir = tempfile::tempdir().unwrap();
    let start = |machine: usize, args: &[&str]| {
        let args = [&["--lan"], args].concat();
        Running::start(&world.machines[machine], dir.path().join(machine.to_string()), &args)
    };

    // Each is a network of its own before it can see the other; they become one when they do.
    let first = start(0, &["--network", "home"]);
    let second = start(1, &["--network", "home"]);
    for daemon in [&first, &second] {
        assert!(found(&daemon.joined(1).await, 0));
    }
    world.plug_in(0);
    world.plug_in(1);
    for daemon in [&first, &second] {
        daemon.joined(2).await;
        daemon.status(|status| found(status, 1)).await;
    }

    // One that comes later, as a client, and one of another network, which nobody talks to.
    world.plug_in(2);
    world.plug_in(3);
    let client = start(2, &["--network", "home", "--role", "client"]);
    let other = start(3, &["--network", "office"]);
    assert_eq!(client.joined(2).await["role"], "client");
    other.status(|status| status["lan"]["other_networks"] == 2).await;
    assert!(found(&other.joined(1).await, 0));
    let status = first.status(|status| status["lan"]["other_networks"] == 1).await;
    assert!(found(&status, 1), "the client is not to be seen: {status}");

    let file = dir.path().join("file");
    fs::write(&file, random_bytes(BYTES, 47)).unwrap();
    let link = client.put("1/2", &file).await;
    assert!(second.get(&link, &dir.path().join("there")).await == random_bytes(BYTES, 47));
    let human = first.run(&["status"]).await;
    let told = "LAN        1 daemon of this network found, 1 met; 1 of other networks ignored";
    assert!(String::from_utf8_lossy(&human.stdout).contains(told), "{}", shown(&human));

    // Whoever leaves is no longer to be seen at once, and not when its record has become too old.
    second.leave().await;
    first.status(|status| found(status, 0)).await;
    assert!(first.get(&link, &dir.path().join("later")).await == random_bytes(BYTES, 47));
}

#[tokio::test]
async fn nobody_is_shown_to_the_lan_who_cannot_be_reached_there() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = chordage(["daemon", "--lan", "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir"]);
    command.arg(dir.path());
    let output = finish(command).await;
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(
        String::from_utf8_lossy(&output.stderr)
            .contains("lan.enabled = true: false for a daemon that listens")
    );
}
