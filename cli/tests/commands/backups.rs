//! `chordage backup`: what it says, how it ends, and what it refuses.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Run, Scene, end_of, eventually, noise, signal, was_interrupted};

fn scene(nodes: usize) -> Scene {
    let scene = Scene::with_daemons(nodes);
    let opens = scene.run(["backup", "init", "--quiet"]).succeeds();
    assert!(opens.starts_with("chordvol1w") && opens.lines().count() == 1, "{opens}");
    scene
}

fn backup(scene: &Scene, args: &[&str]) -> Run {
    scene.run(["backup"]).args(args)
}

/// Objects that it printed, one a line.
fn lines(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn json(scene: &Scene, args: &[&str]) -> Vec<Value> {
    lines(&backup(scene, args).arg("--json").succeeds())
}

/// A directory with two files.
fn home(scene: &Scene) -> String {
    let home = scene.path("home");
    fs::create_dir_all(home.join("notes")).unwrap();
    fs::write(home.join("notes/a.txt"), "first").unwrap();
    fs::write(home.join("b.jpg"), noise(10_000, 1)).unwrap();
    // Above it there may be symbolic links, which snapshots do not have.
    fs::canonicalize(&home).unwrap().to_str().unwrap().to_owned()
}

fn listed(scene: &Scene) -> Vec<Value> {
    json(scene, &["list"])
}

#[test]
fn without_a_volume_it_is_said_how_to_make_one() {
    let scene = Scene::with_daemons(1);
    home(&scene);
    for args in [&["create", "home"][..], &["list"], &["restore", "latest", "--target", "back"]] {
        backup(&scene, args).fails(4, &["volume", "chordage backup init", "chordage volume import"]);
    }
    assert_eq!(scene.names(), ["home"]);
    let made = backup(&scene, &["init", "--json", "--volume", "photos"]).output();
    let said = String::from_utf8(made.stderr).unwrap();
    assert!(said.contains("keep it away from here"), "{said}");
    let made: Value = serde_json::from_slice(&made.stdout).unwrap();
    assert_eq!(made["petname"], "photos");
    backup(&scene, &["init", "--volume", "photos"]).fails(2, &["photos", "--volume"]);
    let create = |run: Run| run.succeeds();
    create(backup(&scene, &["create", "home", "--quiet"]).env("CHORDAGE_VOLUME", "photos"));
    let kept = backup(&scene, &["list", "--json"]).env("CHORDAGE_VOLUME", "photos").succeeds();
    assert_eq!(lines(&kept).len(), 1);
    // Where it can only be read, nothing is sent.
    let reads = scene.run(["volume", "export", "photos", "--read-only"]).succeeds();
    scene.run(["volume", "remove", "photos"]).fails(2, &["--yes"]);
    scene.run(["volume", "remove", "photos", "--yes"]).succeeds();
    scene
        .run(["volume", "import", "theirs"])
        .stdin(&reads.as_bytes()[1..])
        .fails(5, &["copy the whole text"]);
    scene.run(["volume", "import", "theirs"]).stdin(reads.as_bytes()).succeeds();
    backup(&scene, &["create", "home", "--volume", "theirs"]).fails(2, &["can only be read"]);
    assert_eq!(lines(&backup(&scene, &["list", "--json", "--volume", "theirs"]).succeeds()).len(), 1);
}

#[test]
fn what_cannot_be_read_is_left_out_and_named() {
    let scene = scene(1);
    home(&scene);
    backup(&scene, &["create", "nowhere", "neither"]).fails(7, &["nowhere", "nothing was backed up"]);
    assert!(listed(&scene).is_empty());
    let part = backup(&scene, &["create", "home", "nowhere", "--json"]).output();
    assert_eq!(part.status.code(), Some(3), "{}", String::from_utf8_lossy(&part.stderr));
    let report: Value = serde_json::from_slice(&part.stdout).unwrap();
    assert_eq!((report["unreadable"].as_u64(), report["files"].as_u64()), (Some(1), Some(2)), "{report}");
    assert!(report["unreadable_paths"][0].as_str().unwrap().ends_with("nowhere"), "{report}");
    let list = listed(&scene);
    assert_eq!((list.len(), list[0]["unreadable"].as_u64()), (1, Some(1)));
    assert_eq!(list[0]["id"], report["snapshot"]);
    // 3 is said of that alone.
    let dead = scene.path("dead");
    fs::create_dir(&dead).unwrap();
    backup(&scene, &["create", "home"]).env("CHORDAGE_API", &dead).fails(11, &["daemon"]);
    backup(&scene, &["list"]).env("CHORDAGE_API", &dead).fails(3, &["daemon"]);
}

#[test]
fn patterns_leave_out_and_a_dry_run_stores_nothing() {
    let scene = scene(1);
    let home = home(&scene);
    fs::write(scene.path("exclude"), "# music\n*.mp3\n").unwrap();
    fs::write(scene.path("home/song.mp3"), "la").unwrap();
    let flags = ["--iexclude", "*.JPG", "--exclude-file", "exclude", "--json"];
    let would = lines(&backup(&scene, &["create", "home", "-n"]).args(flags).succeeds()).remove(0);
    assert_eq!((would["files"].as_u64(), would["excluded"].as_u64()), (Some(1), Some(2)), "{would}");
    assert!(listed(&scene).is_empty());
    let time = ["--time", "2001-02-03 04:05:06", "--host", "old", "--tag", "x,y", "--tag", "z"];
    let made = backup(&scene, &["create", "home"]).args(flags).args(time).env("TZ", "UTC").succeeds();
    let made = lines(&made).remove(0);
    assert_eq!((made["files"].as_u64(), made["excluded"].as_u64()), (Some(1), Some(2)), "{made}");
    let list = listed(&scene).remove(0);
    assert_eq!(list["time"].as_i64(), Some(981_173_106));
    assert_eq!(list["tags"], serde_json::json!(["x", "y", "z"]));
    assert_eq!(list["paths"], serde_json::json!([home]));
    let table = backup(&scene, &["list"]).env("TZ", "UTC").succeeds();
    assert!(table.contains("2001-02-03 04:05:06  old   x,y,z"), "{table}");
    for (filter, found) in
        [("--tag=x", 1), ("--tag=x,q", 0), ("--host=new", 0), ("--path=home", 1), ("--path=/", 0)]
    {
        assert_eq!(json(&scene, &["list", filter]).len(), found, "{filter}");
    }
    let names: Vec<String> = json(&scene, &["ls", "latest", "-r"])
        .iter()
        .map(|entry| entry["path"].as_str().unwrap().to_owned())
        .filter(|path| path.contains("home/"))
        .collect();
    let inside = &home[1..];
    assert_eq!(names, [format!("{inside}/notes"), format!("{inside}/notes/a.txt")]);
    backup(&scene, &["create", "home", "--exclude", "a["]).fails(2, &["pattern"]);
}

#[test]
fn an_interrupted_backup_leaves_no_snapshot() {
    let scene = scene(3);
    fs::create_dir(scene.path("home")).unwrap();
    fs::write(scene.path("home/large"), noise(20_000_000, 2)).unwrap();
    // Nobody takes anything.
    for node in [1, 2] {
        scene.net.freeze(node).unwrap();
    }
    let child = backup(&scene, &["create", "home"]).start();
    eventually("the backup waits for others", || {
        let status = scene.block_on(scene.net.status(0));
        status.is_ok_and(|status| !status.puts.puts_wait_for.is_empty())
    });
    signal(&child, Signal::INT);
    let output = end_of(child, "an interrupted backup");
    for node in [1, 2] {
        scene.net.thaw(node).unwrap();
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        was_interrupted(&output) && stderr.contains("no snapshot was made"),
        "{}: {stderr}",
        output.status
    );
    assert!(output.stdout.is_empty() && listed(&scene).is_empty());
    // It can be made then, and holds everything.
    let made = json(&scene, &["create", "home"]).remove(0);
    assert_eq!(made["bytes"].as_u64(), Some(20_000_000), "{made}");
}

/// Snapshots at noon of these days; their ids, in this order.
fn days(scene: &Scene, days: &[&str], more: &[&str]) -> Vec<String> {
    let make = |day: &&str| {
        let time = format!("{day} 12:00:00");
        let made = backup(scene, &["create", "home", "--quiet", "--time", &time]).args(more).succeeds();
        made.trim().to_owned()
    };
    days.iter().map(make).collect()
}

fn ids(snapshots: &Value) -> Vec<&str> {
    snapshots.as_array().unwrap().iter().map(|snapshot| snapshot["id"].as_str().unwrap()).collect()
}

#[test]
fn a_policy_says_why_it_keeps_what_it_keeps() {
    let scene = scene(1);
    home(&scene);
    let made = days(&scene, &["2026-01-05", "2026-01-06", "2026-02-01", "2026-02-02", "2026-02-03"], &[]);
    let policy = ["forget", "--keep-daily", "2", "--keep-monthly", "2"];
    let plan = lines(&backup(&scene, &policy).args(["--dry-run", "--json"]).succeeds()).remove(0);
    assert_eq!((plan["dry_run"].as_bool(), listed(&scene).len()), (Some(true), 5));
    let group = &plan["groups"][0];
    assert_eq!(ids(&group["keep"]), [&made[4], &made[3], &made[1]]);
    assert_eq!(ids(&group["remove"]), [&made[2], &made[0]]);
    assert_eq!(group["keep"][0]["reasons"], serde_json::json!(["daily snapshot", "monthly snapshot"]));
    assert_eq!(group["keep"][2]["reasons"], serde_json::json!(["monthly snapshot"]));

    let said = backup(&scene, &policy).succeeds();
    assert!(said.contains("keep 3 snapshots") && said.contains("forgotten: 2 snapshots"), "{said}");
    assert!(said.contains(&format!("{:.8}", made[1])) && said.contains("monthly snapshot"), "{said}");
    assert_eq!(listed(&scene).len(), 3);
    assert_eq!(json(&scene, &["list", "--forgotten"]).len(), 5);

    // A week is the rule; nothing is gone before.
    let pruned = json(&scene, &["prune"]).remove(0);
    assert_eq!((pruned["pruned"].as_u64(), pruned["waiting"].as_u64()), (Some(0), Some(2)), "{pruned}");
    backup(&scene, &["undelete", &made[0][..12], &made[2]]).succeeds();
    assert_eq!(listed(&scene).len(), 5);
    backup(&scene, &["undelete", &made[0]]).fails(4, &["was not forgotten"]);

    let gone = lines(&backup(&scene, &["forget", &made[0], "--prune", "--grace", "0s", "--json"]).succeeds())
        .remove(0);
    assert_eq!((gone["removed"].as_u64(), gone["pruned"]["pruned"].as_u64()), (Some(1), Some(1)), "{gone}");
    backup(&scene, &["undelete", &made[0]]).fails(4, &["no snapshot", "--forgotten"]);
    assert_eq!(json(&scene, &["list", "--latest", "2"]).len(), 2);
}

#[test]
fn nobody_forgets_everything_by_mistake() {
    let scene = scene(1);
    home(&scene);
    let made = days(&scene, &["2026-01-05"], &["--tag", "old"]);
    backup(&scene, &["forget"]).fails(2, &["no policy", "--keep-last"]);
    backup(&scene, &["forget", "--keep-daily", "0"]).fails(2, &["no policy"]);
    backup(&scene, &["forget", "--keep-tag", "new"])
        .fails(2, &["keeps no snapshot", "nothing was forgotten"]);
    backup(&scene, &["forget", "--unsafe-allow-remove-all"]).fails(2, &["every snapshot", "--host"]);
    backup(&scene, &["forget", &made[0], "--keep-last", "1"]).fails(2, &["not both"]);
    backup(&scene, &["forget", "ffffffffffff"]).fails(4, &["no snapshot", "nothing was forgotten"]);
    assert_eq!(listed(&scene).len(), 1);
    let all = ["forget", "--keep-tag", "new", "--unsafe-allow-remove-all"];
    backup(&scene, &all).arg("-n").succeeds();
    assert_eq!(listed(&scene).len(), 1);
    backup(&scene, &["forget", "--tag", "old", "--unsafe-allow-remove-all"]).succeeds();
    assert!(listed(&scene).is_empty());
    backup(&scene, &["restore", "latest", "--target", "back"]).fails(4, &["no snapshot"]);
}

#[test]
fn what_is_locked_cannot_be_forgotten() {
    let scene = scene(1);
    home(&scene);
    let locked = days(&scene, &["2026-01-05"], &["--lock", "1d"]).remove(0);
    let free = days(&scene, &["2026-01-06"], &[]).remove(0);
    backup(&scene, &["forget", &locked]).fails(2, &["locked"]);
    backup(&scene, &["forget", &free, &locked]).fails(2, &["locked"]);
    let kept = json(&scene, &["forget", "--keep-last", "1"]).remove(0);
    let group = &kept["groups"][0];
    assert_eq!(ids(&group["keep"]), [&free, &locked]);
    assert!(group["keep"][1]["reasons"][0].as_str().unwrap().starts_with("locked until "), "{kept}");
    assert_eq!(listed(&scene).len(), 2);
}

#[test]
fn a_restore_overwrites_nothing_and_takes_what_patterns_name() {
    let scene = scene(1);
    let home = home(&scene);
    fs::hard_link(scene.path("home/notes/a.txt"), scene.path("home/z.txt")).unwrap();
    backup(&scene, &["create", "home"]).succeeds();
    backup(&scene, &["restore", "latest", "--target", "home"])
        .fails(7, &["not empty", "nothing was restored"]);
    backup(&scene, &["restore", "latest:/nowhere", "--target", "back"]).fails(4, &["nowhere"]);
    backup(&scene, &["restore", "zz", "--target", "back"]).fails(2, &["zz"]);

    let part = format!("latest:{home}");
    let done =
        lines(&backup(&scene, &["restore", &part, "--target", "deep/back", "--verify", "--json"]).succeeds());
    let done = &done[0];
    assert_eq!((done["files"].as_u64(), done["skipped"].as_u64()), (Some(2), Some(0)), "{done}");
    assert_eq!((done["verified_files"].as_u64(), done["wrong_files"].as_u64()), (Some(2), Some(0)), "{done}");
    let same = |a: &Path, b: &Path| assert!(fs::read(a).unwrap() == fs::read(b).unwrap(), "{}", b.display());
    same(&scene.path("home/b.jpg"), &scene.path("deep/back/b.jpg"));
    let inode = |path: &str| fs::metadata(scene.path(path)).unwrap().ino();
    assert_eq!(inode("deep/back/notes/a.txt"), inode("deep/back/z.txt"));

    // Of a file with two names the one that is wanted.
    let flags = ["--include", "z.txt", "--include", "*.jpg", "--exclude", "b.*", "--json"];
    let some = lines(&backup(&scene, &["restore", &part, "--target", "some"]).args(flags).succeeds());
    assert_eq!(some[0]["files"].as_u64(), Some(1), "{some:?}");
    assert_eq!(fs::read(scene.path("some/z.txt")).unwrap(), b"first");
    assert!(!scene.path("some/notes").exists() && !scene.path("some/b.jpg").exists());

    let whole = backup(&scene, &["restore", "latest", "--target", "whole", "--exclude", "notes/"]).succeeds();
    assert_eq!(whole, "");
    same(&scene.path("home/b.jpg"), &scene.path("whole").join(&home[1..]).join("b.jpg"));
}

#[test]
fn a_full_disk_ends_a_restore_that_says_what_is_there() {
    let scene = scene(1);
    fs::create_dir(scene.path("home")).unwrap();
    for number in 0..8 {
        fs::write(scene.path(format!("home/{number}")), noise(1_000_000, number)).unwrap();
    }
    backup(&scene, &["create", "home"]).succeeds();
    let allowed = std::process::Command::new("unshare").args(["-rm", "true"]).status();
    if !allowed.is_ok_and(|status| status.success()) {
        eprintln!("skipped: this system does not let its users mount a file system in a namespace");
        return;
    }
    let script = "mkdir small && mount -t tmpfs -o size=4m chordage-test small && \
                  exec \"$0\" backup restore latest --target small/back";
    let full = Run::program("unshare", ["-rm", "sh", "-c", script, crate::harness::PROGRAM]);
    let full = full.dir(&scene.path("")).api(&scene.net.data_dir(0));
    full.fails(7, &["small/back", "of what was to be restored", "nothing that follows is there", "rm -r"]);
}

#[test]
fn what_changed_is_found_and_told() {
    let scene = scene(1);
    let home = home(&scene);
    let first = days(&scene, &["2026-01-05"], &[]).remove(0);
    fs::write(scene.path("home/notes/a.txt"), "second").unwrap();
    fs::write(scene.path("home/new"), "new").unwrap();
    fs::remove_file(scene.path("home/b.jpg")).unwrap();
    let second = days(&scene, &["2026-01-06"], &[]).remove(0);

    let said = backup(&scene, &["diff", &first, "latest"]).succeeds();
    let mut told: Vec<&str> = said.lines().collect();
    told.sort_unstable();
    assert_eq!(
        told,
        [format!("+  {home}/new"), format!("-  {home}/b.jpg"), format!("M  {home}/notes/a.txt")]
    );
    let last = json(&scene, &["diff", &first, &second]).pop().unwrap();
    let summary = &last["summary"];
    let counts = ["added", "removed", "content", "added_bytes", "removed_bytes"]
        .map(|field| summary[field].as_u64().unwrap());
    assert_eq!(counts, [1, 1, 1, 6 + 3, 10_000 + 5]);
    let metadata = backup(&scene, &["diff", &first, &second, "--metadata"]).succeeds();
    assert!(metadata.contains(&format!("U  {home}/\n")), "{metadata}");

    let found = json(&scene, &["find", "*.JPG", "-i"]);
    assert_eq!((found.len(), found[0]["snapshot"].as_str()), (1, Some(&*first)), "{found:?}");
    assert!(backup(&scene, &["find", "*.JPG"]).succeeds().is_empty());
    let path = format!("{home}/n*");
    let both = json(&scene, &["find", &path, "--snapshot", "latest"]);
    assert_eq!(both.len(), 2, "{both:?}");
    let long = backup(&scene, &["ls", &format!("latest:{home}/notes"), "-l"]).succeeds();
    assert!(long.starts_with("-rw") && long.trim_end().ends_with(&format!("{home}/notes/a.txt")), "{long}");

    let whole = json(&scene, &["verify", "--read-data"]).remove(0);
    let counts = ["snapshots", "damaged", "missing"].map(|field| whole[field].as_u64().unwrap());
    assert_eq!(counts, [2, 0, 0]);
    assert!(backup(&scene, &["verify", &first[..10]]).succeeds().starts_with("whole: "));
}
