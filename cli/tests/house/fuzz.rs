//! That fuzzing stays what it says: nothing there is built by the other tests.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::purity::code_lines;
use super::{files_below, no_complaints, root};

#[test]
fn every_fuzz_target_is_built_described_and_has_seeds() {
    let fuzz = root().join("fuzz");
    let read = |name: &str| fs::read_to_string(fuzz.join(name)).unwrap();
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    let mut complaints = Vec::new();
    for path in files_below(&fuzz.join("fuzz_targets"), "rs") {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let seeds = fs::read_dir(fuzz.join("seeds").join(&name)).map_or(0, Iterator::count);
        for (is_so, what) in [
            (manifest.contains(&format!("name = \"{name}\"")), "is not in Cargo.toml"),
            (readme.contains(&format!("\n| `{name}` |")), "is not in README.md"),
            (seeds > 0, "has no seeds"),
        ] {
            if !is_so {
                complaints.push(format!("fuzz/fuzz_targets/{name}.rs {what}"));
            }
        }
    }
    no_complaints("every fuzz target can be run and is described", &complaints);
}

/// The words that follow `before` in a text.
fn words_after<'a>(text: &'a str, before: &str) -> BTreeSet<&'a str> {
    let ends = |c: char| !c.is_alphanumeric() && c != '_';
    text.split(before).skip(1).filter_map(|rest| rest.split(ends).next()).collect()
}

/// The files that a target takes from a crate, with all of a room if it takes its `mod.rs`.
fn files_of_crates(target: &Path, text: &str) -> Vec<PathBuf> {
    let paths = text.split("#[path = \"").skip(1).filter_map(|rest| rest.split('"').next());
    let files = paths.map(|path| target.parent().unwrap().join(path));
    let with_room = |file: PathBuf| {
        if file.ends_with("mod.rs") { files_below(file.parent().unwrap(), "rs") } else { vec![file] }
    };
    files.flat_map(with_room).collect()
}

/// A file moves on: it asks its crate for what is not in the target that borrows it, or keeps for unit tests what the
/// target calls. Then the target cannot be built, and nobody hears of it before the next fuzzing.
#[test]
fn every_fuzz_target_finds_what_it_and_its_borrowed_files_ask_for() {
    let mut complaints = Vec::new();
    for target in files_below(&root().join("fuzz/fuzz_targets"), "rs") {
        let text = fs::read_to_string(&target).unwrap();
        let modules = words_after(&text, "mod ");
        for file in files_of_crates(&target, &text) {
            let source = fs::read_to_string(&file).unwrap();
            let code: Vec<&str> = code_lines(&source).map(|(_, line)| line).collect();
            let code = code.join("\n");
            for missing in words_after(&code, "crate::").difference(&modules) {
                complaints.push(format!("{}: {} asks for {missing}", target.display(), file.display()));
            }
            let items = code.split("#[cfg(test)]\n").skip(1).filter_map(|rest| rest.lines().next());
            for name in items.flat_map(|item| words_after(item, "fn ")) {
                if text.contains(&format!(".{name}(")) {
                    complaints.push(format!("{}: {name} is for unit tests alone", target.display()));
                }
            }
        }
    }
    no_complaints("every fuzz target can be built", &complaints);
}

#[test]
fn seeds_of_messages_are_of_the_version_of_today() {
    let params = fs::read_to_string(root().join("dht/src/params.rs")).unwrap();
    let version = params.split("WIRE_VERSION: u8 = ").nth(1).and_then(|rest| rest.split(';').next());
    let version: u8 = version.unwrap().parse().unwrap();
    let mut complaints = Vec::new();
    for entry in fs::read_dir(root().join("fuzz/seeds/message")).unwrap() {
        let path = entry.unwrap().path();
        if fs::read(&path).unwrap().first() != Some(&version) {
            complaints.push(format!("{} is of another version", path.display()));
        }
    }
    no_complaints("old seeds lead a fuzzer nowhere: run `cargo run --bin make_seeds` in fuzz", &complaints);
}
