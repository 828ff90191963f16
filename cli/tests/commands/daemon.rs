//! `chordage daemon`: how it starts, refuses to start, and ends.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::Path;
use std::time::{Duration, Instant};

use chordage_testnet::ProcessId;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{PATIENCE, PROGRAM, Run, Scene, end_of, eventually, signal};

#[test]
fn it_says_what_is_in_its_way() {
    let scene = Scene::with_daemons(1);
    let running = scene.net.data_dir(0);
    Run::new(["daemon", "--data-dir"])
        .arg(&running)
        .fails(9, &["in use by another daemon", "pid", "--data-dir"]);

    let status = scene.block_on(scene.net.status(0)).unwrap();
    let taken = status.membership.listen.iter().find(|address| address.contains("/tcp/")).unwrap();
    let taken = taken.split("/p2p/").next().unwrap();
    let other = scene.path("other");
    Run::new(["daemon", "--listen", taken, "--data-dir"])
        .arg(&other)
        .fails(9, &[taken, "in use", "another port"]);

    let newer = scene.path("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("format"), "999\n").unwrap();
    Run::new(["daemon", "--data-dir"]).arg(&newer).fails(9, &["format 999", "newer"]);
}

#[test]
fn it_says_which_setting_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let daemon = || Run::new(["daemon", "--data-dir"]).arg(dir.path());
    daemon().arg("--listen").arg("localhost:80").fails(2, &["--listen localhost:80", "/ip4/"]);
    daemon().arg("--metric").arg("euclid").fails(2, &["--metric euclid"]);
    daemon().arg("--network").arg("No Capitals").fails(2, &["network"]);
    daemon().arg("--api-listen").arg("0.0.0.0:0").fails(2, &["loopback"]);
    daemon().arg("--config").arg("missing.toml").fails(7, &["missing.toml"]);
    fs::write(dir.path().join("config.toml"), "quotabytes = 5\n").unwrap();
    daemon().fails(2, &["config.toml", "quotabytes"]);
}

#[test]
fn it_leaves_on_sigterm_and_takes_its_endpoint_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let child = Run::new(["daemon", "--data-dir"]).arg(dir.path()).start();
    let endpoint = dir.path().join("api");
    eventually("the daemon is ready", || endpoint.exists());
    Run::new(["status"]).api(dir.path()).succeeds();
    signal(&child, Signal::TERM);
    let output = end_of(child, "a daemon told to leave");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let ready = String::from_utf8_lossy(&output.stdout);
    assert!(ready.starts_with("ready: ") && ready.contains("next: chordage "), "{ready}");
    assert!(!endpoint.exists() && !dir.path().join("api.sock").exists());
}

/// A terminal that was closed ended its daemon as a kill does.
#[test]
fn it_leaves_when_its_terminal_goes_unless_it_is_to_survive_that() {
    let scene = Scene::with_daemons(1);
    let address = scene.block_on(scene.net.status(0)).unwrap().membership.listen.remove(0);
    let network = scene.network();
    let arguments = |dir: &Path| -> Vec<String> {
        let dir = dir.to_str().unwrap();
        ["daemon", "--network", &network, "--bootstrap", &address, "--listen", "/ip4/127.0.0.1/tcp/0"]
            .into_iter()
            .chain(["--data-dir", dir])
            .map(str::to_owned)
            .collect()
    };
    let dir = scene.path("leaves");
    // On a terminal of its own.
    let on_terminal = format!("{PROGRAM} {}", arguments(&dir).join(" "));
    let child = Run::program("script", ["-qec", &on_terminal, "/dev/null"]).start();
    eventually("the daemon is ready", || dir.join("api").exists());
    let status = status_of(&dir).unwrap();
    let id = status["id"].as_str().unwrap().to_owned();
    let process = ProcessId::of(status["pid"].as_u64().unwrap().try_into().unwrap()).unwrap();
    let seen_as = || {
        let members = scene.run(["members", "--json"]).succeeds();
        let members: Value = serde_json::from_str(&members).unwrap();
        members
            .as_array()
            .unwrap()
            .iter()
            .find(|member| member["id"] == *id)
            .map(|member| member["state"].clone())
    };
    eventually("the other one sees it", || seen_as().is_some_and(|state| state == "alive"));
    process.signal(Signal::HUP).unwrap();
    // A shell and the kernel may both say so.
    process.signal(Signal::HUP).unwrap();
    let output = end_of(child, "a daemon whose terminal went");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!dir.join("api").exists() && !dir.join("api.sock").exists());
    eventually("the other one has seen it leave", || seen_as().is_some_and(|state| state == "left"));

    let dir = scene.path("survives");
    let script = "trap '' HUP; exec \"$0\" \"$@\"";
    let words = ["-c", script, PROGRAM].map(str::to_owned).into_iter().chain(arguments(&dir));
    let child = Run::program("sh", words).start();
    eventually("the daemon is ready", || dir.join("api").exists());
    signal(&child, Signal::HUP);
    Run::new(["status"]).api(&dir).succeeds();
    signal(&child, Signal::TERM);
    assert!(end_of(child, "a daemon told to leave").status.success());
}

/// Without a terminal SIGHUP is what says so.
#[test]
fn it_reads_its_settings_again_and_takes_over_what_it_can() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    fs::write(&file, "quota_bytes = 1073741824\n").unwrap();
    // Of a session of its own, which has no terminal.
    let mut child =
        Run::program("setsid", ["--wait", PROGRAM, "daemon", "--data-dir"]).arg(dir.path()).start();
    eventually("the daemon is ready", || dir.path().join("api").exists());
    let status = || status_of(dir.path()).unwrap();
    let process = ProcessId::of(status()["pid"].as_u64().unwrap().try_into().unwrap()).unwrap();
    let (said, heard) = std::sync::mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|line| said.send(line))
    });
    let reload = |text: &str, told: &str| {
        fs::write(&file, text).unwrap();
        process.signal(Signal::HUP).unwrap();
        let deadline = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(told)) {
            let left = deadline.saturating_duration_since(Instant::now());
            lines.push(heard.recv_timeout(left).unwrap_or_else(|_| panic!("{told:?} is not in {lines:#?}")));
        }
        lines
    };
    reload("quota_bytes = 2147483648\n", "quota_bytes = 2147483648 from now on");
    assert_eq!(status()["quota_bytes"], 2_147_483_648_u64);
    reload("quota_bytes = 5\nquota = 6\n", "nothing was changed");
    assert_eq!(status()["quota_bytes"], 2_147_483_648_u64);
    let rest = "quota_bytes = 2147483648\nzone = \"attic\"\nlog = \"chordage_node=trace\"\n";
    let lines = reload(rest, "log = chordage_node=trace from now on");
    assert!(lines.iter().any(|line| line.contains("restart the daemon for zone")), "{lines:#?}");
    assert!(status()["zone"].is_null());
    reload("quota_bytes = 2147483648\nlog = \"warn=loud\"\n", "log cannot be warn=loud");
    process.signal(Signal::TERM).unwrap();
    assert!(end_of(child, "a daemon told to leave").status.success());
}

#[test]
fn a_loopback_port_asks_for_the_token() {
    let dir = tempfile::tempdir().unwrap();
    let child = Run::new(["daemon", "--api-listen", "127.0.0.1:0", "--data-dir"]).arg(dir.path()).start();
    let endpoints = dir.path().join("api");
    eventually("the daemon is ready", || endpoints.exists());
    let text = fs::read_to_string(&endpoints).unwrap();
    let http = text.lines().find(|line| line.starts_with("http://127.0.0.1:")).unwrap();
    let token = dir.path().join("api.token");

    Run::new(["status", "--api", http]).fails(3, &["token", "--api-token-file"]);
    Run::new(["status", "--api", http]).env("CHORDAGE_API_TOKEN", "wrong").fails(3, &["token"]);
    Run::new(["status", "--api", http, "--api-token-file"]).arg(&token).succeeds();
    let secret = fs::read_to_string(&token).unwrap();
    Run::new(["status", "--api", http]).env("CHORDAGE_API_TOKEN", secret.trim()).succeeds();

    signal(&child, Signal::TERM);
    end_of(child, "a daemon told to leave");
}

#[test]
fn it_refuses_addresses_that_lead_nowhere_and_shows_one_that_does() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |flag: &str, addr: &str, words: &[&str]| {
        let words: Vec<&str> = [&[addr, "no daemon was started"], words].concat();
        Run::new(["daemon", "--data-dir"]).arg(dir.path()).arg(flag).arg(addr).fails(2, &words);
    };
    refused("--bootstrap", "/ip4/192.0.2.7", &["port is missing", "/ip4/192.0.2.7/tcp/4700"]);
    refused("--bootstrap", "/ip4/192.0.2.7/udp/4700", &["QUIC", "/ip4/192.0.2.7/udp/4700/quic-v1"]);
    refused("--bootstrap", "/ip4/192.0.2.7/tcp/4700/ws", &["only TCP and QUIC", "/ip4/192.0.2.7/tcp/4700"]);
    refused("--bootstrap", "/dnsaddr/home.example", &["not looked up", "/dns4/home.example/tcp/4700"]);
    refused("--listen", "/dns4/localhost/tcp/4700", &["this machine", "/ip4/0.0.0.0/tcp/4700"]);
    refused("--announce", "/ip4/0.0.0.0/tcp/4700", &["all interfaces", "/ip4/192.0.2.7/tcp/4700"]);
    fs::write(dir.path().join("config.toml"), "bootstrap = [\"/ip6/::1\"]\n").unwrap();
    Run::new(["daemon", "--data-dir"])
        .arg(dir.path())
        .fails(2, &["bootstrap", "/ip6/::1", "port is missing"]);
}

/// The TCP port of a scene's first daemon.
fn port_of(scene: &Scene) -> String {
    let status = scene.block_on(scene.net.status(0)).unwrap();
    let address = status.membership.listen.into_iter().find(|address| address.contains("/tcp/")).unwrap();
    address.split('/').nth(4).unwrap().to_owned()
}

fn status_of(dir: &Path) -> Option<Value> {
    let output = Run::new(["status", "--json"]).api(dir).output();
    serde_json::from_slice(&output.stdout).ok()
}

#[test]
fn it_joins_through_a_name() {
    let scene = Scene::with_daemons(1);
    let dir = scene.path("second");
    let name = format!("/dns4/localhost/tcp/{}", port_of(&scene));
    let args = ["daemon", "--network", &scene.network(), "--bootstrap", &name, "--data-dir"];
    let child = Run::new(args).arg(&dir).start();
    eventually("it joins", || {
        status_of(&dir).is_some_and(|status| status["state"] == "joined" && status["network_nodes"] == 2)
    });
    signal(&child, Signal::TERM);
    let ready = String::from_utf8(end_of(child, "a daemon told to leave").stdout).unwrap();
    assert!(ready.contains("joined its network; next: chordage put"), "{ready}");
}

#[test]
fn it_says_why_it_cannot_join_and_keeps_nobody_waiting() {
    let scene = Scene::with_daemons(1);
    let dir = scene.path("second");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let other = format!("/ip4/127.0.0.1/tcp/{}", port_of(&scene));
    let closed = format!("/ip4/127.0.0.1/tcp/{closed}");
    let mut daemon = Run::new(["daemon", "--network", "other", "--data-dir"]).arg(&dir);
    for addr in [&other, &closed, "/dns4/nobody.invalid/tcp/4700"] {
        daemon = daemon.arg("--bootstrap").arg(addr);
    }
    let child = daemon.start();
    let words = [
        format!("{other}: a daemon answered, but it does not belong to the network `other`"),
        format!("{closed}: connection refused"),
        "/dns4/nobody.invalid/tcp/4700: unknown host nobody.invalid".to_owned(),
    ];
    let says_all = |text: &str| words.iter().all(|word| text.contains(word));
    eventually("the status says why", || {
        status_of(&dir).is_some_and(|status| status["join_problem"].as_str().is_some_and(says_all))
    });

    let began = Instant::now();
    let link = scene.put(&scene.file("file", b"elsewhere"));
    let run = |args: &[&str]| {
        Run::new(args).dir(&dir).api(&dir).fails(3, &["has not joined its network", "chordage status"]);
    };
    run(&["put", "/etc/hostname"]);
    run(&["get", &link]);
    run(&["stat", &link]);
    run(&["ls", &link]);
    run(&["explain", &link]);
    // Each would wait ten seconds if nobody knew the reason.
    assert!(began.elapsed() < Duration::from_secs(30), "they took {:?}", began.elapsed());
    let drained = Run::new(["drain"]).api(&dir).succeeds();
    assert!(drained.contains("holds nothing") && drained.contains("has not joined"), "{drained}");

    signal(&child, Signal::TERM);
    let output = end_of(child, "a daemon told to leave");
    let (ready, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(ready.starts_with("ready: ") && !ready.contains("chordage put"), "{ready}");
    assert!(ready.contains("not joined yet") || ready.contains("still joining"), "{ready}");
    assert!(says_all(&log), "{log}");
}
