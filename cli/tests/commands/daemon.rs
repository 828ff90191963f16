//! `chordage daemon`: how it starts, refuses to start, and ends.

use std::fs;

use rustix::process::Signal;

use crate::harness::{Run, Scene, end_of, eventually, signal};

#[test]
fn it_says_what_is_in_its_way() {
    let scene = Scene::with_daemons(1);
    let running = scene.net.data_dir(0);
    Run::new(["daemon", "--data-dir"])
        .arg(&running)
        .fails(9, &["in use by another daemon", "pid", "--data-dir"]);

    let status = scene.block_on(scene.net.status(0)).unwrap();
    let taken = status.listen.iter().find(|address| address.contains("/tcp/")).unwrap();
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
