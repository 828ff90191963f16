//! Ctrl-C, and worse, in the middle.

use std::io::Write;

use rustix::process::Signal;

use crate::harness::{Scene, end_of, eventually, noise, signal, was_interrupted};

#[test]
fn an_interrupted_put_says_that_nothing_is_stored() {
    let scene = Scene::with_daemons(1);
    let mut child = scene.run(["put", "-"]).start();
    let mut stdin = child.stdin.take().unwrap();
    // More than the pipe and the buffers on the way hold, so the put is well under way; and no end of input.
    stdin.write_all(&noise(8_000_000, 5)).unwrap();
    signal(&child, Signal::INT);
    let output = end_of(child, "an interrupted put");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(was_interrupted(&output) && stderr.contains("not stored"), "{}: {stderr}", output.status);
    assert!(output.stdout.is_empty(), "a link was printed");
}

#[test]
fn an_interrupted_get_says_where_the_next_one_goes_on_and_leaves_nothing_else() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", &noise(30_000_000, 6)));
    let child = scene.run(["get", &link, "-o", "out"]).start();
    eventually("the get has begun to write", || begun(&scene));
    // With the daemon standing still the get stays in the middle, unless it was quicker.
    scene.net.freeze(0).unwrap();
    signal(&child, Signal::INT);
    let output = end_of(child, "an interrupted get");
    scene.net.thaw(0).unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    if was_interrupted(&output) {
        assert!(stderr.contains("nothing was written to \"out\""), "{stderr}");
        let kept: Vec<_> = scene.names().into_iter().filter(|name| name != "file").collect();
        if stderr.contains("goes on from there") {
            assert!(
                kept.len() == 2 && kept[0].ends_with(".journal") && kept[1].ends_with(".part"),
                "{kept:?}"
            );
        } else {
            assert!(kept.is_empty(), "so little is not worth it: {kept:?}");
        }
    } else {
        assert!(output.status.success(), "{}: {stderr}", output.status);
        assert_eq!(scene.names(), ["file", "out"]);
    }
}

#[test]
fn a_killed_get_leaves_nothing_that_looks_whole() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", &noise(30_000_000, 7)));
    let child = scene.run(["get", &link, "-o", "out"]).start();
    eventually("the get has begun to write", || begun(&scene));
    // With the daemon standing still the get stays in the middle, unless it was quicker.
    scene.net.freeze(0).unwrap();
    signal(&child, Signal::KILL);
    end_of(child, "a killed get");
    scene.net.thaw(0).unwrap();
    if scene.path("out").exists() {
        assert_eq!(std::fs::metadata(scene.path("out")).unwrap().len(), 30_000_000);
    }
}

#[test]
fn a_daemon_that_dies_in_the_middle_is_reported_as_such() {
    let mut scene = Scene::with_daemons(1);
    let mut child = scene.run(["put", "-"]).start();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&noise(8_000_000, 8)).unwrap();
    scene.net.kill(&[0]).unwrap();
    let output = end_of(child, "a put whose daemon died");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(stderr.contains("connection") && stderr.contains("not stored"), "{stderr}");
    drop(stdin);
}

fn begun(scene: &Scene) -> bool {
    scene.path("out").exists() || scene.names().iter().any(|name| name.ends_with(".part"))
}
