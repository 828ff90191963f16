//! A data directory of an earlier version, as it lies in `cli/tests/fixtures`.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{Run, end_of, eventually, signal};

/// What an earlier version left.
pub(crate) const FIXTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/data-of-2026-11");
/// What was put, and not forgotten.
pub(crate) const LINK: &str = "chord1r7owhuwsmnbkn6wwfh6hubncqnjrzst2eadfivvkh4syrp24hygagablfvphunsqe3koxhvv75mv5iwunsl5rqgdcvx46qpprt2fzuupaa6odw";
const DAY: u64 = 24 * 60 * 60;

/// Copies a directory.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[test]
fn nothing_that_an_earlier_version_kept_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    copy(Path::new(FIXTURE), &data);
    for _ in 0..2 {
        let child = Run::new(["daemon", "--data-dir"]).arg(&data).start();
        eventually("the daemon is ready", || data.join("api").exists());
        let run = |args: &[&str]| Run::new(args).api(&data);
        let json = |args: &[&str]| serde_json::from_str::<serde_json::Value>(&run(args).succeeds()).unwrap();
        let content = run(&["cat", LINK]).succeeds();
        assert_eq!(content, "kept by an earlier version\n".repeat(2000));

        let leases = &json(&["status", "--json"])["leases"];
        assert_eq!(leases["expire"], true, "{leases}");
        assert_eq!((&leases["claims"], &leases["kept_objects"]), (&2.into(), &1.into()), "{leases}");
        let keeps = json(&["keeps", "--json"]);
        let [renewed, until] = ["renewed", "until"].map(|field| keeps[0][field].as_u64().unwrap());
        assert_eq!((keeps.as_array().unwrap().len(), until - renewed), (1, 400 * DAY), "{keeps}");
        signal(&child, Signal::TERM);
        assert!(end_of(child, "a daemon told to leave").status.success());
    }
    let child = Run::new(["daemon", "--data-dir"]).arg(&data).start();
    eventually("the daemon is ready", || data.join("api").exists());
    Run::new(["forget", LINK]).api(&data).succeeds();
    eventually("it is freed", || {
        let status = Run::new(["status", "--json"]).api(&data).succeeds();
        serde_json::from_str::<serde_json::Value>(&status).unwrap()["shards"] == 0
    });
    signal(&child, Signal::TERM);
    assert!(end_of(child, "a daemon told to leave").status.success());
}
