//! What a client asked for is followed by its name through the logs of all daemons.

use std::collections::BTreeSet;
use std::fs;

use chordage_testnet::{Plan, Testnet, wait_until};
use serde_json::Value;

use crate::harness::{Net, PATIENCE, PROGRAM};

const DAEMONS: usize = 6;
const SETTINGS: &str =
    "log = \"warn,chordage_node=info,chordage_node::operations=debug\"\nlog_format = \"json\"\n";

/// The lines of a daemon's log that are objects; all of them that come from the log are.
fn lines(net: &Net, daemon: usize) -> Vec<Value> {
    let log = fs::read_to_string(net.net.log(daemon)).unwrap();
    let objects: Vec<Value> = log
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert!(!log.contains("DEBUG chordage") && !log.contains(" INFO "), "lines that are none: {log}");
    objects
}

/// Those that name this operation.
fn of_operation(net: &Net, daemon: usize, operation: &str) -> Vec<Value> {
    lines(net, daemon).into_iter().filter(|line| line["operation"] == operation).collect()
}

/// What a daemon calls the last such thing that a client asked it for, once its log has all of it.
async fn operation(net: &Net, daemon: usize, asked: &str) -> String {
    let ended = async || {
        let is_end = |line: &Value| line["asked"] == asked && line["message"] == "a client's operation ends";
        lines(net, daemon).into_iter().rfind(is_end).ok_or("the log does not end it")
    };
    let line = wait_until("the log ends the operation", PATIENCE, ended).await.unwrap();
    assert!(line["timestamp"].is_string() && line["level"] == "DEBUG", "{line}");
    line["operation"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_put_and_a_get_are_followed_through_all_daemons() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("settings.toml");
    fs::write(&config, SETTINGS).unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), DAEMONS);
    plan.daemon_args = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
    let net = Testnet::start(plan).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
    let net = Net::of(net, dir);

    let link = net.put(0, "2/6", &net.random_file("a name that is nobody's business", 300_000, 1)).await;
    let put = operation(&net, 0, "put").await;
    assert_eq!(put.len(), 32);
    let told = async || {
        for daemon in 1..DAEMONS {
            let lines = of_operation(&net, daemon, &put);
            let stored = |line: &&Value| line["request"] == "put" && line["answer"] == "stored";
            let Some(line) = lines.iter().find(stored) else {
                return Err(format!("daemon {daemon} has {lines:?}"));
            };
            assert_eq!(line["peer"], net.net.id(0).unwrap().to_string());
        }
        Ok(())
    };
    // Of the last acknowledgement nobody waits for a line in the log.
    wait_until("every daemon names the put", PATIENCE, told).await.unwrap();
    let asked = of_operation(&net, 0, &put);
    let holders: BTreeSet<String> =
        asked.iter().filter(|line| line["request"] == "put").map(|line| line["peer"].to_string()).collect();
    assert_eq!(holders.len(), DAEMONS - 1, "{asked:?}");
    assert_eq!(asked[0]["message"], "a client's operation begins");

    net.get(3, &link, "again").await;
    let get = operation(&net, 3, "get").await;
    assert_ne!(get, put);
    let fetched = async || {
        let others = (0..DAEMONS).filter(|daemon| *daemon != 3);
        let lines: Vec<Value> = others.flat_map(|daemon| of_operation(&net, daemon, &get)).collect();
        let sent = |line: &Value| line["request"] == "fetch" && line["answer"] == "shard";
        if lines.iter().any(sent) { Ok(()) } else { Err(format!("{lines:?}")) }
    };
    wait_until("a holder names the get", PATIENCE, fetched).await.unwrap();

    for daemon in 0..DAEMONS {
        let log = fs::read_to_string(net.net.log(daemon)).unwrap();
        for secret in [&link[7..], "nobody's business"] {
            assert!(!log.contains(secret), "the log of daemon {daemon} has {secret}");
        }
    }
}
