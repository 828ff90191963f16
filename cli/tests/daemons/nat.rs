//! Two daemons behind two NATs, and members on a network that both reach: in network namespaces, with the kernel's own NAT.
//!
//! ```text
//!   192.168.77.2 ── router ── 198.51.100.101 ─┐
//!                                             ├─ bridge: members at 198.51.100.10, .11, .12, .13
//!   192.168.77.2 ── router ── 198.51.100.102 ─┘
//! ```

use std::fs;

use crate::harness::{json_of, random_bytes};
use crate::namespaces::{Namespace, Running, skipped};

const MEMBERS: usize = 4;
const BYTES: usize = 3_000_000;

/// Makes a namespace translate the addresses of what it forwards, with whichever of the two tools is there.
fn masquerade(at: &Namespace) -> Result<(), String> {
    at.run("sysctl -q -w net.ipv4.ip_forward=1")?;
    let nft = || {
        at.run("nft add table ip nat")?;
        at.run("nft add chain ip nat post { type nat hook postrouting priority 100 ; }")?;
        at.run("nft add rule ip nat post oifname wan masquerade")
    };
    nft().or_else(|nft| {
        at.run("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE")
            .map_err(|iptables| format!("{nft}; {iptables}"))
    })
}

/// The picture above.
struct World {
    public: Namespace,
    homes: Vec<Namespace>,
    _routers: Vec<Namespace>,
}

impl World {
    fn build() -> Result<Self, String> {
        let public = Namespace::new()?;
        public.run("ip link add bridge type bridge")?;
        public.run("ip link set bridge up")?;
        for member in 0..MEMBERS {
            public.run(&format!("ip address add {}/24 dev bridge", member_ip(member)))?;
        }
        let (mut homes, mut routers) = (Vec::new(), Vec::new());
        for number in 1..=2 {
            let (router, home) = (Namespace::new()?, Namespace::new()?);
            let (router_is, home_is) = (router.process(), home.process());
            public.run(&format!("ip link add port{number} type veth peer name wan netns {router_is}"))?;
            public.run(&format!("ip link set port{number} master bridge up"))?;
            router.run(&format!("ip link add lan type veth peer name eth netns {home_is}"))?;
            router.run(&format!("ip address add 198.51.100.10{number}/24 dev wan"))?;
            router.run("ip address add 192.168.77.1/24 dev lan")?;
            router.run("ip link set wan up")?;
            router.run("ip link set lan up")?;
            masquerade(&router)?;
            home.run("ip address add 192.168.77.2/24 dev eth")?;
            home.run("ip link set eth up")?;
            home.run("ip route add default via 192.168.77.1")?;
            homes.push(home);
            routers.push(router);
        }
        Ok(World { public, homes, _routers: routers })
    }
}

fn member_ip(number: usize) -> String {
    format!("198.51.100.{}", 10 + number)
}

#[tokio::test]
async fn a_file_goes_from_behind_one_nat_to_behind_another() {
    let world = match World::build() {
        Ok(world) => world,
        Err(why) => {
            skipped(&format!("a network with NAT cannot be built on this machine: {why}"));
            return;
        }
    };
    // Nobody outside knows a way to those behind NAT, and they have the same address.
    assert!(world.public.run("ip route get 192.168.77.2").is_err());

    let dir = tempfile::tempdir().unwrap();
    let mut members: Vec<Running> = Vec::new();
    let mut bootstrap = String::new();
    for number in 0..MEMBERS {
        let ip = member_ip(number);
        let (tcp, quic) = (format!("/ip4/{ip}/tcp/0"), format!("/ip4/{ip}/udp/0/quic-v1"));
        let mut args = vec!["--network", "nat", "--listen", &tcp, "--listen", &quic];
        if number > 0 {
            args.extend(["--bootstrap", &bootstrap]);
        }
        let member = Running::start(&world.public, dir.path().join(format!("member-{number}")), &args);
        let status = member.joined(number + 1).await;
        status["listen"][0].as_str().unwrap().clone_into(&mut bootstrap);
        members.push(member);
    }

    let mut clients = Vec::new();
    for (number, home) in world.homes.iter().enumerate() {
        let args = ["--network", "nat", "--role", "client", "--bootstrap", &bootstrap];
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
        let behind_nat = ["192.168.77.", "/198.51.100.101/", "/198.51.100.102/"];
        assert!(behind_nat.iter().all(|ip| !text.contains(ip)), "{text}");
    }
}
