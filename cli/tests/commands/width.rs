//! How wide what people read is: as COLUMNS says, or the terminal.

use std::process::Output;

use crate::harness::{PROGRAM, Run, Scene, noise};

fn widest<'a>(lines: impl IntoIterator<Item = &'a str>) -> usize {
    lines.into_iter().map(|line| line.chars().count()).max().unwrap_or_default()
}

/// The widest line of a help's options. Lines of examples are as long as they are.
fn width_of_options(help: &str) -> usize {
    widest(help.lines().take_while(|line| !line.starts_with("Examples")))
}

/// Runs a command line of the shell, in which `$0` is the program, on a terminal of 100 columns.
fn on_terminal(scene: &Scene, script: &str) -> Run {
    let script = format!("stty cols 100; {}", script.replace("$0", PROGRAM));
    Run::program("script", ["-qec", &script, "/dev/null"]).dir(&scene.path("")).api(&scene.net.data_dir(0))
}

/// What is seen on it, without colours and the like.
fn seen(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "\n");
    let mut pieces = text.split("\x1b[");
    let first = pieces.next().unwrap().to_owned();
    let after_escape =
        |piece: &str| piece.trim_start_matches(|c: char| !c.is_ascii_alphabetic())[1..].to_owned();
    std::iter::once(first).chain(pieces.map(after_escape)).collect()
}

#[test]
fn every_width_is_that_of_columns() {
    let scene = Scene::with_daemons(3);
    scene.put(&scene.file("file", &noise(100_000, 1)));
    for columns in [40, 60, 80, 100] {
        let run = |args: &[&str]| scene.run(args).env("COLUMNS", columns.to_string()).succeeds();
        let picture = run(&["ring"]);
        assert!(widest(picture.lines()) <= columns, "{columns}: {picture}");
        assert!(picture.contains("this daemon") && picture.contains("from"), "{picture}");
        let width = width_of_options(&run(&["put", "--help"]));
        assert!((columns - 15..=columns).contains(&width), "{width} of {columns}");
    }
}

/// Into a pipe a sentence is one line, for programs, unless it is said how wide it may be. Words stay whole.
#[test]
fn sentences_are_as_many_lines_as_columns_ask_for() {
    let scene = Scene::with_daemons(3);
    scene.put(&scene.file("file", &noise(100_000, 1)));
    let status = |columns: &str| scene.run(["status"]).env("COLUMNS", columns).succeeds();
    let text = status("66");
    let of_words = |line: &&str| !line.starts_with("id ") && !line.starts_with("listens");
    assert!(widest(text.lines().filter(of_words)) <= 66, "{text}");
    assert!(text.lines().any(|line| line.starts_with("           ")), "{text}");
    // What is no width is as if it were not there.
    for nonsense in ["", "0", "19", "-80", "wide", "1e3"] {
        let text = status(nonsense);
        assert!(text.lines().all(|line| !line.starts_with("           ")), "COLUMNS={nonsense:?}: {text}");
    }

    let keeps = scene.run(["keeps"]).env("COLUMNS", "70").succeeds();
    assert!(widest(keeps.lines()) <= 70, "{keeps}");
    let words = keeps.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("without this daemon \"file\""), "{keeps}");
    assert_eq!(scene.run(["keeps"]).succeeds().lines().count(), 1);
}

#[test]
fn a_terminal_says_how_wide_it_is_unless_columns_does() {
    let scene = Scene::with_daemons(1);
    for (columns, direct, piped) in [("", 100, 80), ("50", 50, 50), ("90", 90, 90)] {
        for (script, width) in [("$0 put --help", direct), ("$0 put --help | cat", piped)] {
            let text = seen(&on_terminal(&scene, script).env("COLUMNS", columns).output());
            let found = width_of_options(&text);
            assert!((width - 15..=width).contains(&found), "{found} of {width}, {script:?}: {text}");
        }
    }
}

/// The bar is on standard error, and as wide as that.
#[test]
fn a_progress_bar_is_as_wide_as_columns_says() {
    let scene = Scene::with_daemons(1);
    scene.file("file", &noise(8 << 20, 2));
    for (columns, width) in [("", 100), ("60", 60), ("30", 30)] {
        let script = "$0 put --redundancy 1/1 file > /dev/null; $0 forget $($0 put -q --redundancy 1/1 file)";
        let text = seen(&on_terminal(&scene, script).env("COLUMNS", columns).output());
        let drawn: Vec<&str> = text.lines().filter(|line| line.contains("storing")).collect();
        assert!(!drawn.is_empty(), "{text:?}");
        assert!(widest(drawn.iter().map(|line| line.trim_end())) <= width, "{width}: {drawn:?}");
    }
}
