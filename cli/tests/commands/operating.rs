//! What operators type: settings before and while a daemon has them, its status as it goes on, and what they show to
//! others.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{PROGRAM, Run, Scene, end_of, noise, signal, was_interrupted};

fn config(args: &[&str], dir: &Path) -> Run {
    Run::new(["config"]).args(args).arg("--data-dir").arg(dir)
}

#[test]
fn a_settings_file_is_checked_line_by_line_as_the_daemon_does() {
    let dir = tempfile::tempdir().unwrap();
    assert!(config(&["check"], dir.path()).succeeds().contains("config.toml\": valid"));
    let file = dir.path().join("config.toml");
    fs::write(&file, "quota_bytes = 1000\n[repair]\nenabled = false\n").unwrap();
    assert!(config(&["check"], dir.path()).succeeds().ends_with("config.toml\": valid\n"));

    fs::write(&file, "quota = 5\n\n[lan]\nenabled = \"yes\"\n[connections]\nmax = 3\n").unwrap();
    let wrong = [
        "line 1: there is no setting quota; write quota_bytes",
        "line 4: lan.enabled is a yes or no; write true or false",
        "line 6: connections.max cannot be 3; write 48 to 65536",
    ];
    let output = config(&["check"], dir.path()).output();
    assert_eq!(output.status.code(), Some(2));
    let lines = String::from_utf8(output.stdout).unwrap();
    assert_eq!(lines.lines().count(), 3, "{lines}");
    assert!(lines.lines().zip(wrong).all(|(line, wrong)| line.ends_with(wrong)), "{lines}");
    Run::new(["daemon", "--data-dir"]).arg(dir.path()).fails(2, &[&wrong[..], &["config check"]].concat());
    config(&["show"], dir.path()).fails(2, &wrong);

    let output = config(&["check", "--json"], dir.path()).output();
    let checked: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&checked["valid"], &checked["problems"][2]["line"]), (&false.into(), &6.into()));
    config(&["check", "missing.toml"], dir.path()).fails(7, &["missing.toml"]);
}

/// A rule that only the file breaks is told with its line, and one that a flag breaks is not.
#[test]
fn a_daemon_says_whether_its_file_or_a_flag_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "\napi_connections_max = 0\n").unwrap();
    let daemon = || Run::new(["daemon", "--data-dir"]).arg(dir.path());
    daemon().fails(2, &["config.toml: line 2: api_connections_max cannot be 0"]);
    fs::write(dir.path().join("config.toml"), "network = \"a-name\"\n").unwrap();
    let told = daemon().args(["--network", "also-Not"]).fails(2, &["also-Not", "1 to 32"]);
    assert!(!told.contains("line 1"), "{told}");
}

#[test]
fn every_setting_is_shown_with_where_it_comes_from() {
    let scene = Scene::with_args(1, &["--quota", "5G"]);
    let dir = scene.net.data_dir(0);
    fs::write(dir.join("config.toml"), "runtime_threads = 2\n[repair]\nenabled = true\n").unwrap();
    assert_eq!(config(&["show"], &dir).succeeds(), "runtime_threads = 2\n\n[repair]\nenabled = true\n");
    let text = config(&["show", "--effective"], &dir).succeeds();
    let row = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(row("quota_bytes = 5368709120").ends_with("# 5.00 GiB, flag --quota"), "{text}");
    assert!(row("runtime_threads = 2").ends_with("# file"), "{text}");
    assert!(row("lost_seconds = ").ends_with("default"), "{text}");
    assert!(row("# Beware").contains("changed after the daemon had started"), "{text}");
    text.parse::<toml::Table>().unwrap();

    let shown: Value =
        serde_json::from_str(&config(&["show", "--effective", "--json"], &dir).succeeds()).unwrap();
    assert_eq!(
        shown["settings"]["quota_bytes"],
        serde_json::json!({ "value": 5_368_709_120_u64, "source": "flag" })
    );
    assert_eq!(shown["settings"]["repair.enabled"]["source"], "file");
    let nobody = tempfile::tempdir().unwrap();
    let text = config(&["show", "--effective"], nobody.path()).succeeds();
    assert!(text.contains("none runs") && text.contains("quota_bytes = 107374182400"), "{text}");
}

#[test]
fn a_status_is_watched_over_the_end_of_its_daemon_until_ctrl_c() {
    let mut scene = Scene::with_daemons(1);
    let mut child = scene.run(["status", "--watch", "1", "--json"]).start();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || serde_json::from_str::<Value>(&lines.next().unwrap().unwrap()).unwrap();
    let (first, second) = (next(), next());
    let pid = &first["pid"];
    assert_eq!(pid, &second["pid"]);
    assert!(second["uptime_seconds"].as_f64() > first["uptime_seconds"].as_f64());
    scene.net.kill(&[0]).unwrap();
    // It says so, once.
    let mut warning = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut warning).unwrap();
    assert!(warning.contains("tried again every 1 s"), "{warning}");
    scene.restart(&[0]);
    while next()["pid"] == *pid {}
    signal(&child, Signal::INT);
    let output = end_of(child, "a watched status");
    assert!(was_interrupted(&output), "{output:?}");

    let nobody = tempfile::tempdir().unwrap();
    Run::new(["status", "--watch", "--data-dir"]).arg(nobody.path()).fails(3, &["no daemon"]);
}

#[test]
fn a_watched_status_stays_in_its_place_on_a_terminal() {
    let scene = Scene::with_daemons(1);
    let script = format!("stty cols 100 rows 10; timeout --foreground -s INT 4 {PROGRAM} status --watch 1");
    let run = Run::program("script", ["-qec", &script, "/dev/null"]).dir(&scene.path(""));
    let output = run.api(&scene.net.data_dir(0)).output();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(text.matches("\x1b[2J").count(), 1, "cleared once: {text:?}");
    assert!(text.matches("\x1b[H").count() >= 2 && text.contains("state      joined"), "{text:?}");
    let frame = text.split("\x1b[H").nth(1).unwrap();
    assert!(frame.lines().count() <= 10 && frame.contains("more lines"), "{frame:?}");
}

/// Everything in an archive, and the names in it.
fn unpacked(path: &Path) -> (String, Vec<String>) {
    let mut archive = tar::Archive::new(zstd::Decoder::new(fs::File::open(path).unwrap()).unwrap());
    let (mut all, mut names) = (String::new(), Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let name = entry.path().unwrap().to_string_lossy().into_owned();
        names.push(name.strip_prefix("chordage-debug/").unwrap().to_owned());
        entry.read_to_string(&mut all).unwrap();
    }
    (all, names)
}

/// Names that stand in no other word.
const SECRETS: [&str; 5] =
    ["xylophonefile", "quixoticname", "zanzibarvolume", "kumquatservice", "wombatzone"];

#[test]
fn a_bundle_tells_no_secrets() {
    let [file, name, volume, service, zone] = SECRETS;
    let scene = Scene::with_args(3, &["--zone", zone, "--api-listen", "127.0.0.1:0"]);
    let link = scene.put(&scene.file(file, &noise(100_000, 1)));
    let key = scene.run(["name", "create", name]).succeeds();
    scene.run(["name", "publish", name, &link]).succeeds();
    scene.run(["service", "register", service, "--addr", "10.1.2.3:80"]).output();
    scene.run(["backup", "init", "--volume", volume]).succeeds();
    scene.run(["backup", "create", "--volume", volume]).arg(scene.path(file)).succeeds();
    let opens = scene.run(["volume", "export", volume]).succeeds();
    let phrase = scene.run(["home", "create"]).succeeds();
    let dir = scene.net.data_dir(0);
    let token = fs::read_to_string(dir.join("api.token")).unwrap();
    let log = scene.file(
        "log",
        format!("INFO put \"{file}\" as {link} for 203.0.113.9:4700 below {}, name {name}\n", dir.display())
            .as_bytes(),
    );
    let bundle = scene.path("bundle.tar.zst");
    let run = || scene.run(["debug", "bundle", "-o"]).arg(&bundle).arg("--log").arg(&log);
    let told = run().output();
    assert!(told.status.success(), "{told:?}");
    let said = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(said.contains("left out: keys, tokens") && said.contains("bundle.tar.zst"), "{said}");
    let (all, names) = unpacked(&bundle);
    for file in ["status", "members", "peers", "doctor", "settings", "system", "version"] {
        assert!(names.contains(&format!("{file}.json")), "{file} of {names:?}");
        assert!(String::from_utf8_lossy(&told.stdout).contains(file));
    }
    assert!(
        all.contains("network_nodes") && all.contains("processors") && all.contains("chordage_"),
        "{all}"
    );
    let network = scene.network();
    let id = key.trim().trim_start_matches('@');
    let paths = [dir.to_str().unwrap(), "203.0.113.9", "10.1.2.3", "chord1", "chordvol1", "chordkey1"];
    let secrets = [link.as_str(), id, opens.trim(), phrase.trim(), token.trim(), &network];
    for secret in SECRETS.iter().chain(&paths).chain(&secrets) {
        assert!(!secret.is_empty() && !all.contains(secret), "{secret} in {all}");
    }
    // Nothing is replaced, and with addresses there are addresses.
    run().fails(7, &["bundle.tar.zst", "no bundle was made"]);
    fs::remove_file(&bundle).unwrap();
    run().arg("--with-addresses").succeeds();
    let (all, _) = unpacked(&bundle);
    assert!(all.contains("203.0.113.9") && SECRETS.iter().all(|secret| !all.contains(secret)), "{all}");
}

#[test]
fn a_bundle_without_a_daemon_has_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("config.toml"), "zone = \"wombatzone\"\n").unwrap();
    let bundle = dir.path().join("bundle");
    let output = Run::new(["debug", "bundle", "-o"]).arg(&bundle).arg("--data-dir").arg(dir.path()).output();
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("no daemon answers"));
    let (all, names) = unpacked(&bundle);
    assert!(
        names.contains(&"settings.json".to_owned()) && names.contains(&"system.json".to_owned()),
        "{names:?}"
    );
    assert!(!all.contains("wombatzone") && all.contains("name-1"), "{all}");
}
