//! What can be looked at with a verify link, and what is said of what was forgotten.

use serde_json::Value;

use crate::harness::{Scene, eventually, noise};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn verify_link(scene: &Scene) -> String {
    let keeps = json(&scene.run(["keeps", "--json"]).succeeds());
    keeps[0]["verify_link"].as_str().unwrap().to_owned()
}

#[test]
fn what_is_kept_can_be_looked_at_by_the_links_that_keeps_prints() {
    let scene = Scene::with_daemons(3);
    let read = scene.put(&scene.file("file", &noise(3_000_000, 1)));
    let link = verify_link(&scene);

    let whole = json(&scene.run(["stat", "--json", "--check", &read]).succeeds());
    let known = json(&scene.run(["stat", "--json", "--check", &link]).succeeds());
    for field in ["bytes", "chunks", "k", "n", "health"] {
        assert_eq!(known[field], whole[field], "{field} in {known}");
    }
    assert_eq!((&known["kind"], &whole["unknown"]), (&"unknown".into(), &Value::Null));
    let text = scene.run(["stat", &link]).succeeds();
    assert!(text.contains("does not open the object") && text.contains("2.86 MiB"), "{text}");

    let whole = json(&scene.run(["explain", "--json", &read]).succeeds());
    let known = json(&scene.run(["explain", "--json", &link]).succeeds());
    assert_eq!((&known["chunks"], &known["whole"]), (&whole["chunks"], &whole["whole"]), "{known}");
    assert!(known["unknown"].is_string() && known["kept"]["state"] == "kept", "{known}");
    assert!(scene.run(["explain", &link]).succeeds().contains("does not open the object"));
    assert!(scene.run(["keep", &link]).succeeds().starts_with("kept: 2.86 MiB"));

    // Another daemon does not keep it: it knows the root alone, and cannot keep what it does not know of.
    let other = scene.net.data_dir(1);
    let known = json(&scene.run(["stat", "--json", &link]).api(&other).succeeds());
    assert_eq!((&known["chunks"], &known["bytes"]), (&1.into(), &0.into()), "{known}");
    let text = scene.run(["explain", &link]).api(&other).succeeds();
    assert!(text.contains("only its root chunk is known"), "{text}");
    scene.run(["keep", &link]).api(&other).fails(5, &["does not keep the object", "read link"]);
    // What needs the key still does.
    scene.run(["get", &link]).fails(5, &["verify link", "read link"]);
}

#[test]
fn who_has_forgotten_an_object_says_so_when_it_cannot_be_read() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", &noise(100_000, 2)));
    scene.run(["forget", &link]).succeeds();
    let mut said = String::new();
    eventually("its holders free it", || {
        let output = scene.run(["cat", &link]).output();
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.code() == Some(4)
    });
    for words in ["this daemon forgot it", "ago", "store it again"] {
        assert!(said.contains(words), "{words:?} in {said}");
    }
    assert!(!said.contains("comes back when"), "{said}");
    scene.put(&scene.file("file", &noise(100_000, 2)));
    scene.run(["cat", &link]).succeeds();
}
