//! What people read where the locale does not promise UTF-8.

use crate::harness::{PROGRAM, Run, Scene, noise};

/// Every command that a help lists, with those below it.
fn commands(above: &[String]) -> Vec<Vec<String>> {
    let help = Run::new(above.iter().map(String::as_str).chain(["--help"])).env("LC_ALL", "C").succeeds();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let names = listed.take_while(|line| line.starts_with("  ")).filter_map(|line| {
        let name = line.strip_prefix("  ")?.split(' ').next()?;
        (!name.is_empty() && name != "help").then(|| name.to_owned())
    });
    let mut found = vec![above.to_vec()];
    for name in names {
        found.extend(commands(&[above, &[name]].concat()));
    }
    found
}

#[test]
fn no_help_has_more_than_ascii() {
    let found = commands(&[]);
    assert!(found.len() > 25, "{found:?}");
    for command in &found {
        for flag in ["-h", "--help", "--no-such-flag"] {
            let output = Run::new(command).arg(flag).env("LC_ALL", "C").output();
            let said = [output.stdout, output.stderr].concat();
            assert!(
                !said.is_empty() && said.is_ascii(),
                "{command:?} {flag}: {}",
                String::from_utf8_lossy(&said)
            );
        }
    }
    for args in [&["man"][..], &["completions", "bash"], &["completions", "zsh"], &["completions", "fish"]] {
        assert!(Run::new(args).env("LC_ALL", "C").succeeds().is_ascii(), "{args:?}");
    }
}

#[test]
fn no_command_says_more_than_ascii_in_the_locale_c() {
    let scene = Scene::with_daemons(3);
    let path = scene.file("file", &noise(100_000, 1));
    std::fs::create_dir(scene.path("dir")).unwrap();
    scene.file("dir/a", b"a");
    let (link, dir) = (scene.put(&path), scene.put(&scene.path("dir")));
    let net = scene.net.dir().to_str().unwrap();
    let wrong = "0123456789abcdef".repeat(4);
    for args in [
        &["status"][..],
        &["ring"],
        &["members"],
        &["superpeers"],
        &["peers"],
        &["trace", &link],
        &["put", "file"],
        &["put", "dir"],
        &["ls", "--long", &dir],
        &["stat", "--check", &link],
        &["explain", &link],
        &["keeps"],
        &["keep", &link],
        &["get", &link, "-o", "back"],
        &["cat", &link, "--range", "5-1"],
        &["scrub"],
        &["testnet", "status", "--dir", net],
        &["forget", &link],
        &["sim", "lookups", "--nodes", "50"],
        // Errors: of this program, of the daemon, of the system.
        &["put", "--redundancy", "0/3", "file"],
        &["put", "--redundancy", "5/3", "file"],
        &["put", "no such file"],
        &["get", "nonsense"],
        &["get", "chord1rabc"],
        &["cat", &dir],
        &["ls", &link, "no/such/path"],
        &["trace", "nonsense"],
        &["trace", &wrong],
        &["status", "--api", "nowhere"],
        &["daemon", "--zone", "no zone", "--data-dir", "unused"],
        &["daemon", "--config", "file", "--data-dir", "unused"],
    ] {
        let output = scene.run(args).env("LC_ALL", "C").output();
        let said = [output.stdout, output.stderr].concat();
        assert!(said.is_ascii(), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
    let log = std::fs::read(scene.net.log(0)).unwrap();
    assert!(!log.is_empty() && log.is_ascii(), "{}", String::from_utf8_lossy(&log));
    // What others chose is as it is, whatever the locale.
    let named = scene.put(&scene.file("\u{e9}t\u{e9} \u{2264}", b"b"));
    let keeps = scene.run(["keeps"]).env("LC_ALL", "C").succeeds();
    assert!(keeps.contains("\u{e9}t\u{e9} \u{2264}"), "{keeps} has {named}");
}

/// The first of the variables that is set decides.
#[test]
fn the_locale_is_that_of_posix() {
    let scene = Scene::with_daemons(1);
    for (all, ctype, lang, more) in [
        ("", "", "", false),
        ("", "", "C.UTF-8", true),
        ("", "POSIX", "C.UTF-8", false),
        ("", "en_US.utf8", "C", true),
        ("C", "C.UTF-8", "C.UTF-8", false),
        ("C.UTF-8", "C", "C", true),
        ("de_DE", "", "C.UTF-8", false),
    ] {
        let run = scene.run(["ring"]).env("LC_ALL", all).env("LC_CTYPE", ctype).env("LANG", lang);
        assert_eq!(!run.succeeds().is_ascii(), more, "{all:?} {ctype:?} {lang:?}");
    }
    // Here, where there is nothing to hand over: it waits for a minute before it says that nobody takes a shard.
    assert!(scene.run(["drain"]).env("LC_ALL", "C").succeeds().is_ascii());
}

#[test]
fn a_progress_bar_is_of_ascii_in_the_locale_c() {
    let scene = Scene::with_daemons(1);
    scene.file("file", &noise(8 << 20, 2));
    for (locale, ascii) in [("C", true), ("C.UTF-8", false)] {
        let command = format!("stty cols 100; {PROGRAM} put --redundancy 1/1 file");
        let run = Run::program("script", ["-qec", &command, "/dev/null"]).dir(&scene.path(""));
        let text = run.api(&scene.net.data_dir(0)).env("LC_ALL", locale).succeeds();
        assert!(text.contains("storing") && text.is_ascii() == ascii, "{locale}: {text:?}");
        // The next put is to have something to store.
        scene.file("file", &noise(8 << 20, 3));
    }
}
