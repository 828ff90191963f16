//! Daemons that find out by themselves how others reach them, behind routers of every kind.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::random_bytes;
use crate::namespaces::{Namespace, Running, skipped};
use crate::routers::{Internet, MAPPED, Nat, PORT, has_upnp, router_ip};

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
        // A busy router may be slower than others are with what they find without it, and forwards one port after the other.
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
