//! Rules that were once broken without any test noticing. Each stands in `mutations/*.toml` with a change of the code that
//! breaks it; breaking them all, one by one, shows that each is held by a test of its own crate:
//!
//! ```sh
//! cargo test -p chordage-cli --test house -- --ignored --nocapture every_broken_rule
//! ```
//!
//! That takes half an hour. What is tested always is that the changes still fit the code.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde::Deserialize;

use super::{files_below, no_complaints, root};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    mutation: Vec<Mutation>,
}

/// A change that breaks a rule.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mutation {
    rule: String,
    file: String,
    /// Occurs exactly once in the file.
    old: String,
    new: String,
}

impl Mutation {
    fn all() -> Vec<Mutation> {
        let lists = files_below(&root().join("cli/tests/house/mutations"), "toml").into_iter().map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            toml::from_str::<List>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        lists.flat_map(|list| list.mutation).collect()
    }

    fn crate_dir(&self) -> &str {
        self.file.split('/').next().unwrap()
    }
}

#[test]
fn broken_rules_are_those_of_the_code_as_it_is() {
    let all = Mutation::all();
    assert!(all.len() > 50, "{} rules", all.len());
    let mut complaints = Vec::new();
    for Mutation { rule, file, old, new } in &all {
        let found =
            fs::read_to_string(root().join(file)).map_or(0, |text| text.matches(old.as_str()).count());
        if found != 1 || old == new {
            complaints.push(format!("{file}: the code of \"{rule}\" is there {found} times"));
        }
    }
    no_complaints("what breaks a rule has to fit the code: change it with the code", &complaints);
}

#[test]
#[ignore = "takes half an hour"]
fn every_broken_rule_is_noticed() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "cli", "dht", "node", "sim", "storage", "testnet"] {
        copy_all(&root().join(name), &copy.path().join(name));
    }
    let cargo = |args: &[&str], dir: &str| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--offline", "--quiet", "-p", &format!("chordage-{dir}")]).args(args);
        cargo.current_dir(copy.path()).env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1");
        cargo.env("CARGO_TARGET_DIR", copy.path().join("target"));
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cargo.status().unwrap().success()
    };
    for dir in ["dht", "storage"] {
        assert!(cargo(&["--lib", "--tests"], dir), "the tests of {dir} pass as long as nothing is broken");
    }
    let mut complaints = Vec::new();
    for mutation in Mutation::all() {
        let Mutation { rule, file, old, new } = &mutation;
        let path = copy.path().join(file);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen(old.as_str(), new, 1)).unwrap();
        let verdict = match mutation.crate_dir() {
            dir if !cargo(&["--lib", "--tests", "--no-run"], dir) => "does not build",
            // Most are noticed beside the code.
            dir if cargo(&["--lib"], dir) && cargo(&["--tests"], dir) => "is not noticed",
            _ => "is noticed",
        };
        println!("{verdict}: {rule} ({file})");
        if verdict != "is noticed" {
            complaints.push(format!("\"{rule}\" broken in {file} {verdict}"));
        }
        fs::write(&path, whole).unwrap();
    }
    no_complaints("every broken rule is noticed by the tests of its crate", &complaints);
}

/// Copies a file or a directory, without what was built.
fn copy_all(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name() != "target" {
                copy_all(&entry.path(), &to.join(entry.file_name()));
            }
        }
    } else {
        fs::copy(from, to).unwrap();
    }
}
