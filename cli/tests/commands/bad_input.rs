//! What people get wrong, and what they are told.

use std::os::unix::fs::PermissionsExt;

use crate::harness::{Run, Scene, nobody_home};

/// A link with a valid checksum to an object that nobody has.
const UNKNOWN_LINK: &str = "chord1rkdujv7kqhge5gxubbk7sobqsg6uzhf465cetgpt4aqfpxz5i3ykoodogitponppep66lyhwilo6vjuld6x2yqi44qgpjgk457mi3tmaqirc4g";

#[test]
fn without_a_daemon_the_command_that_starts_one_is_named() {
    let home = nobody_home().join(".local/share/chordage");
    let start = format!("chordage daemon --data-dir {}", home.display());
    Run::new(["status"]).fails(3, &["error: ", "no daemon is running", "nothing was asked", &start]);
    Run::new(["put", "/etc/hostname"]).fails(3, &["no daemon is running", &start]);
    Run::new(["get", UNKNOWN_LINK]).fails(3, &["no daemon is running", &start]);
    Run::new(["peers", "--api", "unix:/nowhere/api.sock"])
        .fails(3, &["no daemon answers", "chordage daemon"]);
    Run::new(["peers", "--api", "/nowhere"]).fails(3, &["/nowhere", "--api"]);
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    Run::new(["frobnicate"]).fails(2, &["frobnicate"]);
    Run::new(["put"]).fails(2, &["PATH"]);
    Run::new(["put", "--redundancy", "6/4", "x"]).fails(2, &["6/4"]);
    Run::new(["cat", UNKNOWN_LINK, "--range", "9-3"]).fails(2, &["before its start"]);
    Run::new(["cat", UNKNOWN_LINK, "--range", "few"]).fails(2, &["A-B"]);
    Run::new(["status", "--api", "http://192.0.2.1:80"]).fails(2, &["loopback"]);
    let stderr = Run::new(["put", "--json"]).fails(2, &[]);
    let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
    assert_eq!((&error["code"], &error["exit_code"]), (&"usage".into(), &2.into()));
}

#[test]
fn every_way_to_damage_a_link_is_told_from_the_others() {
    // No daemon runs: a damaged link is found before anybody is asked.
    let get = |link: &str, code: &str, words: &[&str]| {
        Run::new(["get", link]).fails(5, words);
        let stderr = Run::new(["get", "--json", link]).fails(5, &[]);
        let error: serde_json::Value = serde_json::from_str(&stderr).unwrap();
        assert_eq!(error["code"], code, "{link}");
    };
    get("hello", "not_a_link", &["not a link"]);
    get(&UNKNOWN_LINK[..90], "link_length", &["90 characters instead of 116", "end is missing"]);
    get(&format!("{UNKNOWN_LINK}abc"), "link_length", &["stuck to its end"]);
    get(&UNKNOWN_LINK.replace("uzhf", "uzh8"), "link_character", &["'8'"]);
    get(&UNKNOWN_LINK.replace("uzhf", "uzfh"), "link_checksum", &["mistyped", "checksum"]);
    get(&UNKNOWN_LINK.replace("chord1r", "chord2r"), "link_version", &["newer version"]);
    let verify = "chord1vkdujv7kqhge5gxubbk7sobqsg6uzhf465cetgpt4aqfpxz5i3ykaljnohm";
    get(verify, "not_readable", &["verify link", "read link"]);
}

#[test]
fn paths_that_cannot_be_stored_are_named() {
    let scene = Scene::with_daemons(1);
    scene.run(["put", "missing"]).fails(7, &["\"missing\"", "No such file", "nothing was stored"]);
    scene.run(["put", "/dev/null"]).fails(7, &["/dev/null", "neither a file nor a directory"]);

    let dir = scene.path("dir");
    std::fs::create_dir(&dir).unwrap();
    let secret = dir.join("secret");
    std::fs::write(&secret, "s").unwrap();
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&secret).is_ok() {
        // Permissions do not stop root, but reading the first byte of an address space stops everybody.
        scene
            .run(["put", "/proc/self/mem"])
            .fails(7, &["/proc/self/mem", "Input/output error", "not stored"]);
    } else {
        scene.run(["put", "dir"]).fails(7, &["secret", "Permission denied", "not stored"]);
    }
}

#[test]
fn what_is_in_the_way_stays_as_it_is() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", b"new"));
    let taken = scene.file("taken", b"precious");
    scene.run(["get", &link, "-o", "taken"]).fails(7, &["\"taken\" exists", "--force"]);
    assert_eq!(std::fs::read(&taken).unwrap(), b"precious");
    scene.run(["get", &link, "-o", "taken", "--force"]).succeeds();
    assert_eq!(std::fs::read(&taken).unwrap(), b"new");

    std::fs::create_dir(scene.path("full")).unwrap();
    scene.file("full/precious", b"");
    scene.run(["get", &link, "-o", "full", "--force"]).fails(7, &["not empty"]);
    scene.run(["get", &link, "-o", "no/such/dir"]).fails(7, &["No such file", "mkdir -p no/such"]);
    scene.run(["get", &link, "-o", ".."]).fails(2, &["name"]);
    assert_eq!(scene.names(), ["file", "full", "taken"]);
}

#[test]
fn what_is_not_there_is_said_to_be_not_there() {
    let scene = Scene::with_daemons(1);
    let started = std::time::Instant::now();
    let stderr = scene.run(["get", UNKNOWN_LINK, "-o", "out"]).fails(4, &["too few shards"]);
    assert!(started.elapsed().as_secs() < 20, "{stderr}");
    std::fs::create_dir(scene.path("dir")).unwrap();
    scene.file("dir/a", b"abc");
    let tree = scene.put(&scene.path("dir"));
    scene.run(["cat", &tree]).fails(4, &["directory", "--path"]);
    scene.run(["cat", &tree, "--path", "b"]).fails(4, &["\"b\"", "chordage ls"]);
    scene.run(["cat", &tree, "--path", "../a"]).fails(2, &["`..`"]);
    scene.run(["cat", &tree, "--path", "a", "--range", "3-"]).fails(2, &["outside", "3 bytes"]);
    scene.run(["get", &tree, "--path", "b", "-o", "out"]).fails(4, &["\"b\""]);
    scene.run(["ls", &tree, "b"]).fails(4, &["\"b\""]);
    scene.run(["trace", "zz"]).fails(2, &["64 hexadecimal digits"]);
    assert_eq!(scene.names(), ["dir"]);
}

#[test]
fn too_few_daemons_are_said_to_be_too_few() {
    let scene = Scene::with_daemons(1);
    scene.file("file", b"content");
    scene
        .run(["put", "--redundancy", "2/3", "file"])
        .fails(6, &["3 live nodes", "has 1", "nothing was stored", "--allow-degraded"]);
    let output = scene.run(["put", "--redundancy", "2/3", "--allow-degraded", "file"]).output();
    assert!(output.status.success() && String::from_utf8_lossy(&output.stderr).contains("warning: "));
}
