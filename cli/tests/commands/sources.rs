//! Files and directories that somebody changes while they are put.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Output;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use rustix::fs::{CWD, Mode, OFlags, RenameFlags};

use crate::harness::{Run, Scene, eventually, noise};

/// Larger than what is held in memory, so that its beginning is sent before its end is read.
const STREAMED: usize = 5 << 20;
/// Held in memory.
const HELD: usize = 2 << 20;

/// Sets the flag when it goes, so that a test that fails does not wait for its writer for ever.
struct Until<'a>(&'a AtomicBool);

impl Drop for Until<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    (rng.next_u64() % bound as u64) as usize
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout).trim().to_owned(), text(&output.stderr))
}

/// Overwrites a file in place `writes` times, with one state after the other, and runs `act` when `before` are done.
fn while_written<T>(
    path: &Path,
    states: &[Vec<u8>],
    before: usize,
    writes: usize,
    act: impl FnOnce() -> T,
) -> T {
    let file = File::options().write(true).open(path).unwrap();
    let done = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..writes {
                file.write_all_at(&states[number % states.len()], 0).unwrap();
                done.store(number + 1, Ordering::Release);
            }
        });
        eventually("the first writes", || done.load(Ordering::Acquire) >= before);
        act()
    })
}

#[test]
fn a_file_that_is_written_to_is_stored_as_one_state_or_refused() {
    let seed = std::env::var("CHORDAGE_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(7);
    println!("CHORDAGE_TEST_SEED={seed}");
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let scene = Scene::with_daemons(1);
    fs::create_dir(scene.path("tree")).unwrap();
    fs::write(scene.path("tree/a"), "before").unwrap();
    fs::write(scene.path("tree/z"), "after").unwrap();
    let mut stored = 0;
    for size in [STREAMED, HELD] {
        let states: Vec<Vec<u8>> = (0..4).map(|state| noise(size, state)).collect();
        let path = scene.file("tree/file", &states[0]);
        for round in 0..50 {
            let before = below(&mut rng, 30);
            let writes = before + below(&mut rng, 60);
            let source = if round % 2 == 0 { "tree/file" } else { "tree" };
            let put = || scene.run(["put", "--quiet", source]).output();
            let output = while_written(&path, &states, before, writes, put);
            let (link, stderr) = texts(&output);
            if output.status.code() == Some(7) {
                assert!(stderr.contains("tree/file\" changes while it is read"), "{stderr}");
                continue;
            }
            assert!(output.status.success(), "{stderr}");
            let inside: &[&str] = if source == "tree" { &["--path", "file"] } else { &[] };
            let content = scene.run(["cat", &link]).args(inside).output().stdout;
            assert!(states.contains(&content), "round {round}: a mix of states of {size} bytes is stored");
            stored += 1;
        }
    }
    assert!(stored > 0, "no put ever found the file at rest");
}

#[test]
fn nothing_outside_the_tree_is_stored_whatever_is_exchanged_for_a_symlink() {
    let scene = Scene::with_daemons(1);
    for dir in ["outside", "tree", "tree/dir"] {
        fs::create_dir(scene.path(dir)).unwrap();
    }
    for name in 0..40 {
        fs::write(scene.path(format!("outside/{name}")), "outside").unwrap();
        fs::write(scene.path(format!("tree/dir/{name}")), "inside").unwrap();
    }
    symlink(scene.path("outside"), scene.path("other")).unwrap();
    let (dir, other) = (scene.path("tree/dir"), scene.path("other"));
    let stop = AtomicBool::new(false);
    let outputs: Vec<Output> = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                rustix::fs::renameat_with(CWD, &dir, CWD, &other, RenameFlags::EXCHANGE).unwrap();
            }
        });
        let put = |_| scene.run(["put", "--quiet", "--reread", "tree"]).output();
        let _until = Until(&stop);
        (0..100).map(put).collect()
    });
    for output in outputs {
        let (link, stderr) = texts(&output);
        if output.status.code() == Some(7) {
            assert!(stderr.contains("became something else"), "{stderr}");
            continue;
        }
        assert!(output.status.success(), "{stderr}");
        for name in ["0", "39"] {
            let content = scene.run(["cat", &link, "--path", &format!("dir/{name}")]).output().stdout;
            assert_ne!(content, b"outside", "a file from outside the tree is stored");
        }
    }
}

#[test]
fn a_pipe_is_refused_at_once_unless_it_is_open_already() {
    let scene = Scene::with_daemons(1);
    let pipe = scene.path("pipe");
    rustix::fs::mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU, 0).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(scene.path("socket")).unwrap();
    scene.run(["put", "pipe"]).fails(7, &["a named pipe", "nothing was stored", "chordage put - < pipe"]);
    scene.run(["put", "socket"]).fails(7, &["a socket", "nothing was stored"]);
    scene.run(["put", "/dev/zero"]).fails(7, &["a device", "chordage put - < /dev/zero"]);
    scene.run(["put", "--quiet", "/dev/fd/0"]).stdin(b"from a pipe").succeeds();
}

#[test]
fn what_patterns_name_and_what_cannot_be_read_is_left_out_if_the_user_wants_it() {
    let scene = Scene::with_daemons(1);
    let tree = scene.path("tree");
    for dir in ["src/deep", "build", "closed"] {
        fs::create_dir_all(tree.join(dir)).unwrap();
    }
    for file in ["src/a.c", "src/a.o", "src/deep/b.o", "src/keep.o", "build/x", "secret", "closed/inside"] {
        fs::write(tree.join(file), file).unwrap();
    }
    let close =
        |name: &str, mode| fs::set_permissions(tree.join(name), Permissions::from_mode(mode)).unwrap();
    close("secret", 0);
    close("closed", 0);
    let patterns = scene.file("patterns", b"# what is made\n*.o\n!keep.o\n");
    let put = |more: &[&str]| {
        let mut args = ["put", "--json", "--redundancy", "1/1"].map(OsStr::new).to_vec();
        args.push(tree.as_os_str());
        args.extend(more.iter().map(OsStr::new));
        Run::bound_by_modes(&args).api(&scene.net.data_dir(0)).output()
    };

    let (_, refused) = texts(&put(&[]));
    assert!(refused.contains("closed") && refused.contains("--skip-unreadable"), "{refused}");
    let patterns = patterns.to_str().unwrap();
    let output = put(&["--exclude", "/build", "--exclude-from", patterns, "--skip-unreadable"]);
    let (report, said) = texts(&output);
    assert_eq!(output.status.code(), Some(10), "{said}");
    let report: serde_json::Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["excluded"], &report["unreadable"]), (&3.into(), &2.into()), "{report}");
    let named = report["unreadable_paths"].as_array().unwrap();
    assert_eq!(
        named,
        &["closed", "secret"].map(|name| tree.join(name).to_str().unwrap().to_owned()),
        "{report}"
    );

    // Nothing that has to be left out: an ordinary success.
    let output = put(&["--exclude", "secret", "--exclude", "closed/", "--skip-unreadable"]);
    assert_eq!(output.status.code(), Some(0), "{}", texts(&output).1);

    let link = report["link"].as_str().unwrap();
    let copy = scene.path("copy");
    scene.run(["get", link, "-o"]).arg(&copy).succeeds();
    let there = |name: &str| copy.join(name).exists();
    assert!(there("src/a.c") && there("src/keep.o") && there("src/deep"));
    for left_out in ["src/a.o", "src/deep/b.o", "build", "secret", "closed"] {
        assert!(!there(left_out), "{left_out}");
    }
    close("closed", 0o700);
    scene.run(["put", "--exclude", "a["]).arg(&tree).fails(2, &["a[", ".gitignore", "nothing was stored"]);
    scene.run(["put", "--exclude-from", "absent"]).arg(&tree).fails(7, &["absent"]);
}

#[test]
fn a_path_that_no_archive_can_hold_is_left_out_if_the_user_wants_it() {
    let scene = Scene::with_daemons(1);
    let tree = scene.path("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("file"), "content").unwrap();
    let part = "d".repeat(200);
    // Deeper than a path may be long, step by step.
    let mut dir = rustix::fs::open(&tree, OFlags::DIRECTORY, Mode::empty()).unwrap();
    for _ in 0..25 {
        rustix::fs::mkdirat(&dir, &part, Mode::RWXU).unwrap();
        dir = rustix::fs::openat(&dir, &part, OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    scene.run(["put"]).arg(&tree).fails(7, &["too long", "--exclude"]);
    let output = scene.run(["put", "--json", "--redundancy", "1/1", "--skip-unreadable"]).arg(&tree).output();
    assert_eq!(output.status.code(), Some(10), "{}", texts(&output).1);
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["unreadable"], &report["files"]), (&1.into(), &1.into()), "{report}");
}
