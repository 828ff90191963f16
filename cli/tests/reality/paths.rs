//! Real daemons between which one way of talking fails while another works: TCP is dropped without a word and UDP is
//! not, or large packets are. They talk by what works within seconds.
//!
//! Each half lives in a network namespace of its own; a third one between them forwards packets, and drops some.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chordage_api::types::NodeId;
use chordage_testnet::{Plan, Testnet, wait_until};

use crate::harness::{chordage, finish, json_of, random_bytes, shown};
use crate::partition::{ids, ip, sees};
use crate::{PATIENCE, PROGRAM, alone};

/// Daemons in each half.
const HALF: usize = 3;
/// How long one half may take to find the other if TCP never worked. Measured alone: 3 s.
const FIND: Duration = Duration::from_secs(20);
/// How long a put or a get may take while half the ways fail. Measured alone: up to 5 s, just after they began to.
const WORK: Duration = Duration::from_secs(15);
const BYTES: usize = 300_000;
/// Larger than what QUIC begins with.
const NARROW: &str = "1300";
const WIDE: &str = "1500";
/// Drops what the namespace between would forward.
const NO_TCP: [&str; 3] = ["ipproto", "tcp", "blackhole"];
/// Nobody is told what size gets through.
const NO_ICMP: [&str; 3] = ["ipproto", "icmp", "blackhole"];

/// Two namespaces and the one between them. Gone when dropped.
struct Router {
    names: [String; 3],
}

impl Router {
    /// The reason, where the system allows no namespaces.
    fn set_up() -> Result<Self, String> {
        let names = ["a", "b", "m"].map(|side| format!("chordage-way-{}-{side}", std::process::id()));
        let router = Router { names };
        let middle = router.middle();
        for name in &router.names {
            ip(&["netns", "add", name])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
        }
        for (side, plug) in [(0, "plug-a"), (1, "plug-b")] {
            let (name, gateway) = (&router.names[side], format!("10.78.{side}.254"));
            ip(&["-n", name, "link", "add", "eth", "type", "veth", "peer", "name", plug, "netns", middle])?;
            ip(&["-n", name, "addr", "add", &format!("{}/24", address(side)), "dev", "eth"])?;
            ip(&["-n", name, "link", "set", "eth", "up"])?;
            ip(&["-n", middle, "addr", "add", &format!("{gateway}/24"), "dev", plug])?;
            ip(&["-n", middle, "link", "set", plug, "up"])?;
            ip(&["-n", name, "route", "add", "default", "via", &gateway])?;
        }
        let forward = "echo 1 > /proc/sys/net/ipv4/ip_forward";
        ip(&["netns", "exec", middle, "sh", "-c", forward])?;
        // Where rules know no protocols, there is nothing to try.
        router.rule("add", NO_TCP)?;
        router.rule("del", NO_TCP)?;
        Ok(router)
    }

    fn middle(&self) -> &str {
        &self.names[2]
    }

    fn rule(&self, change: &str, rule: [&str; 3]) -> Result<(), String> {
        let mut args = vec!["-n", self.middle(), "rule", change];
        args.extend(rule);
        ip(&args)
    }

    fn width(&self, bytes: &str) {
        for plug in ["plug-a", "plug-b"] {
            ip(&["-n", self.middle(), "link", "set", plug, "mtu", bytes]).unwrap();
        }
    }

    /// A program that is `chordage` in one of the namespaces.
    fn program(&self, side: usize, dir: &Path) -> PathBuf {
        let path = dir.join(format!("side-{side}"));
        let script = format!("#!/bin/sh\nexec ip netns exec {} {PROGRAM} \"$@\"\n", self.names[side]);
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// How many TCP connections the first half has with the other.
    fn tcp_connections(&self) -> usize {
        let args = ["netns", "exec", &self.names[0], "cat", "/proc/net/tcp"];
        let output = Command::new("ip").args(args).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        // The address of the other half, as the system writes it, and the state of an established connection.
        let theirs = |line: &&str| {
            let mut fields = line.split_whitespace().skip(2);
            fields.next().is_some_and(|remote| remote.starts_with("01014E0A:")) && fields.next() == Some("01")
        };
        text.lines().filter(theirs).count()
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        for name in &self.names {
            // Not all of them exist when setting up failed.
            let _ = ip(&["netns", "del", name]);
        }
    }
}

fn address(side: usize) -> String {
    format!("10.78.{side}.1")
}

/// Two halves of one network, and what lies between them.
struct Halves {
    nets: [Testnet; 2],
    all: BTreeSet<NodeId>,
    dir: tempfile::TempDir,
    router: Router,
}

impl Halves {
    /// `None` where the system does not allow it. `before` happens when the first half runs.
    async fn start(before: impl FnOnce(&Router)) -> Option<Self> {
        let router = match Router::set_up() {
            Ok(router) => router,
            Err(reason) => {
                println!("skipped: no network namespaces here ({reason})");
                return None;
            }
        };
        let dir = tempfile::tempdir().unwrap();
        let left = half(&router, 0, dir.path(), &[]).await;
        before(&router);
        let way_in = left.status(0).await.unwrap().membership.listen;
        assert!(way_in.len() > 1, "{way_in:?}");
        let more: Vec<String> = way_in.into_iter().flat_map(|way| ["--bootstrap".into(), way]).collect();
        let right = half(&router, 1, dir.path(), &more).await;
        let all = ids(&left).union(&ids(&right)).cloned().collect();
        Some(Halves { nets: [left, right], all, dir, router })
    }

    async fn meet(&self, within: Duration) {
        let since = Instant::now();
        let met = async || {
            sees(&self.nets[0], &self.all).await?;
            sees(&self.nets[1], &self.all).await
        };
        wait_until("both halves are one ring", within, met).await.unwrap();
        println!("one ring after {:.1} s", since.elapsed().as_secs_f64());
    }

    /// A put through one half and a get through the other: each works, the first time that it is tried.
    async fn work(&self, when: &str, seed: u64) {
        let (api, other) = (self.nets[0].data_dir(0), self.nets[1].data_dir(HALF - 1));
        let [file, copy] = ["file", "copy"].map(|name| self.dir.path().join(format!("{name}-{seed}")));
        fs::write(&file, random_bytes(BYTES, seed)).unwrap();

        let since = Instant::now();
        let mut put = chordage(["put", "--json", "--redundancy", "3/6"]);
        put.arg(&file).arg("--api").arg(api);
        let link = json_of(&finish(put).await)["link"].as_str().unwrap().to_owned();
        let stored = since.elapsed();

        let since = Instant::now();
        let mut get = chordage(["get", "--json", &link, "-o"]);
        get.arg(&copy).arg("--api").arg(other);
        let output = finish(get).await;
        assert!(output.status.success(), "{when}: {}", shown(&output));
        let fetched = since.elapsed();
        let times = (stored.as_secs_f64(), fetched.as_secs_f64());
        println!(
            "{when}: put {:.1} s, get {:.1} s, {} by TCP",
            times.0,
            times.1,
            self.router.tcp_connections()
        );
        assert!(fs::read(copy).unwrap() == random_bytes(BYTES, seed), "{when}: other bytes came");
        assert!(stored < WORK && fetched < WORK, "{when}: put {stored:?}, get {fetched:?}");
    }
}

impl Drop for Halves {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for net in &self.nets {
                eprintln!("{}", net.log_tails(20));
            }
        }
    }
}

async fn half(router: &Router, side: usize, dir: &Path, more: &[String]) -> Testnet {
    let mut plan = Plan::new(router.program(side, dir), dir.join(format!("net-{side}")), HALF);
    plan.listen =
        vec![format!("/ip4/{}/tcp/0", address(side)), format!("/ip4/{}/udp/0/quic-v1", address(side))];
    plan.daemon_args = ["--network", "paths"].map(String::from).to_vec();
    plan.daemon_args.extend_from_slice(more);
    Testnet::start(plan).await.unwrap()
}

#[tokio::test]
async fn daemons_whose_tcp_never_got_through_talk_by_quic() {
    let _alone = alone().await;
    let no_tcp = |router: &Router| router.rule("add", NO_TCP).unwrap();
    let Some(halves) = Halves::start(no_tcp).await else { return };
    halves.meet(FIND).await;
    halves.work("without TCP from the start", 1).await;
    assert_eq!(halves.router.tcp_connections(), 0);
}

#[tokio::test]
async fn daemons_that_lose_tcp_while_they_run_go_on_by_quic() {
    let _alone = alone().await;
    let Some(halves) = Halves::start(|_| ()).await else { return };
    halves.meet(PATIENCE).await;
    halves.work("with TCP", 1).await;
    assert!(halves.router.tcp_connections() > 0, "near daemons talk by TCP");

    halves.router.rule("add", NO_TCP).unwrap();
    halves.work("TCP has just been lost", 2).await;
    let until = Instant::now() + Duration::from_secs(20);
    let mut seed = 3;
    while Instant::now() < until {
        halves.work("without TCP", seed).await;
        seed += 1;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    halves.meet(FIND).await;

    halves.router.rule("del", NO_TCP).unwrap();
    halves.work("TCP is back", seed).await;
    halves.meet(FIND).await;
}

#[tokio::test]
async fn daemons_whose_large_packets_are_lost_go_on_with_small_ones() {
    let _alone = alone().await;
    let Some(halves) = Halves::start(|_| ()).await else { return };
    halves.meet(PATIENCE).await;
    halves.work("with large packets", 1).await;

    halves.router.rule("add", NO_ICMP).unwrap();
    halves.router.width(NARROW);
    for seed in 2..6 {
        halves.work("with small packets only", seed).await;
    }
    halves.meet(FIND).await;

    halves.router.width(WIDE);
    halves.router.rule("del", NO_ICMP).unwrap();
    halves.work("with large packets again", 6).await;
    halves.meet(FIND).await;
}
