//! `daemon --webdav`, without the programs that use it.

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
    daemon(dir.path(), &["--webdav", &address])
        .fails(9, &[&address, "WebDAV", "in use", "--webdav", "no daemon was started"]);
    daemon(dir.path(), &["--webdav", "0.0.0.0:0"])
        .fails(2, &["0.0.0.0:0", "--webdav-users", "chordage restic-user"]);
    let users = dir.path().join("users");
    let with_users = ["--webdav", "127.0.0.1:0", "--webdav-users", users.to_str().unwrap()];
    daemon(dir.path(), &with_users).fails(7, &["cannot read the users", "no daemon was started"]);
    daemon(dir.path(), &["--webdav", "127.0.0.1:0", "--webdav-volume", "My Files"])
        .fails(2, &["webdav.volume", "My Files"]);
    assert!(!dir.path().join("daemon/key").exists());
}

/// One request, and all of the answer.
fn ask(address: SocketAddr, request: &str, host: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("{request} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn the_volume_is_made_when_it_is_used_and_the_status_says_what_is_served() {
    let scene = Scene::with_args(1, &["--webdav", "127.0.0.1:0", "--webdav-volume", "papers"]);
    let status = || -> serde_json::Value {
        let status: serde_json::Value =
            serde_json::from_str(&scene.run(["status", "--json"]).succeeds()).unwrap();
        status["gateways"]["webdav"].clone()
    };
    let address: SocketAddr = status()["listen"].as_str().unwrap().parse().unwrap();
    assert!(address.port() != 0 && address.ip().is_loopback());
    assert!(!scene.run(["volume", "list"]).succeeds().contains("papers"));
    let absent = ask(address, "GET /nothing", &address.to_string());
    assert!(absent.starts_with("HTTP/1.1 404 "), "{absent}");
    let made = ask(address, "MKCOL /d", &address.to_string());
    assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
    let refused = ask(address, "GET /d", "evil.example");
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
    assert!(scene.run(["volume", "list"]).succeeds().contains("papers"));
    let told = status();
    assert_eq!(
        (&told["requests"], &told["refused"], &told["volume"], told.get("users")),
        (&3.into(), &1.into(), &"papers".into(), None)
    );
    let said = scene.run(["status"]).succeeds();
    assert!(
        said.contains(&format!("the files of the volume papers at http://{address}/, 3 requests")),
        "{said}"
    );
}
