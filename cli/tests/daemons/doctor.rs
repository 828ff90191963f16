//! A daemon that is asked how it is.

use std::fs;

use serde_json::Value;

use crate::harness::{Net, chordage, finish, json_of};
use crate::namespaces::Running;

/// Seconds by which the clock of one of them is ahead.
const AHEAD: i32 = 400;

fn found<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    diagnosis.as_array().unwrap().iter().find(|check| check["check"] == name).unwrap_or(&Value::Null)
}

#[tokio::test]
async fn it_says_what_is_wrong_and_what_to_do() {
    let net = Net::start(3).await;
    let mut command = chordage(["doctor", "--json"]);
    command.arg("--api").arg(net.net.data_dir(0));
    let output = finish(command).await;
    assert_eq!(output.status.code(), Some(0));
    let well = json_of(&output);
    for (name, state) in [
        // Nobody on another machine can join.
        ("ports", "warning"),
        ("network", "ok"),
        ("reachability", "ok"),
        ("clock", "ok"),
        ("first_holder", "ok"),
        ("disk", "ok"),
    ] {
        assert_eq!(found(&well, name)["state"], state, "{name}: {well}");
    }
    assert!(found(&well, "ports")["remedy"].as_str().unwrap().contains("--listen"), "{well}");
    assert!(found(&well, "certificate").is_null(), "the network is open: {well}");
    assert!(found(&well, "clock")["seconds"].as_f64().unwrap().abs() < 10.0, "{well}");

    // A clock that is wrong, in a network of its own with one whose clock is right.
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let listen = ["--network", "clocks", "--listen", "/ip4/127.0.0.1/tcp/0"];
    let right = Running::here(at("right"), &listen);
    let status = right.joined(1).await;
    let alone = json_of(&right.run(&["doctor", "--json"]).await);
    assert_eq!(found(&alone, "clock")["state"], "unknown", "{alone}");
    assert_eq!(found(&alone, "first_holder")["state"], "unknown", "{alone}");
    fs::create_dir(at("wrong")).unwrap();
    fs::write(at("wrong").join("config.toml"), format!("debug_clock_seconds = {AHEAD}\n")).unwrap();
    let wrong = Running::here(
        at("wrong"),
        &[&listen[..], &["--bootstrap", status["listen"][0].as_str().unwrap()]].concat(),
    );
    wrong.joined(2).await;
    let output = wrong.run(&["doctor", "--json"]).await;
    assert_eq!(output.status.code(), Some(10), "something fails");
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    let clock = found(&diagnosis, "clock");
    assert_eq!(clock["state"], "fault", "{diagnosis}");
    assert!((clock["seconds"].as_f64().unwrap() - f64::from(AHEAD)).abs() < 10.0, "{diagnosis}");
    assert!(clock["remedy"].as_str().unwrap().contains("set the clock"), "{diagnosis}");

    let output = wrong.run(&["doctor"]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("fault    clock") && text.contains("to do: set the clock"), "{text}");
}
