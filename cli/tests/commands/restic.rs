//! `daemon --restic` and `restic-user`, without restic itself.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::harness::{PATIENCE, Run, Scene};

fn daemon(dir: &std::path::Path, args: &[&str]) -> Run {
    Run::new(["daemon", "--data-dir"]).arg(dir.join("daemon")).args(args)
}

#[test]
fn what_cannot_be_served_ends_the_start_before_a_daemon_runs() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    daemon(dir.path(), &["--restic", &address])
        .fails(9, &[&address, "in use", "port 0", "no daemon was started"]);
    daemon(dir.path(), &["--restic", "0.0.0.0:0"])
        .fails(2, &["0.0.0.0:0", "--restic-users", "chordage restic-user"]);
    daemon(dir.path(), &["--restic", "here"]).fails(2, &["--restic"]);
    let users = dir.path().join("users");
    let with_users = ["--restic", "127.0.0.1:0", "--restic-users", users.to_str().unwrap()];
    daemon(dir.path(), &with_users).fails(7, &["cannot read the users", "no daemon was started"]);
    std::fs::write(&users, "# nobody\n").unwrap();
    daemon(dir.path(), &with_users).fails(7, &["there are no users"]);
    std::fs::write(&users, "# us\nalice:secret\n").unwrap();
    daemon(dir.path(), &with_users).fails(7, &["users, line 2", "no Argon2 hash"]);
    std::fs::write(dir.path().join("config.toml"), "[restic]\nkeep_deleted_seconds = 999999999999\n")
        .unwrap();
    let config = dir.path().join("config.toml");
    daemon(dir.path(), &["--config", config.to_str().unwrap()]).fails(2, &["restic.keep_deleted_seconds"]);
    assert!(!dir.path().join("daemon/key").exists());
}

#[test]
fn the_line_of_a_user_is_printed_and_a_weak_password_is_not_taken() {
    let user =
        |name: &str, password: &str| Run::new(["restic-user", name]).env("CHORDAGE_PASSPHRASE", password);
    let line = user("al-i_ce.x@y", "correct horse").succeeds();
    assert!(line.starts_with("al-i_ce.x@y:$argon2id$v=19$m=65536,t=3,p=1$"), "{line}");
    assert_ne!(user("al-i_ce.x@y", "correct horse").succeeds(), line, "the salt is another one");
    let json: serde_json::Value =
        serde_json::from_str(&user("bob", "correct horse").arg("--json").succeeds()).unwrap();
    assert_eq!(json["user"], "bob");
    assert!(json["line"].as_str().unwrap().starts_with("bob:$argon2id$"));
    user("alice", "short").fails(2, &["at least 10 characters"]);
    for name in ["a/b", "a:b", "..", "data", ""] {
        user(name, "correct horse").fails(2, &["the name of a user"]);
    }
}

/// One request, and all of the answer.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("{request} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_status_says_where_it_serves_and_it_ends_with_the_daemon() {
    let mut scene = Scene::with_args(1, &["--restic", "127.0.0.1:0", "--restic-append-only"]);
    let status = || -> serde_json::Value {
        let status: serde_json::Value =
            serde_json::from_str(&scene.run(["status", "--json"]).succeeds()).unwrap();
        status["gateways"]["restic"].clone()
    };
    let address: SocketAddr = status()["listen"].as_str().unwrap().parse().unwrap();
    assert!(address.port() != 0 && address.ip().is_loopback());
    let absent = ask(address, "HEAD /nowhere/config");
    assert!(absent.starts_with("HTTP/1.1 404 "), "{absent}");
    let told = status();
    assert_eq!((&told["requests"], &told["append_only"], told.get("users")), (&1.into(), &true.into(), None));
    let said = scene.run(["status"]).succeeds();
    assert!(said.contains(&format!("at rest:http://{address}/, 1 request until now")), "{said}");
    assert!(said.contains("who can delete nothing"), "{said}");
    scene.net.kill(&[0]).unwrap();
    crate::harness::eventually("nobody serves any more", || TcpStream::connect(address).is_err());
}

#[test]
fn a_daemon_without_it_says_nothing_of_it() {
    let scene = Scene::with_daemons(1);
    let status: serde_json::Value =
        serde_json::from_str(&scene.run(["status", "--json"]).succeeds()).unwrap();
    assert!(status["gateways"].get("restic").is_none());
    let help = Run::new(["daemon", "--help"]).env("COLUMNS", "110").succeeds();
    assert!(help.contains("restic -r rest:http://127.0.0.1:8017/ init"), "{help}");
}
