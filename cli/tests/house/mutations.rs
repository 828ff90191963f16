//! Rules that were once broken without any test noticing. Each stands in `mutations/*.toml` with a change of the code
//! that breaks it; breaking them all, one by one, shows that each is held by a test:
//!
//! ```sh
//! cargo test -p chordage-cli --test house -- --ignored --nocapture every_broken_rule
//! ```
//!
//! That takes hours. What is tested always is that the changes still fit the code.

use std::collections::BTreeSet;
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
    /// The test that notices it, by its name. It is one of the unit tests of the crate, or one of `cli/tests`. Without
    /// one, any of the crate may.
    test: Option<String>,
}

impl Mutation {
    fn all() -> Vec<Mutation> {
        let lists = files_below(&root().join("cli/tests/house/mutations"), "toml").into_iter().map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            toml::from_str::<List>(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        });
        lists.flat_map(|list| list.mutation).collect()
    }

    /// Such as `node` or `node/gateway`.
    fn crate_dir(&self) -> &str {
        self.file.split("/src/").next().unwrap()
    }

    /// The arguments with which cargo runs each set of tests of which one has to fail.
    fn runs(&self) -> Vec<Vec<String>> {
        let words = |words: &str| words.split(' ').map(str::to_owned).collect();
        let package = format!("-p chordage-{}", self.crate_dir().rsplit('/').next().unwrap());
        let beside = if self.crate_dir() == "cli" { "--bins" } else { "--lib" };
        match &self.test {
            // Most are noticed beside the code.
            None => vec![words(&format!("{package} {beside}")), words(&format!("{package} --tests"))],
            Some(test) => match Home::of(self.crate_dir(), test) {
                Some(Home::Crate) | None => vec![words(&format!("{package} {beside} -- {test}"))],
                Some(Home::Stories(stories)) => {
                    vec![words(&format!("--workspace --test {stories} -- {test}"))]
                }
            },
        }
    }
}

/// Where a test is.
enum Home {
    /// In the sources of its crate.
    Crate,
    /// In this folder of `cli/tests`.
    Stories(String),
}

impl Home {
    fn of(crate_dir: &str, test: &str) -> Option<Home> {
        let declares = |path: &Path| fs::read_to_string(path).unwrap().contains(&format!("fn {test}("));
        if files_below(&root().join(crate_dir).join("src"), "rs").iter().any(|path| declares(path)) {
            return Some(Home::Crate);
        }
        let stories = root().join("cli/tests");
        let found = files_below(&stories, "rs").into_iter().find(|path| declares(path))?;
        let folder = found.strip_prefix(&stories).unwrap().components().next()?;
        Some(Home::Stories(folder.as_os_str().to_string_lossy().into_owned()))
    }
}

#[test]
fn broken_rules_are_those_of_the_code_as_it_is() {
    let all = Mutation::all();
    assert!(all.len() > 50, "{} rules", all.len());
    let mut complaints = Vec::new();
    for mutation in &all {
        let Mutation { rule, file, old, new, test } = mutation;
        let found =
            fs::read_to_string(root().join(file)).map_or(0, |text| text.matches(old.as_str()).count());
        if found != 1 || old == new {
            complaints.push(format!("{file}: the code of \"{rule}\" is there {found} times"));
        }
        if let Some(test) = test
            && Home::of(mutation.crate_dir(), test).is_none()
        {
            complaints.push(format!(
                "{file}: there is no test {test}, which is to notice that \"{rule}\" is broken"
            ));
        }
    }
    no_complaints("what breaks a rule has to fit the code: change it with the code", &complaints);
}

#[test]
#[ignore = "takes hours"]
fn every_broken_rule_is_noticed() {
    let copy = tempfile::tempdir().unwrap();
    for name in ["Cargo.toml", "Cargo.lock", "cli", "dht", "node", "sim", "storage", "testnet"] {
        copy_all(&root().join(name), &copy.path().join(name));
    }
    let cargo = |args: &[String]| {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo.args(["test", "--offline", "--quiet"]).args(args);
        cargo.env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "1").env("PROPTEST_MAX_SHRINK_ITERS", "0");
        cargo.current_dir(copy.path()).env("CARGO_TARGET_DIR", copy.path().join("target"));
        cargo.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        cargo.status().unwrap().success()
    };
    let all = Mutation::all();
    let runs: BTreeSet<Vec<String>> = all.iter().flat_map(Mutation::runs).collect();
    for run in runs {
        assert!(cargo(&run), "{run:?} passes as long as nothing is broken");
    }
    let mut complaints = Vec::new();
    for mutation in all {
        let Mutation { rule, file, old, new, .. } = &mutation;
        let path = copy.path().join(file);
        let whole = fs::read_to_string(&path).unwrap();
        fs::write(&path, whole.replacen(old.as_str(), new, 1)).unwrap();
        let runs = mutation.runs();
        let builds = |run: &Vec<String>| {
            let args = run.iter().take_while(|arg| *arg != "--").cloned();
            cargo(&args.chain(["--no-run".to_owned()]).collect::<Vec<_>>())
        };
        let verdict = match runs.iter().all(builds) {
            false => "does not build",
            true if runs.iter().all(|run| cargo(run)) => "is not noticed",
            true => "is noticed",
        };
        println!("{verdict}: {rule} ({file})");
        if verdict != "is noticed" {
            complaints.push(format!("\"{rule}\" broken in {file} {verdict}"));
        }
        fs::write(&path, whole).unwrap();
    }
    no_complaints("every broken rule is noticed by its tests", &complaints);
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
