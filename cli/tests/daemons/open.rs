//! An open network whose ids cost work: whoever has the line and a key that shows the work takes part, and nobody else
//! does.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::{chordage, finish, json_of, random_bytes, shown};
use crate::namespaces::Running;
use crate::private::{id, invite, json, on, others, soon};

const BYTES: usize = 300_000;
/// Of 256 keys one will do.
const BITS: &str = "8";

async fn found(dir: &Path) -> Value {
    json_of(&on(dir, &["network", "create", "square", "--open", "--id-bits", BITS]).await)
}

/// A command that is refused with this exit code and says these words.
async fn refused(daemon: &Running, args: &[&str], code: i32, words: &[&str]) {
    let output = daemon.run(args).await;
    assert_eq!(output.status.code(), Some(code), "{args:?}: {}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    for words in words {
        assert!(said.contains(words), "{words} in {said}");
    }
}

/// The ids of these daemons but for the one with this number.
async fn ids_of(daemons: &[&Running], but: usize) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    for (number, daemon) in daemons.iter().enumerate() {
        if number != but {
            ids.insert(id(daemon).await);
        }
    }
    ids
}

#[tokio::test]
async fn whoever_has_worked_takes_part_and_whoever_has_not_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let founded = found(&at("a")).await;
    assert_eq!((&founded["kind"], &founded["id_bits"]), (&"open".into(), &8.into()), "{founded}");
    let a = Running::here(at("a"), &[]);
    a.joined(1).await;
    let line = invite(&a, &[]).await;
    assert!(json(&a, &["invite"]).await["info"].is_null(), "there is no secret to keep a book of");
    let joined = json_of(&on(&at("b"), &["join", &line]).await);
    assert_eq!((&joined["network"], &joined["kind"]), (&"square".into(), &"open".into()), "{joined}");
    assert_eq!(joined["fingerprint"], founded["fingerprint"]);
    let b = Running::here(at("b"), &[]);
    b.joined(2).await;
    // Everybody lets others in, with a line that is always the same.
    assert_eq!(invite(&a, &[]).await, line);
    let line = invite(&b, &[]).await;
    json_of(&on(&at("c"), &["join", &line]).await);
    let c = Running::here(at("c"), &[]);
    for daemon in [&a, &b, &c] {
        daemon.joined(3).await;
    }
    let file = at("file");
    fs::write(&file, random_bytes(BYTES, 71)).unwrap();
    let link = a.put("1/3", &file).await;
    assert!(c.get(&link, &at("at-c")).await == random_bytes(BYTES, 71));

    let shown_by_b = json(&b, &["network", "show"]).await;
    assert_eq!((&shown_by_b["kind"], &shown_by_b["id_bits"]), (&"open".into(), &8.into()), "{shown_by_b}");
    assert_eq!((&shown_by_b["private"], &shown_by_b["key"]), (&false.into(), &founded["key"]));
    let revoke = ["network", "revoke", &id(&c).await[..16], "--reason", "noise"];
    refused(&a, &revoke, 2, &["no certificates", "nobody can be put out", "nothing was changed"]).await;
    refused(&a, &["network", "renew"], 2, &["no certificates"]).await;
    for flags in [&["--uses", "2"][..], &["--expires", "1h"], &["--role", "client"], &["--delegate"]] {
        refused(&b, &[&["invite"], flags].concat(), 2, &["for everybody and for ever", "without --uses"])
            .await;
    }

    whoever_has_not_worked_is_refused(&[&a, &b, &c], &line, dir.path()).await;
    nobody_comes_in_by_name(&a, dir.path()).await;
}

/// Somebody knows everything that the others know, and its key lacks the work.
async fn whoever_has_not_worked_is_refused(daemons: &[&Running], line: &str, dir: &Path) {
    let data = dir.join("x");
    json_of(&on(&data, &["join", line]).await);
    // The bytes of a secret key whose public key has no work worth speaking of.
    fs::write(data.join("key"), [7; 32]).unwrap();
    let mut command = chordage(["daemon", "--data-dir"]);
    command.arg(&data);
    let output = finish(command).await;
    assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("lacks the work") && said.contains("8 bits") && said.contains("join"), "{said}");

    // One that does not care hears it from the others.
    fs::write(data.join("config.toml"), "debug_id_without_work = true\n").unwrap();
    let x = Running::here(data, &[]);
    let lacks = |status: &Value| {
        status["join_problem"].as_str().is_some_and(|problem| problem.contains("lacks the work"))
    };
    let status = soon(&x, lacks).await;
    assert!(status["join_problem"].as_str().unwrap().contains("8 bits"), "{status}");
    let human = x.run(&["status"]).await;
    assert!(String::from_utf8_lossy(&human.stdout).contains("lacks the work"), "{}", shown(&human));
    assert_eq!(json(&x, &["peers"]).await, Value::Array(Vec::new()));
    assert!(others(&x).await.is_empty(), "it is told of nobody");
    for (number, daemon) in daemons.iter().enumerate() {
        assert_eq!(others(daemon).await, ids_of(daemons, number).await, "{number}");
        let peers = json(daemon, &["peers"]).await;
        let x = id(&x).await;
        assert!(peers.as_array().unwrap().iter().all(|peer| peer["id"] != x.as_str()), "{peers}");
    }
    x.leave().await;
}

/// A network that is nothing but a name is another one, also if it has the same.
async fn nobody_comes_in_by_name(member: &Running, dir: &Path) {
    let before = others(member).await;
    let address = member.status(|_| true).await["listen"][0].as_str().unwrap().to_owned();
    let e = Running::here(dir.join("e"), &["--network", "square", "--bootstrap", &address]);
    let status = soon(&e, |status| status["join_problem"].is_string()).await;
    assert_ne!(status["state"], "joined", "{status}");
    assert!(others(&e).await.is_empty());
    assert_eq!(others(member).await, before);
    refused(&e, &["invite"], 2, &["nothing but a name", "--bootstrap"]).await;
    e.leave().await;
}

#[tokio::test]
async fn lines_and_directories_of_two_kinds_are_not_mixed_up() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    found(&at("open")).await;
    json_of(&on(&at("private"), &["network", "create", "family"]).await);
    let [open, private] = ["open", "private"].map(|name| Running::here(at(name), &[]));
    open.joined(1).await;
    private.joined(1).await;
    let (line, secret) = (invite(&open, &[]).await, invite(&private, &[]).await);

    let mut altered = line.clone();
    altered.replace_range(40..41, if &line[40..41] == "a" { "b" } else { "a" });
    let refused = on(&at("new"), &["join", &altered]).await;
    assert_eq!(refused.status.code(), Some(5), "{}", shown(&refused));
    assert!(!at("new").exists(), "nothing is left of it");

    open.leave().await;
    private.leave().await;
    for (name, wrong) in [("private", &line), ("open", &secret)] {
        let refused = on(&at(name), &["join", wrong]).await;
        assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("\"belongs\""), "{}", shown(&refused));
    }
    // It knows its own line, and no other name than its network has.
    let again = json_of(&on(&at("open"), &["join", &line]).await);
    assert_eq!((&again["renewed"], &again["kind"]), (&true.into(), &"open".into()), "{again}");
    let mut command = chordage(["daemon", "--network", "family", "--data-dir"]);
    command.arg(at("open"));
    let output = finish(command).await;
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("belongs to the network square"),
        "{}",
        shown(&output)
    );
    assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
}
