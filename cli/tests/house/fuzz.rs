//! That fuzzing stays what it says: nothing there is built by the other tests.

use std::fs;

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
