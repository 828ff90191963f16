//! What put reads, and what it makes of an input that is none.

use crate::harness::{Run, Scene, noise};

#[test]
fn an_input_that_cannot_be_read_is_not_an_empty_one() {
    let scene = Scene::with_daemons(1);
    for (input, why) in [("<&-", "closed"), ("</", "directory"), ("0>file", "writing only")] {
        let words = ["standard input", why, "stored"];
        scene.shell(&format!("exec \"$0\" put - {input}")).fails(7, &words);
    }
    scene.shell("exec \"$0\" get - -o out <&-").fails(7, &["standard input", "closed"]);
    for empty in ["</dev/null", "<file"] {
        scene.file("file", b"");
        let link = scene.shell(&format!("exec \"$0\" put --quiet - {empty}")).succeeds();
        assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "", "{empty}");
    }
    let link = scene.shell("printf '' | \"$0\" put --quiet -").succeeds();
    assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "");
    let kept = scene.run(["keeps", "--json"]).succeeds();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&kept).unwrap().as_array().unwrap().len(), 1);
}

#[test]
fn what_a_command_writes_is_stored_if_it_succeeds() {
    let scene = Scene::with_daemons(1);
    let content = noise(3_000_000, 41);
    scene.file("file", &content);
    let put = ["put", "--quiet", "--stdin-from-command"];
    let link = scene.run(put).args(["cat", "file"]).succeeds();
    assert!(scene.run(["cat", link.trim()]).output().stdout == content);
    let link = scene.run(put).args(["--", "sh", "-c", "echo \"$@\"", "sh", "--json", "-x"]).succeeds();
    assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "--json -x\n");
    let link = scene.run(put).args(["cat"]).stdin(b"input").succeeds();
    assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "input");
    let kept = scene.run(["keeps", "--json"]).succeeds();

    let fails = |script: &str, words: &[&str]| {
        scene.run(put).args(["sh", "-c", script]).fails(7, &[&["\"sh\"", "not stored"], words].concat());
    };
    fails("head -c 1000000 file; exit 3", &["exit status: 3"]);
    fails("exit 1", &["exit status: 1"]);
    fails("exec >&-; kill -9 $$", &["signal: 9"]);
    scene
        .run(put)
        .arg("./no-such-command")
        .fails(7, &["no-such-command", "No such file", "nothing was stored"]);
    scene.run(["put", "--stdin-from-command"]).fails(2, &["CMD"]);
    scene.run(["put", "file", "--stdin-from-command", "true"]).fails(2, &["cannot be used with"]);
    assert_eq!(scene.run(["keeps", "--json"]).succeeds(), kept, "nothing else is kept");
}

#[test]
fn a_link_that_cannot_be_printed_is_not_lost() {
    let scene = Scene::with_daemons(1);
    scene.file("file", b"content");
    for script in ["exec \"$0\" put --quiet file > /dev/full", "exec \"$0\" put --json file > /dev/full"] {
        let stderr = scene.shell(script).fails(7, &["stored and kept", "chord1r", "No space left"]);
        let link = stderr.split(['"', ' ', '\n', ';']).find(|word| word.starts_with("chord1r")).unwrap();
        assert_eq!(scene.run(["cat", link]).succeeds(), "content");
    }
    let mut child = scene.run(["put", "file"]).start();
    drop(child.stdout.take());
    let output = crate::harness::end_of(child, "put into a closed pipe");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(7) && stderr.contains("its link is chord1r"), "{stderr}");
}

#[test]
fn what_is_suggested_works() {
    let scene = Scene::with_daemons(1);
    scene.file("-dashf", b"content");
    for name in ["-dashf", "./-dashf"] {
        let output = scene.run(["put", "--", name]).output();
        let story = String::from_utf8(output.stderr).unwrap();
        let line = story.lines().find_map(|line| line.trim().strip_prefix("chordage get ")).unwrap();
        scene.shell(&format!("exec \"$0\" get {line}")).succeeds();
        assert_eq!(std::fs::read(scene.path("-dashf.copy")).unwrap(), b"content");
        std::fs::remove_file(scene.path("-dashf.copy")).unwrap();
    }
}

#[test]
fn a_file_that_is_missing_is_exit_code_7() {
    // No daemon runs: the file is missed first.
    let missing = ["No such file", "absent"];
    Run::new(["put", "absent"]).fails(7, &missing);
    Run::new(["sim", "run", "absent"]).fails(7, &missing);
    Run::new(["sim", "lookups", "--nodes", "10", "--latency", "absent"]).fails(7, &missing);
    Run::new(["daemon", "--config", "absent"]).fails(7, &missing);
    Run::new(["demo", "absent"]).fails(7, &missing);
    let scene = Scene::with_daemons(1);
    scene.run(["status", "--api-token-file", "absent"]).fails(7, &missing);
}
