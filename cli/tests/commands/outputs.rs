//! What commands write to, and what they leave alone.

use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::process::Signal;

use crate::harness::{PATIENCE, Run, Scene, end_of, eventually, noise, signal};

#[test]
fn a_get_replaces_files_and_nothing_that_is_more() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", b"new"));
    let pipe = scene.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
        .unwrap();
    symlink("/dev/null", scene.path("null")).unwrap();
    for (name, what) in [("pipe", "a named pipe"), ("null", "a device")] {
        for force in [&["--force"][..], &[]] {
            let words = [what, "was not touched", "nothing was fetched", &format!("-o - > {name}")];
            scene.run(["get", &link, "-o", name]).args(force).fails(7, &words);
        }
    }
    let victim = scene.file("victim", b"mine");
    symlink(&victim, scene.path("link")).unwrap();
    scene.run(["get", &link, "-f", "-o", "link"]).succeeds();
    assert_eq!(fs::read(&victim).unwrap(), b"mine");
    assert!(fs::symlink_metadata(scene.path("link")).unwrap().is_file(), "the link itself is replaced");
    assert_eq!(scene.names(), ["file", "link", "null", "pipe", "victim"]);
}

#[test]
fn what_cannot_work_is_refused_before_anything_is_fetched() {
    let scene = Scene::with_daemons(1);
    let content = noise(300_000, 31);
    let link = scene.put(&scene.file("file", &content));
    fs::create_dir(scene.path("dir")).unwrap();
    scene.file("dir/inside", &content);
    let tree = scene.put(&scene.path("dir"));
    let fetched = || scene.block_on(scene.net.status(0)).unwrap().transfers.reads.shard_bytes;
    let words = ["is a file", "nothing was fetched", "-o absent\n"];
    let before = fetched();
    scene.run(["get", &link, "-o", "absent/"]).fails(7, &words);
    scene.run(["get", &tree, "--path", "inside", "-o", "absent/"]).fails(7, &words);
    scene.run(["get", &link, "-o", "file/below"]).fails(7, &["Not a directory", "nothing was fetched"]);
    scene.run(["get", &link, "-o", &"n".repeat(256)]).fails(7, &["too long", "nothing was fetched"]);
    scene.run(["get", &link, "-o", "/sys/out"]).fails(7, &["/sys", "nothing was fetched"]);
    assert!(fetched() - before < 100_000, "{before} and {}", fetched());
    assert_eq!(scene.names(), ["dir", "file"]);
    // For a directory the slash is right.
    scene.run(["get", &tree, "-o", "absent/"]).succeeds();
    assert!(fs::read(scene.path("absent/inside")).unwrap() == content);
}

#[test]
fn only_the_owner_reads_what_is_not_whole_and_everybody_what_is() {
    let scene = Scene::with_daemons(1);
    let (link, out) = (scene.put(&scene.file("file", &noise(30_000_000, 32))), scene.path("out"));
    let child = scene.run(["get", &link, "-o", "out"]).start();
    eventually("the get has begun to write", || part(&scene).is_some() || out.exists());
    scene.net.freeze(0).unwrap();
    let begun = part(&scene).map(|part| mode(&scene.path(part)));
    scene.net.thaw(0).unwrap();
    assert!(end_of(child, "get").status.success());
    assert!(begun.is_none_or(|mode| mode == 0o600), "{begun:?}");
    // Whatever the mask of whoever runs the tests: as any new file.
    assert_eq!(mode(&out), mode(&scene.path("file")));
}

#[test]
fn what_an_earlier_get_left_outlives_one_that_finds_no_daemon() {
    let mut scene = Scene::with_daemons(1);
    let content = noise(60_000_000, 33);
    let link = scene.put(&scene.file("file", &content));
    let mut attempts = 0;
    let left = loop {
        let child = scene.run(["get", &link, "-f", "-o", "out"]).start();
        let enough = || {
            part(&scene)
                .is_some_and(|part| fs::metadata(scene.path(part)).is_ok_and(|it| it.len() > 20_000_000))
        };
        eventually("the get has written enough", || {
            enough() || part(&scene).is_none() && scene.path("out").exists()
        });
        scene.net.freeze(0).unwrap();
        // Two at a time do not get in each other's way.
        if part(&scene).is_some() {
            let other = ["get", &link, "-f", "-o", "out"];
            scene.run(other).fails(7, &["another get is writing to \"out\"", "nothing was fetched"]);
        }
        signal(&child, Signal::INT);
        let output = end_of(child, "an interrupted get");
        scene.net.thaw(0).unwrap();
        if let Some(part) = part(&scene) {
            let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                stderr.contains(&part) && stderr.contains("the same command goes on from there"),
                "{stderr}"
            );
            break part;
        }
        attempts += 1;
        assert!(attempts < 20, "all gets were done before they could be interrupted");
    };
    scene.net.kill(&[0]).unwrap();
    let words = ["no daemon", &left, "the same command goes on from there"];
    scene.run(["get", &link, "-f", "-o", "out"]).fails(3, &words);
    scene.restart(&[0]);
    scene.block_on(scene.net.wait_settled(PATIENCE)).unwrap();
    let report = scene.run(["get", "--json", &link, "-f", "-o", "out"]).succeeds();
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert!(report["resumed_bytes"].as_u64().unwrap() >= 16_000_000, "{report}");
    assert!(fs::read(scene.path("out")).unwrap() == content);
    assert_eq!(part(&scene), None);
}

#[test]
fn runs_of_zeros_take_no_room() {
    let scene = Scene::with_daemons(1);
    fs::create_dir(scene.path("tree")).unwrap();
    let sparse = scene.path("tree/sparse");
    let file = fs::File::create(&sparse).unwrap();
    file.write_all_at(&noise(1000, 1), 10_000_000).unwrap();
    file.set_len(30_000_000).unwrap();
    for (source, name) in [("tree", "out/sparse"), ("tree/sparse", "out")] {
        let link = scene.put(&scene.path(source));
        scene.run(["get", "--quiet", &link, "-o", "out"]).succeeds();
        let got = scene.path(name);
        assert!(fs::read(&got).unwrap() == fs::read(&sparse).unwrap(), "{name}");
        let on_disk = fs::metadata(&got).unwrap().blocks() * 512;
        assert!(on_disk <= 256 << 10, "{name} takes {on_disk} bytes");
        Run::program("rm", ["-r", "out"]).dir(&scene.path(".")).succeeds();
    }
}

#[test]
fn a_long_run_looks_first_where_it_is_to_write() {
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("../sim/scenarios");
    let any = fs::read_dir(scenario).unwrap().next().unwrap().unwrap().path();
    let before = std::time::Instant::now();
    Run::new(["sim", "run"]).arg(any).args(["--plots", "/dev/null/plots"]).fails(7, &["/dev/null/plots"]);
    Run::new(["sim", "lookups", "--nodes", "1000000", "--plots", "/dev/null/plots"])
        .fails(7, &["/dev/null/plots", "nothing was simulated"]);
    assert!(before.elapsed().as_secs() < 5);
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The name of what a get has begun.
fn part(scene: &Scene) -> Option<String> {
    scene.names().into_iter().find(|name| name.ends_with(".part"))
}
