//! Services that daemons register, and those who look for them.

use std::io::{BufRead, BufReader};
use std::process::Child;
use std::sync::mpsc::Receiver;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{PATIENCE, Run, Scene, end_of, eventually, signal, was_interrupted};

pub(crate) fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks another daemon than the scene's first one.
pub(crate) fn ask(scene: &Scene, node: usize, args: &[&str]) -> Run {
    Run::new(args).api(&scene.net.data_dir(node))
}

/// Starts a command that goes on, and gives its lines.
pub(crate) fn lines_of(run: Run) -> (Child, Receiver<String>) {
    let mut child = run.start();
    let (told, lines) = std::sync::mpsc::channel();
    let output = child.stdout.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            // The test may have heard enough.
            let _ = told.send(line);
        }
    });
    (child, lines)
}

fn find(scene: &Scene, node: usize, args: &[&str]) -> Vec<Value> {
    let found = json(&ask(scene, node, &["service", "find", "--json"]).args(args).succeeds());
    found.as_array().unwrap().clone()
}

fn addrs(found: &[Value]) -> Vec<&str> {
    let mut addrs: Vec<&str> = found.iter().map(|service| service["addr"].as_str().unwrap()).collect();
    addrs.sort_unstable();
    addrs
}

#[test]
fn a_service_is_found_from_everywhere_until_it_is_withdrawn() {
    let scene = Scene::with_daemons(5);
    let register = |node: usize, addr: &str, attr: &str| {
        let args = ["service", "register", "team/db", "--addr", addr, "--attr", attr, "--json"];
        json(&ask(&scene, node, &args).succeeds())
    };
    let report = register(0, "10.0.0.1:5432", "role=primary");
    assert_eq!((&report["of"], &report["state"]), (&5.into(), &"stored".into()), "{report}");
    assert!(report["stored"].as_u64().unwrap() >= 3, "{report}");
    register(1, "[::1]:5432", "role=replica");
    register(1, "DB.example.org:1", "role=replica");
    let id = |node: usize| scene.net.id(node).unwrap().to_string();
    for node in 0..5 {
        let found = find(&scene, node, &["team/db"]);
        assert_eq!(addrs(&found), ["10.0.0.1:5432", "[::1]:5432", "db.example.org:1"]);
        let primary = find(&scene, node, &["team/db", "--attr", "role=primary"]);
        assert_eq!(addrs(&primary), ["10.0.0.1:5432"]);
        let primary = &primary[0];
        assert_eq!((&primary["provider"], &primary["state"]), (&id(0).into(), &"alive".into()), "{primary}");
        assert_eq!(primary["attrs"]["role"], "primary");
        assert!(primary["age_seconds"].as_f64().unwrap() < 20.0, "{primary}");
        assert!(find(&scene, node, &["team/db", "--attr", "role=primary", "--attr", "zone=a"]).is_empty());
    }
    // Everybody is a neighbour here, so that round trips are known once there were some; the own one is none.
    eventually("the round trips to be known", || {
        find(&scene, 1, &["team/db", "--near"]).iter().all(|service| service["rtt_ms"].is_number())
    });
    let nearest = find(&scene, 1, &["team/db", "--near"]);
    assert_eq!((&nearest[0]["provider"], &nearest[0]["rtt_ms"]), (&id(1).into(), &0.0.into()));
    assert_eq!(nearest[2]["provider"], id(0));
    let text = scene.run(["service", "find", "team/db", "--attr", "role=primary"]).succeeds();
    assert!(text.starts_with("10.0.0.1:5432  alive") && text.trim_end().ends_with("role=primary"), "{text}");

    // Registering again replaces what it is like.
    register(0, "10.0.0.1:5432", "role=retired");
    assert_eq!(addrs(&find(&scene, 3, &["team/db", "--attr", "role=retired"])), ["10.0.0.1:5432"]);
    let own = json(&scene.run(["service", "list", "--json"]).succeeds());
    let own = own.as_array().unwrap();
    assert_eq!(
        (own.len(), &own[0]["name"], &own[0]["attrs"]["role"]),
        (1, &"team/db".into(), &"retired".into())
    );

    let withdrawn = ask(&scene, 1, &["service", "withdraw", "team/db", "--addr", "[::1]:5432", "--json"]);
    assert_eq!(json(&withdrawn.succeeds())[0]["addr"], "[::1]:5432");
    assert_eq!(addrs(&find(&scene, 2, &["team/db"])), ["10.0.0.1:5432", "db.example.org:1"]);
    scene.run(["service", "withdraw", "team/db"]).succeeds();
    ask(&scene, 1, &["service", "withdraw", "team/db"]).succeeds();
    for node in 0..5 {
        assert!(find(&scene, node, &["team/db"]).is_empty(), "{node}");
    }
    assert_eq!(scene.run(["service", "list", "--json"]).succeeds(), "[]\n");
}

#[test]
fn a_watch_tells_everything_that_happens_to_a_service() {
    let mut scene = Scene::with_daemons(3);
    let register = |scene: &Scene, node: usize, attr: &str| {
        let args = ["service", "register", "web", "--addr", "10.0.0.1:80", "--attr", attr];
        ask(scene, node, &args).succeeds();
    };
    register(&scene, 0, "v=1");
    let (child, lines) = lines_of(ask(&scene, 2, &["service", "watch", "web", "--json", "--count", "5"]));
    let next = || json(&lines.recv_timeout(PATIENCE).unwrap());
    let id = |node: usize| Value::from(scene.net.id(node).unwrap().to_string());
    let first = next();
    assert_eq!(
        (&first["change"], &first["provider"], &first["attrs"]["v"]),
        (&"up".into(), &id(0), &"1".into())
    );
    register(&scene, 1, "v=1");
    let second = next();
    assert_eq!(
        (&second["change"], &second["provider"], &second["addr"]),
        (&"up".into(), &id(1), &"10.0.0.1:80".into())
    );
    register(&scene, 0, "v=2");
    let changed = next();
    assert_eq!((&changed["change"], &changed["attrs"]["v"]), (&"changed".into(), &"2".into()), "{changed}");
    scene.run(["service", "withdraw", "web"]).succeeds();
    let gone = next();
    assert_eq!(
        (&gone["change"], &gone["provider"], &gone["attrs"]["v"]),
        (&"gone".into(), &id(0), &"2".into())
    );
    register(&scene, 0, "v=3");
    assert_eq!(next()["change"], "up");
    assert!(end_of(child, "service watch").status.success());

    // A daemon that leaves does not wait for those who watch.
    // If it did, each of its restarts would take that long; on a loaded machine some may.
    let is_soon = (0..3).any(|_| {
        let (child, lines) = lines_of(scene.run(["service", "watch", "web"]));
        assert!(lines.recv_timeout(PATIENCE).unwrap().starts_with("up       10.0.0.1:80"));
        let began = std::time::Instant::now();
        scene.restart(&[0]);
        let took = began.elapsed();
        let output = end_of(child, "service watch");
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("shutting down"), "{output:?}");
        took < std::time::Duration::from_secs(9)
    });
    assert!(is_soon);
}

/// What a daemon registers it registers again, and what it has withdrawn it does not.
#[test]
fn services_are_registered_again_after_a_restart() {
    let mut scene = Scene::with_daemons(3);
    for port in ["80", "81"] {
        let addr = format!("10.0.0.1:{port}");
        scene.run(["service", "register", "web", "--addr", &addr, "--attr", "v=1"]).succeeds();
    }
    scene.run(["service", "withdraw", "web", "--addr", "10.0.0.1:80"]).succeeds();
    scene.restart(&[0]);
    eventually("the service to be there again", || !find(&scene, 1, &["web"]).is_empty());
    let found = find(&scene, 2, &["web", "--attr", "v=1"]);
    assert_eq!(addrs(&found), ["10.0.0.1:81"]);
}

#[test]
fn what_cannot_be_registered_says_why() {
    let scene = Scene::with_daemons(1);
    let register = |args: &[&str]| scene.run(["service", "register"]).args(args);
    register(&["Web", "--addr", "a:1"]).fails(5, &["'W'", "a-z 0-9"]);
    register(&[&"w".repeat(201), "--addr", "a:1"]).fails(5, &["1 to 200 bytes"]);
    register(&["web", "--addr", "10.0.0.1"]).fails(2, &["port is missing", "10.0.0.5:5432"]);
    register(&["web", "--addr", "a:0"]).fails(2, &["1 to 65535"]);
    register(&["web", "--addr", "::1:80"]).fails(2, &["brackets"]);
    register(&["web"]).fails(2, &["--addr"]);
    register(&["web", "--addr", "a:1", "--attr", "role"]).fails(2, &["KEY=VALUE", "--attr"]);
    register(&["web", "--addr", "a:1", "--attr", "k=1", "--attr", "k=2"]).fails(2, &["more than once"]);
    let many: Vec<String> = (0..17).map(|index| format!("--attr=k{index}=v")).collect();
    register(&["web", "--addr", "a:1"]).args(&many).fails(2, &["at most 16 attributes", "not 17"]);
    let large: Vec<String> = (0..4).map(|index| format!("--attr=k{index}={}", "x".repeat(200))).collect();
    register(&["web", "--addr", "a:1"]).args(&large).fails(2, &["at most 700 bytes"]);
    scene.run(["service", "find", "Web"]).fails(5, &["a-z 0-9"]);
    scene.run(["service", "watch", ""]).fails(5, &["1 to 200"]);
    scene.run(["service", "find", "web", "--attr", "x"]).fails(2, &["KEY=VALUE"]);
    scene.run(["service", "withdraw", "web"]).fails(4, &["does not register `web`", "service list"]);
    scene.run(["service", "withdraw", "web", "--addr", "a:1"]).fails(4, &["at a:1"]);
    for index in 0..16 {
        register(&["web", "--addr", &format!("10.0.0.1:{}", 1000 + index)]).succeeds();
    }
    register(&["web", "--addr", "10.0.0.1:2000"]).fails(2, &["16 addresses under `web`", "service list"]);
    register(&["web", "--addr", "10.0.0.1:1000", "--attr", "v=2"]).succeeds();
    assert_eq!(find(&scene, 0, &["web"]).len(), 16);
}

#[test]
fn a_daemon_without_a_network_says_so() {
    let scene = Scene::with_daemons(2);
    // One that looks for a network that is not there.
    let dir = scene.path("alone");
    let args = ["daemon", "--bootstrap", "/ip4/127.0.0.1/tcp/9", "--data-dir"];
    let (mut child, lines) = lines_of(Run::new(args).arg(&dir));
    lines.recv_timeout(PATIENCE).unwrap();
    for args in [
        &["service", "register", "web", "--addr", "a:1"][..],
        &["service", "find", "web"],
        &["service", "watch", "web"],
        &["topic", "publish", "news", "x"],
        &["topic", "subscribe", "news"],
    ] {
        Run::new(args).api(&dir).fails(3, &["has not joined", "chordage status"]);
    }
    assert_eq!(Run::new(["service", "list", "--json"]).api(&dir).succeeds(), "[]\n");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn whoever_watches_or_listens_ends_with_the_number_of_an_interrupt() {
    let scene = Scene::with_daemons(1);
    scene.run(["service", "register", "web", "--addr", "a:1"]).succeeds();
    scene.run(["topic", "publish", "news", "first"]).succeeds();
    scene.run(["name", "create", "me"]).succeeds();
    let link = scene.put(&scene.file("something", b"something"));
    scene.run(["name", "publish", "me", &link]).succeeds();
    for (args, ends) in [
        (&["service", "watch", "web"][..], Signal::INT),
        (&["topic", "subscribe", "news", "--last", "1"], Signal::TERM),
        (&["name", "watch", "me"], Signal::TERM),
    ] {
        let (child, lines) = lines_of(scene.run(args));
        lines.recv_timeout(PATIENCE).unwrap();
        signal(&child, ends);
        let output = end_of(child, args[0]);
        assert!(was_interrupted(&output), "{args:?}: {output:?}");
    }
}
