//! What goes in comes out, and what is printed on the way.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::harness::{Scene, noise};

#[test]
fn a_file_comes_back_through_every_door() {
    let scene = Scene::with_daemons(3);
    let content = noise(3_000_000, 1);
    scene.file("file", &content);
    let output = scene.run(["put", "file"]).output();
    let (link, story) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let link = link.trim();
    assert!(link.starts_with("chord1r") && !link.contains(char::is_whitespace), "the link alone: {link:?}");
    assert!(story.contains(&format!("chordage get {link} -o file.copy")), "{story}");

    scene.run(["get", link, "-o", "out"]).succeeds();
    assert!(fs::read(scene.path("out")).unwrap() == content);
    assert!(scene.run(["cat", link]).output().stdout == content);
    assert_eq!(scene.run(["cat", link, "--range", "100-199"]).output().stdout, content[100..200]);
    assert_eq!(scene.run(["cat", link, "--range", "2999990-"]).output().stdout, content[2_999_990..]);
    assert_eq!(scene.run(["cat", link, "--range=-5"]).output().stdout, content[2_999_995..]);
    assert!(scene.run(["get", link, "-o", "-"]).output().stdout == content);
    // From another daemon, and with the link out of the process list.
    scene.run(["get", "-", "-o", "out2"]).stdin(link.as_bytes()).api(&scene.net.data_dir(2)).succeeds();
    assert!(fs::read(scene.path("out2")).unwrap() == content);
    // Without a name, one that does not give the key away.
    scene.run(["get", link]).succeeds();
    let name = scene.names().into_iter().find(|name| name.starts_with("chordage-")).unwrap();
    assert!(name.len() < 24 && link.contains(&name["chordage-".len()..]), "{name}");
    assert_eq!(scene.names().len(), 4);
}

/// The same content put under two names was one object without anybody being told, and a `forget` took both.
#[test]
fn what_is_kept_has_names_and_a_second_put_of_it_says_so() {
    let scene = Scene::with_daemons(1);
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let long = "ä".repeat(127);
    for name in ["a", "copy of\na", &long] {
        scene.file(name, b"the same");
    }
    let first = json(scene.run(["put", "--json", "a"]).succeeds());
    assert!(first.get("kept_since").is_none(), "{first}");
    let story = String::from_utf8(scene.run(["put", "copy of\na"]).output().stderr).unwrap();
    assert!(story.contains("already kept for") && story.contains(" as \"a\""), "{story}");
    scene.run(["put", &long]).succeeds();
    let again = json(scene.run(["put", "--json", "a"]).succeeds());
    assert!(again["kept_since"].is_number() && again["link"] == first["link"], "{again}");
    assert_eq!(again["kept_as"], serde_json::json!(["a", "copy of\na", long]));

    scene.run(["put", "-"]).stdin(b"piped").succeeds();
    let dump = json(scene.run(["put", "--json", "-", "--name", "dump"]).stdin(b"piped too").succeeds());
    let keeps = json(scene.run(["keeps", "--json"]).succeeds());
    let names: Vec<String> = keeps.as_array().unwrap().iter().map(|kept| kept["names"].to_string()).collect();
    assert!(names.contains(&"[\"stdin\"]".to_owned()) && names.contains(&"[\"dump\"]".to_owned()), "{keeps}");
    let listed = scene.run(["keeps"]).succeeds();
    assert!(listed.lines().count() == 3 && listed.contains(r#""copy of\na", "#), "{listed}");
    scene.run(["put", "a", "--name", &"x".repeat(256)]).fails(2, &["--name", "255"]);

    let link = first["link"].as_str().unwrap();
    let said = scene.run(["forget", link]).succeeds();
    assert!(said.contains(r#"put as "copy of\na", "#) && said.contains("\"a\""), "{said}");
    let forgotten = json(scene.run(["forget", "--json", dump["link"].as_str().unwrap()]).succeeds());
    assert_eq!(forgotten["names"], serde_json::json!(["dump"]));
}

#[test]
fn json_is_one_object_with_stable_fields() {
    let scene = Scene::with_daemons(1);
    scene.file("file", &noise(100_000, 2));
    let json = |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let put = json(scene.run(["put", "--json", "file"]).succeeds());
    for field in ["bytes", "stored_bytes", "chunks", "new_chunks", "k", "n", "acks_min", "seconds"] {
        assert!(put[field].is_number(), "{field} in {put}");
    }
    assert_eq!(put["bytes"], 100_000);
    let link = put["link"].as_str().unwrap();
    let again = json(scene.run(["put", "--json", "file"]).succeeds());
    assert_eq!((&again["link"], &again["new_chunks"]), (&put["link"], &0.into()));

    let got = json(scene.run(["get", "--json", link, "-o", "out"]).succeeds());
    assert_eq!(
        (&got["kind"], &got["bytes"], &got["output"]),
        (&"file".into(), &100_000.into(), &"out".into())
    );
    let stat = json(scene.run(["stat", "--json", "--check", link]).succeeds());
    assert_eq!((&stat["kind"], &stat["health"]["unreadable"]), (&"file".into(), &0.into()));
    let status = json(scene.run(["status", "--json"]).succeeds());
    assert_eq!(status["state"], "joined");
    let trace = json(scene.run(["trace", "--json", link]).succeeds());
    assert!(trace["hops"].is_array() && trace["owner"] == status["id"] && trace["seconds"].is_number());
    assert!(json(scene.run(["peers", "--json"]).succeeds()).is_array());
}

#[test]
fn a_file_keeps_its_name_mode_and_time_as_a_tree() {
    let scene = Scene::with_daemons(1);
    let file = scene.file("script.sh", b"true\n");
    symlink(&file, scene.path("link")).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o710)).unwrap();
    let modified = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 5);
    fs::File::options().write(true).open(&file).unwrap().set_modified(modified).unwrap();
    let alone = scene.put(&file);
    let mut links =
        ["script.sh", "link"].map(|name| scene.run(["put", "--quiet", "--as-tree", name]).succeeds());
    links.iter_mut().for_each(|link| *link = link.trim().to_owned());
    assert_eq!(links[0], links[1]);
    assert_ne!(links[0], alone);
    scene.run(["get", "--quiet", &links[0], "-o", "out"]).succeeds();
    scene.run(["get", "--quiet", &links[0], "--path", "script.sh", "-o", "itself"]).succeeds();
    for name in ["out/script.sh", "itself"] {
        let data = fs::metadata(scene.path(name)).unwrap();
        assert_eq!((data.mode() & 0o7777, data.modified().unwrap()), (0o710, modified), "{name}");
        assert_eq!(fs::read(scene.path(name)).unwrap(), b"true\n");
    }
}

#[test]
fn a_tree_keeps_names_modes_times_and_symlinks() {
    let scene = Scene::with_daemons(1);
    let root = scene.path("tree");
    fs::create_dir_all(root.join("a/empty")).unwrap();
    fs::write(root.join("a/x"), "content").unwrap();
    fs::set_permissions(root.join("a/x"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(root.join("a.b"), noise(400_000, 3)).unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join(std::ffi::OsStr::from_bytes(b"not \xff utf-8")), "odd").unwrap();
    fs::write(root.join("n".repeat(250)), "long").unwrap();
    symlink("../somewhere", root.join("link")).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();

    let output = scene.run(["put", "tree"]).output();
    let story = String::from_utf8(output.stderr).unwrap();
    assert!(story.contains("left out") && story.contains("socket"), "{story}");
    let link = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    fs::remove_file(root.join("socket")).unwrap();
    // Removing it changed the directory's time, which was stored before.
    scene.run(["get", &link, "-o", "out"]).succeeds();
    assert_eq!(inventory(&scene.path("out")), inventory(&root));

    let listed = scene.run(["ls", "-r", &link]).succeeds();
    assert_eq!(listed.lines().count(), 8, "{listed}");
    assert_eq!(scene.run(["ls", &link, "a"]).succeeds(), "a/empty/\na/x\n");
    let odd = scene.run(["ls", "--json", &link]).succeeds();
    assert!(odd.contains(r#""path_hex":"6e6f7420ff207574662d38""#), "{odd}");
    let odd = std::ffi::OsStr::from_bytes(b"not \xff utf-8");
    assert_eq!(scene.run(["cat", &link, "--path"]).arg(odd).succeeds(), "odd");

    scene.run(["get", &link, "--path", "a", "-o", "part"]).succeeds();
    assert_eq!(inventory(&scene.path("part")), inventory(&root.join("a")));
    scene.run(["get", &link, "--path", "a/x", "-o", "x"]).succeeds();
    assert_eq!(fs::metadata(scene.path("x")).unwrap().mode() & 0o7777, 0o640);
    let tar = scene.run(["get", &link, "-o", "-"]).output().stdout;
    assert_eq!(tar::Archive::new(&tar[..]).entries().unwrap().count(), 9);
}

#[test]
fn standard_input_and_pipes_are_stored() {
    let scene = Scene::with_daemons(1);
    let link = scene.run(["put", "-", "--quiet"]).stdin(b"from a pipe").succeeds();
    assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "from a pipe");
    let link = scene.run(["put", "-", "--quiet"]).stdin(b"").succeeds();
    assert_eq!(scene.run(["cat", link.trim()]).succeeds(), "");
}

#[test]
fn a_reader_that_has_enough_is_no_error() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", &noise(4_000_000, 4)));
    let mut child = scene.run(["cat", &link]).start();
    drop(child.stdout.take());
    let output = crate::harness::end_of(child, "cat into a closed pipe");
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

/// Everything but the root's own time, as text to compare.
fn inventory(root: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let mut stack = vec![root.to_owned()];
    while let Some(path) = stack.pop() {
        let metadata = fs::symlink_metadata(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().as_os_str().as_bytes().escape_ascii().to_string();
        let content = if metadata.is_dir() {
            stack.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "dir".to_owned()
        } else if metadata.is_symlink() {
            format!("-> {:?}", fs::read_link(&path).unwrap())
        } else {
            format!("{} bytes, {:?}", metadata.len(), fs::read(&path).unwrap().first_chunk::<4>())
        };
        let time = if path == root { 0 } else { metadata.mtime_nsec() + metadata.mtime() * 1_000_000_000 };
        lines.push(format!("{name} {:o} {time} {content}", metadata.mode()));
    }
    lines.sort();
    lines
}
