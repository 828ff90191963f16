//! Names that others chose, and what is said of them.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::Value;

use crate::harness::{Run, Scene};

#[test]
fn names_are_shown_in_one_way_and_come_raw_when_asked_for() {
    let scene = Scene::with_daemons(1);
    let dir = scene.path("tree");
    fs::create_dir(&dir).unwrap();
    let names: [&[u8]; 4] = [b"a\nb", br"a\nb", b"caf\xe9", "exe\u{202e}txt".as_bytes()];
    names.iter().for_each(|name| fs::write(dir.join(OsStr::from_bytes(name)), "x").unwrap());
    symlink(OsStr::from_bytes(b"to\xff"), dir.join("link")).unwrap();
    let link = scene.put(&dir);

    let listed = scene.run(["ls", &link]).succeeds();
    let lines: Vec<&str> = listed.lines().collect();
    assert_eq!(lines, [r"a\nb", r"a\\nb", r"caf\xE9", r"exe\u{202e}txt", "link"]);
    let long = scene.run(["ls", "--long", &link]).succeeds();
    assert!(long.lines().all(|line| line.contains(" UTC  ")) && long.contains(r"link -> to\xFF"), "{long}");
    let raw = scene.run(["ls", "-0", &link]).output().stdout;
    let raw: Vec<&[u8]> = raw.strip_suffix(b"\0").unwrap().split(|byte| *byte == 0).collect();
    assert_eq!(raw, [names[0], names[1], names[2], names[3], b"link"]);

    let json = scene.run(["ls", "--json", &link]).succeeds();
    let entries: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&entries[4]["target"], &entries[4]["target_hex"]), (&"to\u{fffd}".into(), &"746fff".into()));
    let modified = fs::metadata(dir.join(r"a\nb")).unwrap().modified().unwrap();
    let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(entries[1]["mtime_nanos"], modified.subsec_nanos());
    assert_eq!(entries[1]["target_hex"], Value::Null);
}

#[test]
fn a_wrong_command_line_is_one_line_and_its_usage_as_json() {
    let error = |args: &[&str]| -> Value {
        let stderr = Run::new(args).fails(2, &[]);
        serde_json::from_str(&stderr).unwrap()
    };
    for (args, message, usage) in [
        (&["--json"][..], "a command is missing", "Usage: chordage"),
        (&["testnet", "--json"], "a command is missing", "Usage: chordage testnet"),
        (
            &["put", "--json"],
            "the following required arguments were not provided: <PATH>",
            "Usage: chordage put",
        ),
        (
            &["stat", "x", "--frobnicate", "--json"],
            "unexpected argument '--frobnicate' found",
            "Usage: chordage stat",
        ),
    ] {
        let error = error(args);
        assert_eq!((&error["message"], &error["code"]), (&message.into(), &"usage".into()), "{error}");
        let hint = error["hint"].as_str().unwrap();
        assert!(hint.starts_with(usage) && !hint.contains('\n'), "{error}");
    }
}

#[test]
fn pages_are_written_for_commands_and_none_for_help() {
    let dir = tempfile::tempdir().unwrap();
    Run::new(["man", "--out"]).arg(dir.path()).succeeds();
    let pages: Vec<String> = fs::read_dir(dir.path())
        .unwrap()
        .map(|page| page.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(pages.iter().any(|page| page == "chordage-testnet-up.1"), "{pages:?}");
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
}
