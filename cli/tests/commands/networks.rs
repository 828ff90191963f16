//! `chordage network`, `invite` and `join`: what people get wrong before a daemon runs, and what they are told.

use std::fs;
use std::io::{BufRead, BufReader};

use rustix::process::Signal;

use crate::harness::{Run, Scene, end_of, signal, was_interrupted};

const INVITE: &str = "chordage-invite:";

fn at(dir: &tempfile::TempDir, args: &[&str]) -> Run {
    Run::new(args).arg("--data-dir").arg(dir.path())
}

#[test]
fn every_help_has_examples() {
    for args in [
        &["network"][..],
        &["network", "create"],
        &["network", "show"],
        &["network", "members"],
        &["network", "revoke"],
        &["network", "renew"],
        &["invite"],
        &["join"],
    ] {
        for flag in ["-h", "--help"] {
            let help = Run::new(args).arg(flag).succeeds();
            let example = format!("  chordage {}", args.join(" "));
            assert!(help.contains("Examples:\n") && help.contains(&example), "{args:?}: {help}");
        }
    }
    let help = Run::new(["join", "--help"]).succeeds();
    assert!(help.contains("process list") && help.contains("standard input"), "{help}");
    let help = Run::new(["invite", "--help"]).succeeds();
    assert!(help.contains("24h") && help.contains("possible values: member, client"), "{help}");
}

#[test]
fn what_no_network_can_be_called_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let too_long = "x".repeat(33);
    for name in ["", "Family", "my family", "my_family", "f\u{e4}mily", &too_long] {
        at(&dir, &["network", "create", name]).fails(2, &["nothing was changed", "a-z 0-9 -"]);
    }
    let stderr = at(&dir, &["network", "create", "A", "--json"]).fails(2, &[]);
    let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!(error["code"], "bad_network_name", "{error}");
    Run::new(["network", "create"]).fails(2, &["NAME"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a refusal leaves nothing");
}

#[test]
fn what_is_no_invite_is_told_from_one_that_is_mistyped() {
    let dir = tempfile::tempdir().unwrap();
    let hint = "from `chordage-invite:` to its last character";
    at(&dir, &["join", "hello"]).fails(5, &["not an invite", "nothing was asked", hint]);
    at(&dir, &["join", &format!("{INVITE}aeaf6xs6")]).fails(5, &["mistyped", hint]);
    at(&dir, &["join", &format!("{INVITE}{}", "a".repeat(5000))]).fails(5, &["mistyped"]);
    at(&dir, &["join", ""]).fails(5, &["not an invite"]);
    for input in [&b""[..], b"\n\n", b"hello\nchordage-invite:aeaf6xs6\n", b"\xff\xfe\n"] {
        at(&dir, &["join", "-"]).stdin(input).fails(5, &["not an invite"]);
    }
    let typed = format!("\n  {INVITE}aeaf6xs6 \nand more\n");
    let stderr = at(&dir, &["join", "-", "--json"]).stdin(typed.as_bytes()).fails(5, &["mistyped"]);
    let error: serde_json::Value = serde_json::from_str(stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&error["code"], &error["exit_code"]), (&"bad_invite".into(), &5.into()));
    Run::new(["join"]).fails(2, &["INVITE"]);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "a refusal leaves nothing");
}

#[test]
fn a_request_that_no_daemon_would_take_is_refused_before_one_is_asked() {
    for (args, words) in [
        (&["invite", "--expires", "25h"][..], "24h at most"),
        (&["invite", "--expires", "24"], "a number and a unit"),
        (&["invite", "--uses", "0"], "1..=1000"),
        (&["invite", "--role", "founder"], "member, client"),
        (&["invite", "--withdraw", "5f0c9a1"], "first 8"),
        (&["invite", "--withdraw", "5f0c9a1e", "--uses", "2"], "cannot be used with"),
        (&["network", "revoke", "5f0c9a1", "--reason", "lost"], "first 8"),
        (&["network", "revoke", "somebody", "--reason", "lost"], "hexadecimal"),
        (&["network", "revoke", "5f0c9a1e"], "--reason"),
        (&["network", "revoke", "5f0c9a1e", "--reason", " "], "not empty"),
        (&["network"], "create"),
        (&["network", "create", "square", "--id-bits", "8"], "--open"),
        (&["network", "create", "square", "--open", "--id-bits", "33"], "0..=32"),
    ] {
        Run::new(args).fails(2, &[words]);
    }
}

#[test]
fn whoever_founds_an_open_network_is_told_what_that_risks() {
    let dir = tempfile::tempdir().unwrap();
    let output = at(&dir, &["network", "create", "square", "--open", "--id-bits", "4"]).output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    for words in [
        "anybody may join",
        "hold shards",
        "see who is in it",
        "watch",
        "many identities dear",
        "chordage invite",
    ] {
        assert!(said.contains(words), "{words} in {said}");
    }
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("whose key has 4 bits of work"), "{shown}");
    at(&dir, &["network", "create", "square", "--open"]).fails(2, &["belongs to the network square"]);
}

#[test]
fn work_that_is_interrupted_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let new = dir.path().join("new");
    let args = ["network", "create", "square", "--open", "--id-bits", "32", "--data-dir"];
    let mut child = Run::new(args).arg(&new).start();
    let mut begun = String::new();
    BufReader::new(child.stderr.as_mut().unwrap()).read_line(&mut begun).unwrap();
    assert!(begun.contains("trying keys"), "{begun}");
    signal(&child, Signal::INT);
    let output = end_of(child, "work without an end");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(was_interrupted(&output) && said.contains("nothing was changed"), "{}: {said}", output.status);
    assert!(output.stdout.is_empty() && !new.exists());
}

#[test]
fn what_needs_a_daemon_says_so() {
    let dir = tempfile::tempdir().unwrap();
    for args in [
        &["network", "show"][..],
        &["network", "members"],
        &["network", "renew"],
        &["network", "revoke", "5f0c9a1e", "--reason", "lost"],
        &["invite"],
        &["invite", "--withdraw", "5f0c9a1e"],
    ] {
        at(&dir, args).fails(3, &["no daemon is running", "chordage daemon"]);
    }
}

#[test]
fn a_data_directory_that_cannot_be_used_is_left_alone() {
    let scene = Scene::with_daemons(1);
    let running = scene.net.data_dir(0);
    let create = || Run::new(["network", "create", "family"]);
    create()
        .arg("--data-dir")
        .arg(&running)
        .fails(9, &["in use by another daemon", "stop that daemon first"]);
    // Whoever names a daemon means something else.
    create().arg("--api").arg(&running).fails(2, &["--data-dir DIR", "asks no daemon"]);
    Run::new(["join", "hello", "--api", "/nowhere"]).fails(2, &["--data-dir DIR"]);
    create().env("HOME", "").fails(2, &["no default data directory", "--data-dir"]);

    let foreign = scene.path("foreign");
    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis.tex"), "precious").unwrap();
    create().arg("--data-dir").arg(&foreign).fails(7, &["thesis.tex", "new or empty"]);
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}

#[test]
fn members_of_a_network_are_those_that_members_lists() {
    let scene = Scene::with_daemons(2);
    let table = |args: &[&str]| {
        let listed = scene.run(args).arg("--json").succeeds();
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let ids = listed.as_array().unwrap().iter().map(|member| member["id"].as_str().unwrap().to_owned());
        ids.collect::<std::collections::BTreeSet<_>>()
    };
    assert_eq!(table(&["network", "members"]), table(&["members"]));
}
