//! What a put does not store: the data directories of daemons, with their keys.

use std::fs;
use std::path::Path;

use crate::harness::Scene;
use crate::upgrade::{FIXTURE, copy};

#[test]
fn a_put_leaves_out_data_directories_and_refuses_to_start_in_one() {
    let scene = Scene::with_daemons(1);
    let home = scene.path("home");
    let other = home.join(".local/share/chordage");
    copy(Path::new(FIXTURE), &other);
    fs::write(home.join("notes.txt"), "notes").unwrap();
    // What is called the same is not the same.
    fs::create_dir(home.join("mine")).unwrap();
    for name in ["key", "secret", "format", "lock"] {
        fs::write(home.join("mine").join(name), "mine").unwrap();
    }

    let put = |args: &[&str], path: &Path| {
        let output = scene.run(["put", "--allow-degraded"]).args(args).arg(path).output();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{stderr}");
        (String::from_utf8(output.stdout).unwrap(), stderr)
    };
    let (link, told) = put(&["--quiet"], &home);
    assert!(
        told.contains("left out") && told.contains("share/chordage") && told.contains("data directory"),
        "{told}"
    );
    let listed = scene.run(["ls", "--recursive", link.trim()]).succeeds();
    for (name, there) in
        [("notes.txt", true), ("mine/key", true), ("share/chordage", false), ("catalog", false)]
    {
        assert_eq!(listed.contains(name), there, "{name}: {listed}");
    }
    let (_, told) = put(&["--json"], &home);
    let warning: serde_json::Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert!(warning["warning"].as_str().unwrap().contains("share/chordage"), "{told}");

    // Those of daemons that run, too.
    let (link, told) = put(&["--quiet"], &scene.path(""));
    assert_eq!(told.matches("data directory").count(), 2, "{told}");
    assert!(!scene.run(["ls", "--recursive", link.trim()]).succeeds().contains("nodes/00"));

    std::os::unix::fs::symlink(&other, scene.path("shortcut")).unwrap();
    let inside = [other.clone(), other.join("key"), other.join("shards"), scene.path("shortcut/catalog")];
    for path in inside.into_iter().chain([scene.net.data_dir(0)]) {
        scene.run(["put"]).arg(path).fails(7, &["data directory", "nothing was stored", "hint"]);
    }
}
