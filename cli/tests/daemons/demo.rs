//! `chordage demo`: it tells the truth, and it cleans up.

use std::fs;
use std::path::Path;
use std::time::Duration;

use chordage_testnet::{ProcessId, wait_until};
use tokio::process::Command;

use crate::harness::{PATIENCE, chordage, finish, json_of, last_json, processes_of, shown};

/// A demo small enough for a test, with its files below a directory of the test's.
fn demo(temp: &Path, args: &[&str]) -> Command {
    let mut command = chordage(["demo", "--nodes", "4", "--redundancy", "2/4", "--size", "2M"]);
    command.args(args).env("TMPDIR", temp);
    command
}

fn left_behind(temp: &Path) -> Vec<std::ffi::OsString> {
    fs::read_dir(temp).unwrap().map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test]
async fn everything_comes_back_and_nothing_is_left() {
    let temp = tempfile::tempdir().unwrap();
    let outcome = json_of(&finish(demo(temp.path(), &["--json", "--seed", "7"])).await);
    assert_eq!(outcome["intact"], true, "{outcome}");
    let numbers = ["nodes", "killed", "k", "n"].map(|name| outcome[name].as_u64().unwrap());
    assert_eq!(numbers, [4, 2, 2, 4]);
    assert!(outcome["files"].as_u64().unwrap() > 300);
    assert!(outcome["object_bytes"].as_u64().unwrap() > 1_900_000);
    assert!(outcome["stored_bytes"].as_u64().unwrap() > outcome["object_bytes"].as_u64().unwrap());
    assert_eq!(outcome["degraded_chunks"], outcome["chunks"], "every chunk had a shard on everybody");
    for name in ["put_seconds", "get_seconds", "lookup_hops_mean"] {
        assert!(outcome[name].as_f64().unwrap() > 0.0, "{name}: {outcome}");
    }
    assert!(left_behind(temp.path()).is_empty());
    assert!(processes_of(temp.path()).is_empty());
}

#[tokio::test]
async fn the_story_fits_on_a_screen() {
    let temp = tempfile::tempdir().unwrap();
    let output = finish(demo(temp.path(), &[])).await;
    assert!(output.status.success(), "{}", shown(&output));
    let story = String::from_utf8(output.stdout).unwrap();
    assert!(story.lines().count() <= 40, "{story}");
    let fits = |line: &str| line.chars().count() <= 120 || line.trim_start().starts_with("link: ");
    assert!(story.lines().all(fits), "{story}");
    for word in ["put ", "trace ", "kill ", "join ", "get ", "same ", "before", "after", "nothing lost"] {
        assert!(story.contains(word), "{word:?} is missing in\n{story}");
    }
}

#[tokio::test]
async fn one_death_too_many_is_said_honestly_and_soon() {
    let temp = tempfile::tempdir().unwrap();
    let output = finish(demo(temp.path(), &["--json", "--kill", "3"])).await;
    assert_eq!(output.status.code(), Some(4), "{}", shown(&output));
    let outcome = last_json(&output.stdout);
    assert_eq!((&outcome["intact"], &outcome["killed"]), (&false.into(), &3.into()));
    let message = last_json(&output.stderr)["message"].as_str().unwrap().to_owned();
    assert!(message.contains("3 of 4 daemons") && message.contains("1 more than 2-of-4"), "{message}");
    assert!(left_behind(temp.path()).is_empty());
}

#[tokio::test]
async fn what_cannot_work_is_refused_before_anything_starts() {
    let temp = tempfile::tempdir().unwrap();
    for (args, code) in [
        (&["--kill", "4"][..], 2),
        (&["--redundancy", "9/2"], 2),
        (&["/there/is/no/such/path"], 7),
        (&["--nodes", "0"], 2),
    ] {
        let output = finish(demo(temp.path(), args)).await;
        assert!(output.status.code().is_some_and(|found| found == code), "{args:?}: {}", shown(&output));
    }
    let mut too_many = chordage(["demo", "--nodes", "3", "--redundancy", "4/10"]);
    too_many.env("TMPDIR", temp.path());
    assert_eq!(finish(too_many).await.status.code(), Some(6));
    assert!(left_behind(temp.path()).is_empty());
}

/// Starts a demo and waits until its daemons run.
async fn under_way(temp: &Path) -> (tokio::process::Child, ProcessId) {
    let child = demo(temp, &["--json"]).spawn().unwrap();
    let process = ProcessId::of(child.id().unwrap()).unwrap();
    let up = async || if processes_of(temp).len() < 4 { Err("not all daemons run") } else { Ok(()) };
    wait_until("daemons start", PATIENCE, up).await.unwrap();
    (child, process)
}

#[tokio::test]
async fn ctrl_c_leaves_nothing() {
    let temp = tempfile::tempdir().unwrap();
    let (child, process) = under_way(temp.path()).await;
    process.signal(rustix::process::Signal::INT).unwrap();
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", shown(&output));
    assert!(processes_of(temp.path()).is_empty());
    assert!(left_behind(temp.path()).is_empty());
}

#[tokio::test]
async fn daemons_end_even_when_the_demo_is_killed() {
    let temp = tempfile::tempdir().unwrap();
    let (mut child, _) = under_way(temp.path()).await;
    child.kill().await.unwrap();
    let gone = async || match processes_of(temp.path()).len() {
        0 => Ok(()),
        left => Err(format!("{left} still run")),
    };
    wait_until("daemons leave", Duration::from_secs(60), gone).await.unwrap();
}
