//! `chordage testnet`: daemons that go on without the command that started them, until they are told to end.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::harness::{chordage, finish, json_of, last_json, processes_of, shown};

/// Takes a network down when a test ends in the middle.
struct Guard<'a>(&'a Path);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new(crate::harness::PROGRAM)
            .args(["testnet", "down", "--wait", "0", "--dir"])
            .arg(self.0)
            .output();
    }
}

async fn testnet(dir: &Path, args: &[&str]) -> Output {
    let mut command = chordage(["--json", "testnet"]);
    command.args(args).arg("--dir").arg(dir);
    finish(command).await
}

fn states(survey: &Value) -> Vec<&str> {
    survey["nodes"].as_array().unwrap().iter().map(|node| node["state"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn a_network_goes_up_breaks_heals_and_goes_down() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("net");
    let _guard = Guard(&dir);

    let up = json_of(&testnet(&dir, &["up", "--nodes", "3"]).await);
    assert_eq!(states(&up), ["joined"; 3]);
    for node in up["nodes"].as_array().unwrap() {
        assert!(node["pid"].as_u64().unwrap() > 0);
        assert_eq!(node["id"].as_str().unwrap().len(), 64);
        assert!(node["api"].as_str().unwrap().starts_with("unix:"));
        assert!(!node["listen"].as_array().unwrap().is_empty());
        assert!(node["rss_bytes"].as_u64().unwrap() > 0);
        assert_eq!((node["shards"].as_u64(), node["stored_bytes"].as_u64()), (Some(0), Some(0)));
    }
    assert_eq!(processes_of(&dir).len(), 3, "they go on without the command");

    // Who is up is left alone.
    let again = json_of(&testnet(&dir, &["up", "--nodes", "3"]).await);
    assert_eq!(again["nodes"][0]["pid"], up["nodes"][0]["pid"]);
    let fewer = testnet(&dir, &["up", "--nodes", "2"]).await;
    assert_eq!(fewer.status.code(), Some(2), "{}", shown(&fewer));

    let prefix = &up["nodes"][2]["id"].as_str().unwrap()[..16];
    let killed = json_of(&testnet(&dir, &["kill", "0", prefix]).await);
    assert_eq!(states(&killed), ["dead", "joined", "dead"]);
    assert_eq!(processes_of(&dir).len(), 1);
    assert_eq!(states(&json_of(&testnet(&dir, &["status"]).await)), ["dead", "joined", "dead"]);

    let restarted = json_of(&testnet(&dir, &["restart", "0"]).await);
    assert_eq!(states(&restarted), ["joined", "joined", "dead"]);
    assert_eq!(restarted["nodes"][0]["id"], up["nodes"][0]["id"], "who comes back is who it was");

    // The rest comes back, and a new one with it.
    let more = json_of(&testnet(&dir, &["up", "--nodes", "4"]).await);
    assert_eq!(states(&more), ["joined"; 4]);

    let down = json_of(&testnet(&dir, &["down"]).await);
    assert_eq!(states(&down), ["dead"; 4]);
    assert!(processes_of(&dir).is_empty());
    let removed = testnet(&dir, &["down", "--remove"]).await;
    assert!(removed.status.success(), "{}", shown(&removed));
    assert!(!dir.exists());
}

#[tokio::test]
async fn what_is_no_network_is_refused_and_left_alone() {
    let temp = tempfile::tempdir().unwrap();
    fs::write(temp.path().join("thesis.txt"), "do not touch").unwrap();
    for args in
        [&["up", "--nodes", "1"][..], &["status"], &["kill", "all"], &["restart", "0"], &["down", "--remove"]]
    {
        let output = testnet(temp.path(), args).await;
        assert_eq!(output.status.code(), Some(7), "{args:?}: {}", shown(&output));
        assert!(last_json(&output.stderr)["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    }
    let names: Vec<_> = fs::read_dir(temp.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["thesis.txt"]);
    assert_eq!(fs::read_to_string(temp.path().join("thesis.txt")).unwrap(), "do not touch");
}

fn set_all(dir: &Path, [dirs, files]: [u32; 2]) {
    fs::set_permissions(dir, Permissions::from_mode(dirs)).unwrap();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => set_all(&path, [dirs, files]),
            false => fs::set_permissions(path, Permissions::from_mode(files)).unwrap(),
        }
    }
}

/// What others may open below a directory. Files may come and go meanwhile.
pub(crate) fn open_to_others(dir: &Path) -> Vec<String> {
    let mut open = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            open.extend(open_to_others(&path));
        }
        let mode = fs::metadata(&path).map_or(0, |file| file.permissions().mode());
        if mode & 0o077 != 0 {
            open.push(format!("{} {mode:o}", path.display()));
        }
    }
    open
}

#[tokio::test]
async fn others_can_open_nothing_of_a_network_whatever_its_directory_was() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("net");
    fs::create_dir(&dir).unwrap();
    fs::set_permissions(&dir, Permissions::from_mode(0o755)).unwrap();
    let _guard = Guard(&dir);
    for _ in 0..2 {
        json_of(&testnet(&dir, &["up", "--nodes", "2"]).await);
        assert_eq!(open_to_others(temp.path()), Vec::<String>::new());
        json_of(&testnet(&dir, &["down"]).await);
        assert_eq!(open_to_others(temp.path()), Vec::<String>::new());
        // As an earlier version left it.
        set_all(&dir, [0o755, 0o644]);
    }
    // A daemon's own are its own, also when it is started alone.
    json_of(&testnet(&dir, &["restart", "0"]).await);
    assert!(open_to_others(&dir).iter().all(|path| path.contains("nodes/01")), "{:?}", open_to_others(&dir));
}

#[tokio::test]
async fn unknown_nodes_are_named_in_the_error() {
    let temp = tempfile::tempdir().unwrap();
    let dir = temp.path().join("net");
    let _guard = Guard(&dir);
    json_of(&testnet(&dir, &["up", "--nodes", "1"]).await);
    let output = testnet(&dir, &["kill", "17"]).await;
    assert_eq!(output.status.code(), Some(2), "{}", shown(&output));
    assert!(last_json(&output.stderr)["message"].as_str().unwrap().contains("17"));
    assert_eq!(processes_of(&dir).len(), 1, "nobody was killed");
}
