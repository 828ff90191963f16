//! Daemons that find out by themselves how others reach them, behind routers of every kind.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chordage_testnet::ProcessId;
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::{PROGRAM, chordage, finish, random_bytes, shown};
use crate::namespaces::{Namespace, Running, skipped};
use crate::routers::{Internet, MAPPED, Nat, PORT, has_upnp, member_ip, router_ip};

const MEMBERS: usize = 6;
const BYTES: usize = 1_000_000;

/// A daemon at home, with what its user would type.
fn at_home(home: &Namespace, dir: PathBuf, bootstrap: &[String]) -> Running {
    let (tcp, quic) = (format!("/ip4/0.0.0.0/tcp/{PORT}"), format!("/ip4/0.0.0.0/udp/{PORT}/quic-v1"));
    let mut args = vec!["--network", "reach", "--listen", &tcp, "--listen", &quic];
    args.extend(bootstrap.iter().flat_map(|addr| ["--bootstrap", addr]));
    Running::start(home, dir, &args)
}

fn is_found_out(status: &Value) -> bool {
    status["state"] == "joined" && status["reachability"]["state"] != "unknown"
}

fn says(status: &Value, reason: &str) -> bool {
    status["reachability"]["reason"].as_str().is_some_and(|text| text.contains(reason))
}

fn built(kinds: &[Nat]) -> Option<Internet> {
    Internet::build(MEMBERS, kinds)
        .inspect_err(|why| skipped(&format!("a network with NAT cannot be built on this machine: {why}")))
        .ok()
}

#[tokio::test]
async fn behind_every_kind_of_router_the_role_fits_and_the_reason_says_why() {
    // The kind of router, and what is to be found: role, way, what is between, and what the reason names.
    let mut kinds = vec![
        (Nat::FullCone, "member", "mapped", "nat", "port 61000 (UDP)"),
        (Nat::AddressRestricted, "client", "none", "nat", "lets in answers only"),
        (Nat::PortRestricted, "client", "none", "nat", "lets in answers only"),
        (Nat::Symmetric, "client", "none", "symmetric", "another port towards everybody"),
        (Nat::UdpBlocked, "client", "none", "nat", "lets in answers only"),
        (Nat::Forwarded, "member", "mapped", "nat", "port 4700"),
        (Nat::Upnp, "member", "mapped", "nat", "asked to forward (UPnP)"),
        (Nat::Double, "client", "none", "nat", "lets in answers only"),
        (Nat::Firewall, "client", "none", "none", "firewall"),
    ];
    if !has_upnp() {
        skipped("a router with UPnP: miniupnpd is not installed");
        kinds.retain(|(kind, ..)| *kind != Nat::Upnp);
    }
    let all: Vec<Nat> = kinds.iter().map(|(kind, ..)| *kind).collect();
    let Some(internet) = built(&all) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (members, bootstrap) = internet.start_members(MEMBERS, "reach", dir.path()).await;
    for member in &members {
        let status = member.status(is_found_out).await;
        assert_eq!((&status["role"], &status["reachability"]["state"]), (&"member".into(), &"direct".into()));
    }
    for (number, (kind, role, state, nat, reason)) in kinds.into_iter().enumerate() {
        let home = &internet.homes[number];
        let daemon = at_home(home, dir.path().join(format!("{kind:?}")), &bootstrap);
        // A busy router may be slower than others are with what they find without it, and forwards one port after the
        // other.
        let has_both = |status: &Value| {
            says(status, reason)
                && status["reachability"]["addresses"].as_array().is_some_and(|all| all.len() == 2)
        };
        let is_first = |status: &Value| is_found_out(status) && (kind != Nat::Upnp || has_both(status));
        let first = daemon.status(is_first).await;
        let found = (first["role"].as_str(), first["reachability"]["state"].as_str());
        assert_eq!(found, (Some(role), Some(state)), "{kind:?}: {}\n{}", first["reachability"], daemon.log());
        // That everybody sees another port is seen by several only.
        let status = daemon.status(|status| status["reachability"]["nat"] == nat).await;
        assert_eq!(
            (&status["role"], &status["reachability"]["state"]),
            (&role.into(), &state.into()),
            "{kind:?}"
        );
        let reached = &status["reachability"];
        assert!(says(&status, reason), "{kind:?}: {reached}");
        match kind {
            Nat::FullCone => {
                let hole = format!("/{MAPPED}/quic-v1");
                let addrs = reached["addresses"].as_array().unwrap();
                assert!(addrs.iter().all(|addr| addr.as_str().unwrap().ends_with(&hole)), "{reached}");
            }
            Nat::Forwarded => assert_eq!(reached["addresses"].as_array().unwrap().len(), 2, "{reached}"),
            Nat::Upnp => {
                let (ip, port) = (router_ip(number), PORT);
                let both = [format!("/ip4/{ip}/tcp/{port}"), format!("/ip4/{ip}/udp/{port}/quic-v1")];
                let addrs = reached["addresses"].as_array().unwrap();
                assert!(addrs.len() == 2 && both.iter().all(|addr| addrs.contains(&addr.as_str().into())));
                assert!(internet.forwarded(number).contains("dnat"), "{}", internet.forwarded(number));
            }
            _ => assert_eq!(reached["addresses"], Value::Array(Vec::new())),
        }
        daemon.leave().await;
        assert!(kind != Nat::Upnp || !internet.forwarded(number).contains("dnat"), "it is given back");
    }
}

/// Which routers friends have, and whether a hole through both can be dug.
const FRIENDS: [(Nat, Nat, bool); 3] = [
    (Nat::PortRestricted, Nat::PortRestricted, true),
    (Nat::AddressRestricted, Nat::PortRestricted, true),
    (Nat::Symmetric, Nat::Symmetric, false),
];

#[tokio::test]
async fn friends_behind_routers_hold_shards_for_each_other_and_dig_holes_through_both() {
    for (one, other, digs) in FRIENDS {
        let Some(internet) = built(&[one, other]) else { return };
        let dir = tempfile::tempdir().unwrap();
        let (founder, friends) = friends(&internet, dir.path()).await;
        if digs {
            for friend in &friends {
                friend
                    .status(|status| status["connections_relayed"] == 0 && status["connections"] == 2)
                    .await;
            }
            let mut dug = 0;
            for friend in &friends {
                dug += friend.status(|_| true).await["holes"]["dug"].as_u64().unwrap();
            }
            assert!(dug > 0, "{one:?} and {other:?}: nobody counts the hole");
        }
        let file = dir.path().join("file");
        fs::write(&file, random_bytes(BYTES, 11)).unwrap();
        let link = friends[0].put("2/3", &file).await;
        if digs {
            // Neither has two shards, and nobody relays any more.
            drop(founder);
        }
        let there = friends[1].get(&link, &dir.path().join("there")).await;
        assert!(there == random_bytes(BYTES, 11), "{one:?} and {other:?}");
    }
}

/// The founder of a private network whom everybody reaches, and its friends at home, who are members through it.
async fn friends(internet: &Internet, dir: &Path) -> (Running, Vec<Running>) {
    let ip = member_ip(0);
    let (tcp, quic) = (format!("/ip4/{ip}/tcp/{PORT}"), format!("/ip4/{ip}/udp/{PORT}/quic-v1"));
    network_at(&dir.join("founder"), &["network", "create", "friends"]).await;
    let founder =
        Running::start(&internet.public, dir.join("founder"), &["--listen", &tcp, "--listen", &quic]);
    founder.joined(1).await;
    let invite = founder.run(&["invite", "--uses", "2"]).await;
    let invite = String::from_utf8(invite.stdout).unwrap();
    let mut friends = Vec::new();
    for (number, home) in internet.homes.iter().enumerate() {
        let place = dir.join(format!("friend-{number}"));
        home.run(&format!("{PROGRAM} join {} --data-dir {}", invite.trim(), place.display())).unwrap();
        friends.push(Running::start(home, place, &[]));
    }
    for friend in &friends {
        let status = friend
            .status(|status| status["reachability"]["state"] == "relayed" && status["network_nodes"] == 3)
            .await;
        assert_eq!(status["role"], "member", "{status}");
        assert_eq!(status["reachability"]["relays"].as_array().unwrap().len(), 1, "{status}");
    }
    let relaying = founder.status(|status| status["relaying"]["reservations"] == 2).await["relaying"].clone();
    assert_eq!(relaying["reservations_max"], 64, "{relaying}");
    (founder, friends)
}

async fn network_at(dir: &Path, args: &[&str]) {
    let mut command = chordage(args.iter().copied());
    command.arg("--data-dir").arg(dir);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", shown(&output));
}

/// How long nothing may change where nothing changes.
const STEADY: Duration = Duration::from_secs(600);

#[tokio::test]
#[ignore = "takes eleven minutes"]
async fn where_nothing_changes_the_role_does_not_either() {
    let kinds = [
        Nat::FullCone,
        Nat::AddressRestricted,
        Nat::PortRestricted,
        Nat::Symmetric,
        Nat::UdpBlocked,
        Nat::Forwarded,
        Nat::Double,
        Nat::Firewall,
    ];
    let Some(internet) = built(&kinds) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_members, bootstrap) = internet.start_members(MEMBERS, "reach", dir.path()).await;
    let mut found = Vec::new();
    for (home, kind) in internet.homes.iter().zip(kinds) {
        let begun = Instant::now();
        let daemon = at_home(home, dir.path().join(format!("{kind:?}")), &bootstrap);
        let status = daemon.status(is_found_out).await;
        println!("{kind:?}: {} after {:.1} s", status["role"], begun.elapsed().as_secs_f64());
        assert!(begun.elapsed() < Duration::from_secs(30), "{kind:?}");
        found.push((kind, daemon, status["role"].clone(), status["reachability"]["since"].clone()));
    }
    let begun = Instant::now();
    while begun.elapsed() < STEADY {
        for (kind, daemon, role, since) in &found {
            let status = daemon.status(|_| true).await;
            assert_eq!((&status["role"], &status["reachability"]["since"]), (role, since), "{kind:?}");
        }
        // Not for a condition: how often it is looked.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// How often friends have to get through to each other.
const TIMES: usize = 20;

#[tokio::test]
#[ignore = "takes some minutes"]
async fn two_behind_routers_that_let_in_answers_only_get_a_direct_connection_each_time() {
    for time in 1..=TIMES {
        let Some(internet) = built(&[Nat::PortRestricted, Nat::PortRestricted]) else { return };
        let dir = tempfile::tempdir().unwrap();
        let (_founder, friends) = friends(&internet, dir.path()).await;
        for friend in &friends {
            friend.status(|status| status["connections_relayed"] == 0 && status["connections"] == 2).await;
        }
        println!("{time} of {TIMES}");
    }
}

/// How long a machine sleeps: longer than others wait for it, and than routers remember it.
const SLEEP: Duration = Duration::from_secs(300);

/// Two behind routers, with a direct connection between them, and a file of which neither has enough.
struct Pair {
    founder: Running,
    friends: Vec<Running>,
    link: String,
    dir: TempDir,
}

fn is_direct(status: &Value) -> bool {
    status["connections_relayed"] == 0 && status["connections"] == 2 && status["network_nodes"] == 3
}

impl Pair {
    async fn of(internet: &Internet) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (founder, friends) = friends(internet, dir.path()).await;
        for friend in &friends {
            friend.status(is_direct).await;
        }
        let file = dir.path().join("file");
        fs::write(&file, random_bytes(BYTES, 13)).unwrap();
        let link = friends[0].put("2/3", &file).await;
        Pair { founder, friends, link, dir }
    }

    async fn read_by(&self, friend: usize, what: &str) {
        let there = self.friends[friend].get(&self.link, &self.dir.path().join(what)).await;
        assert!(there == random_bytes(BYTES, 13), "{what}");
    }

    async fn is_as_before(&self, what: &str) {
        let begun = Instant::now();
        for friend in &self.friends {
            let status = friend.status(is_direct).await;
            assert_eq!((&status["role"], &status["state"]), (&"member".into(), &"joined".into()), "{status}");
        }
        let holds = |status: &Value| status["relaying"]["reservations"] == 2 && status["network_nodes"] == 3;
        self.founder.status(holds).await;
        println!("{what}: everything is as before after {:.1} s", begun.elapsed().as_secs_f64());
        self.read_by(0, what).await;
    }
}

#[tokio::test]
#[ignore = "takes six minutes"]
async fn after_a_long_sleep_friends_find_each_other_again() {
    let Some(internet) = built(&[Nat::PortRestricted, Nat::PortRestricted]) else { return };
    let pair = Pair::of(&internet).await;
    let sleeper = ProcessId::of(pair.friends[0].process()).unwrap();
    sleeper.signal(Signal::STOP).unwrap();
    // Not for a condition: it is the sleep that is tried.
    tokio::time::sleep(SLEEP).await;
    pair.founder.status(|status| status["network_nodes"] == 2).await;
    pair.read_by(1, "meanwhile").await;
    sleeper.signal(Signal::CONT).unwrap();
    pair.is_as_before("after a sleep").await;
}

#[tokio::test]
async fn at_another_address_friends_find_each_other_again() {
    let Some(internet) = built(&[Nat::PortRestricted, Nat::PortRestricted]) else { return };
    let pair = Pair::of(&internet).await;
    internet.move_home(0).unwrap();
    // As soon as it is noticed that nothing comes any more.
    pair.friends[1].status(|status| !is_direct(status)).await;
    pair.is_as_before("at another address").await;
}

#[tokio::test]
async fn who_is_reached_holds_shards_and_who_is_no_longer_leaves_without_loss() {
    let Some(internet) = built(&[Nat::Forwarded]) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (members, bootstrap) = internet.start_members(4, "reach", dir.path()).await;
    let home = at_home(&internet.homes[0], dir.path().join("home"), &bootstrap);
    home.status(|status| status["role"] == "member" && status["network_nodes"] == 5).await;
    members[0].joined(5).await;

    let file = dir.path().join("file");
    fs::write(&file, random_bytes(BYTES, 7)).unwrap();
    let link = members[0].put("2/5", &file).await;
    home.status(|status| status["shards"].as_u64() > Some(0)).await;

    internet.change_last(Nat::PortRestricted).unwrap();
    let status = home.status(|status| status["role"] == "client").await;
    assert_eq!(status["reachability"]["state"], "none", "{status}");
    assert!(status["shards"].as_u64() > Some(0), "it keeps what it has: {status}");
    for member in &members {
        member.joined(4).await;
    }
    assert!(members[1].get(&link, &dir.path().join("there")).await == random_bytes(BYTES, 7));
    let link = home.put("2/4", &file).await;
    assert!(members[2].get(&link, &dir.path().join("later")).await == random_bytes(BYTES, 7));

    // It is remembered over a restart, and a way that opens again is found.
    home.leave().await;
    let home = at_home(&internet.homes[0], dir.path().join("home"), &bootstrap);
    home.status(|status| status["role"] == "client" && is_found_out(status)).await;
    internet.change_last(Nat::Forwarded).unwrap();
    home.status(|status| status["role"] == "member").await;
    members[3].joined(5).await;
}
