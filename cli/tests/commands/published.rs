//! Names that are published in the network, and found by others.

use serde_json::Value;

use crate::harness::{Run, Scene};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Asks another daemon than the scene's first one.
fn ask(scene: &Scene, node: usize, args: &[&str]) -> Run {
    Run::new(args).api(&scene.net.data_dir(node))
}

fn create(scene: &Scene, node: usize, petname: &str) -> String {
    ask(scene, node, &["name", "create", petname]).succeeds().trim().to_owned()
}

#[test]
fn a_name_is_found_from_everywhere_and_changes_for_everybody() {
    let scene = Scene::with_daemons(5);
    let key = create(&scene, 0, "team");
    let report = json(&scene.run(["name", "publish", "team/notes", "first", "--json"]).succeeds());
    assert_eq!((&report["seq"], &report["of"], &report["state"]), (&1.into(), &5.into(), &"stored".into()));
    assert!(report["stored"].as_u64().unwrap() >= 3, "{report}");
    for node in 0..5 {
        assert_eq!(ask(&scene, node, &["name", "resolve", &format!("{key}/notes")]).succeeds(), "first\n");
    }
    scene.run(["name", "publish", "team/notes", "second"]).succeeds();
    scene.run(["name", "publish", "team", "the name itself"]).succeeds();
    for node in 0..5 {
        let found = json(&ask(&scene, node, &["name", "resolve", "--json", &key]).succeeds());
        let told = (&found["target"], &found["kind"], &found["stale"]);
        assert_eq!(told, (&"the name itself".into(), &"text".into(), &false.into()), "{found}");
        let notes = format!("{key}/notes");
        let found = ask(&scene, node, &["name", "resolve", "--json", "--consistency", "quorum", &notes]);
        let found = json(&found.succeeds());
        assert_eq!((&found["target"], &found["seq"]), (&"second".into(), &3.into()), "{found}");
        assert_eq!(found["steps"][0]["key"], key.as_str());
    }
    let history = json(&scene.run(["name", "history", "team", "--json"]).succeeds());
    let seqs: Vec<_> =
        history.as_array().unwrap().iter().map(|version| version["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, [3, 2, 1]);
    let listed = json(&scene.run(["name", "list", "--json"]).succeeds());
    assert_eq!(
        (&listed[0]["petname"], &listed[0]["key"], &listed[0]["seq"]),
        (&"team".into(), &key.into(), &3.into())
    );
}

#[test]
fn paths_are_handed_to_other_keys_and_names_lead_to_names() {
    let scene = Scene::with_daemons(3);
    let (team, web) = (create(&scene, 0, "team"), create(&scene, 1, "web"));
    scene.run(["name", "delegate", "team/web", &web]).succeeds();
    ask(&scene, 1, &["name", "publish", "web/db", "10.0.0.1:5432"]).succeeds();
    let found = json(&ask(&scene, 2, &["name", "resolve", "--json", &format!("{team}/web/db")]).succeeds());
    assert_eq!(found["target"], "10.0.0.1:5432");
    let steps: Vec<_> =
        found["steps"].as_array().unwrap().iter().map(|step| step["key"].as_str().unwrap()).collect();
    assert_eq!(steps, [&*team, &*web], "each step and who vouches for it");

    // From name to name, and never without an end.
    scene.run(["name", "publish", "team/database", &format!("{web}/db")]).succeeds();
    assert_eq!(scene.run(["name", "resolve", "team/database"]).succeeds(), "10.0.0.1:5432\n");
    ask(&scene, 1, &["name", "publish", "web/circle", &format!("{web}/circle")]).succeeds();
    ask(&scene, 2, &["name", "resolve", &format!("{web}/circle")]).fails(4, &["circle"]);
    scene.run(["name", "unpublish", "team/web"]).succeeds();
    ask(&scene, 2, &["name", "resolve", &format!("{team}/web/db"), "--consistency", "quorum"])
        .fails(4, &["says nothing about web/db"]);
}

#[test]
fn what_cannot_be_is_refused_and_says_why() {
    let scene = Scene::with_daemons(3);
    let key = create(&scene, 0, "team");
    scene.run(["name", "create", "team"]).fails(2, &["already"]);
    scene.run(["name", "create", "No Good"]).fails(5, &["a-z 0-9"]);
    scene.run(["name", "resolve", "nobody"]).fails(4, &["no key with the petname `nobody`", "name list"]);
    scene.run(["name", "resolve", "@abc"]).fails(5, &["56 characters"]);
    let mistyped = format!("{}{}", &key[..56], if key.ends_with('a') { 'b' } else { 'a' });
    scene.run(["name", "resolve", &mistyped]).fails(5, &["mistyped"]);
    scene.run(["name", "resolve", &key]).fails(4, &["does not exist"]);
    scene.run(["name", "publish", &mistyped, "x"]).fails(5, &["mistyped"]);
    ask(&scene, 1, &["name", "publish", &key, "x"]).fails(2, &["keyring"]);
    scene.run(["name", "publish", "team", "chord1rnonsense"]).fails(2, &["characters instead of"]);
    scene.run(["name", "publish", "team", &"x".repeat(5000)]).fails(2, &["1024 bytes"]);
    scene.run(["name", "publish", "team", "x", "--expect-seq", "3"]).fails(2, &["is 0, not 3"]);
    for label in ["a", "b", "c"] {
        let text = label.repeat(1000);
        scene.run(["name", "publish", &format!("team/{label}"), &text]).succeeds();
    }
    scene.run(["name", "publish", "team/d", &"d".repeat(1024)]).succeeds();
    scene.run(["name", "publish", "team/e", &"e".repeat(1000)]).fails(2, &["it may have 4096"]);
    scene.run(["name", "resolve", "team/a", "--at-least", "4"]).succeeds();
    scene.run(["name", "resolve", "team/a", "--at-least", "5"]).fails(4, &["4", "5"]);
    scene.run(["name", "publish", "team", "x", "--valid", "1s"]).succeeds();
    crate::harness::eventually("the record to end", || {
        let output = scene.run(["name", "resolve", "team", "--consistency", "quorum"]).output();
        output.status.code() == Some(4) && String::from_utf8_lossy(&output.stderr).contains("was valid until")
    });
    scene.run(["name", "delete", "team"]).fails(2, &["nobody can change", "name export team", "--yes"]);
    scene.run(["name", "delete", "team", "--yes"]).succeeds();
    scene.run(["name", "publish", "team", "x"]).fails(4, &["no key with the petname"]);
}

/// Two writers with one expectation: one of them is told that the other came first.
#[test]
fn of_two_changes_of_one_version_one_is_made() {
    let scene = Scene::with_daemons(5);
    create(&scene, 0, "team");
    for round in 0..5_u32 {
        let expected = round.to_string();
        let change =
            |value: &str| scene.run(["name", "publish", "team", value, "--expect-seq", &expected]).start();
        let children = [change("one"), change("two")];
        let codes: Vec<Option<i32>> = children
            .into_iter()
            .map(|child| crate::harness::end_of(child, "name publish").status.code())
            .collect();
        assert_eq!(codes.iter().filter(|code| **code == Some(0)).count(), 1, "round {round}: {codes:?}");
        assert_eq!(codes.iter().filter(|code| **code == Some(2)).count(), 1, "round {round}: {codes:?}");
    }
}

/// A majority of the three who keep it lives, and then comes back from its disk.
#[test]
fn names_survive_their_holders_and_their_owner() {
    let mut scene = Scene::with_daemons(3);
    let key = create(&scene, 0, "team");
    scene.run(["name", "publish", "team", "still here"]).succeeds();
    scene.restart(&[0, 1, 2]);
    let found = ask(&scene, 1, &["name", "resolve", &key, "--consistency", "quorum"]).succeeds();
    assert_eq!(found, "still here\n");
    scene.run(["name", "publish", "team", "and the key"]).succeeds();
    assert_eq!(ask(&scene, 2, &["name", "resolve", &key]).succeeds(), "and the key\n");
}

#[test]
fn a_key_moves_to_another_daemon_under_its_passphrase() {
    let scene = Scene::with_daemons(3);
    let key = create(&scene, 0, "team");
    scene.run(["name", "publish", "team", "from the first"]).succeeds();
    let passphrase = scene.file("passphrase", b"correct horse battery\n");
    let with = ["--passphrase-file", passphrase.to_str().unwrap()];
    let sealed = scene.run(["name", "export", "team"]).args(with).succeeds();
    assert!(sealed.starts_with("chordkey1"), "{sealed}");
    let import = |petname: &str, sealed: &str| {
        ask(&scene, 1, &["name", "import", petname]).args(with).stdin(sealed.as_bytes())
    };
    assert_eq!(import("ours", &sealed).succeeds().trim(), key);
    ask(&scene, 1, &["name", "publish", "ours", "from the second"]).succeeds();
    assert_eq!(
        scene.run(["name", "resolve", "team", "--consistency", "quorum"]).succeeds(),
        "from the second\n"
    );
    import("other", &sealed).fails(2, &["already", "`ours`"]);
    import("other", &sealed[..100]).fails(2, &["checksum"]);
    import("other", "nonsense").fails(2, &["not an exported key"]);
    let wrong = scene.run(["name", "import", "again"]).env("CHORDAGE_PASSPHRASE", "correct horse batterx");
    wrong.stdin(sealed.as_bytes()).fails(2, &["not that of this key"]);
    scene.run(["name", "export", "team"]).env("CHORDAGE_PASSPHRASE", "short").fails(2, &["at least 10"]);
    scene.run(["name", "export", "nobody"]).args(with).fails(4, &["no key with the petname"]);
}

#[test]
fn a_watch_tells_every_change_on_the_way_to_what_a_name_stands_for() {
    let scene = Scene::with_daemons(5);
    let (team, web) = (create(&scene, 0, "team"), create(&scene, 1, "web"));
    let watching = |name: &str| {
        let child = ask(&scene, 3, &["name", "watch", "--json", name, "--count", "4"]).start();
        let (told, lines) = std::sync::mpsc::channel();
        let mut child = child;
        let output = child.stdout.take().unwrap();
        std::thread::spawn(move || {
            for line in std::io::BufRead::lines(std::io::BufReader::new(output)) {
                told.send(json(&line.unwrap())).unwrap();
            }
        });
        (child, lines)
    };
    let (child, lines) = watching(&format!("{team}/web/db"));
    let next = || lines.recv_timeout(crate::harness::PATIENCE).unwrap();
    assert_eq!(next()["code"], "no_such_name", "nobody has published it");
    scene.run(["name", "delegate", "team/web", &web]).succeeds();
    assert_eq!(next()["code"], "no_such_name", "who it is handed to has published nothing");
    ask(&scene, 1, &["name", "publish", "web/db", "first"]).succeeds();
    assert_eq!(next()["target"], "first");
    ask(&scene, 1, &["name", "publish", "web/db", "second"]).succeeds();
    assert_eq!(next()["target"], "second");
    let output = crate::harness::end_of(child, "name watch");
    assert!(output.status.success(), "{output:?}");
    scene.run(["name", "watch", "@abc"]).fails(5, &["56 characters"]);
    scene.run(["name", "watch", "nobody"]).fails(4, &["no key with the petname"]);
}
