//! Every dependency may be used under a licence that `.deny.toml` allows. The same rule as `cargo deny check
//! licenses`, from what cargo knows offline.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use super::{no_complaints, root};

#[test]
fn every_dependency_has_an_allowed_licence() {
    // Only what is really built on this platform with the features in use; `cargo metadata` names more.
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--workspace", "--offline", "--locked", "--prefix", "none", "-e", "normal,build,dev"])
        .args(["--format", "{p}|{l}"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    let allowed = allowed();
    let packages: BTreeSet<(&str, &str)> =
        tree.lines().filter_map(|line| line.trim_end_matches(" (*)").split_once('|')).collect();
    assert!(packages.len() > 100, "the tree is not understood:\n{tree}");
    let complaints: Vec<String> = packages
        .into_iter()
        .filter(|(_, licence)| !satisfied(licence, &allowed))
        .map(|(package, licence)| format!("{package}: {licence:?}"))
        .collect();
    no_complaints("dependencies have licences that .deny.toml allows", &complaints);
}

#[test]
fn every_dependency_comes_from_the_registry() {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock")).unwrap().parse().unwrap();
    let complaints: Vec<String> = lock["package"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|package| Some((package["name"].as_str()?, package.get("source")?.as_str()?)))
        .filter(|(_, source)| *source != "registry+https://github.com/rust-lang/crates.io-index")
        .map(|(name, source)| format!("{name} comes from {source}"))
        .collect();
    no_complaints("dependencies come from the registry", &complaints);
}

fn allowed() -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(".deny.toml")).unwrap();
    let config: toml::Table = text.parse().unwrap();
    let licences = config["licenses"]["allow"].as_array().unwrap();
    licences.iter().map(|licence| licence.as_str().unwrap().to_owned()).collect()
}

/// Whether a licence expression (SPDX, or the older one with slashes) can be satisfied by allowed licences.
fn satisfied(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest, allowed) && rest.is_empty()
}

fn any(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut result = all(words, allowed);
    while words.first() == Some(&"OR") {
        *words = &words[1..];
        result |= all(words, allowed);
    }
    result
}

fn all(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    let mut result = one(words, allowed);
    while words.first() == Some(&"AND") {
        *words = &words[1..];
        result &= one(words, allowed);
    }
    result
}

fn one(words: &mut &[&str], allowed: &BTreeSet<String>) -> bool {
    match **words {
        ["(", ref inner @ ..] => {
            *words = inner;
            let result = any(words, allowed);
            let closed = words.first() == Some(&")");
            *words = &words[usize::from(closed)..];
            result && closed
        }
        [licence, "WITH", exception, ref rest @ ..] => {
            *words = rest;
            allowed.contains(&format!("{licence} WITH {exception}"))
        }
        [licence, ref rest @ ..] => {
            *words = rest;
            allowed.contains(licence)
        }
        [] => false,
    }
}

#[test]
fn licence_expressions_are_understood() {
    let allowed: BTreeSet<String> = ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].map(String::from).into();
    for good in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "MIT AND ISC",
        "(GPL-3.0 OR MIT) AND ISC",
        "Apache-2.0 WITH LLVM-exception",
        "GPL-3.0 AND ISC OR MIT",
    ] {
        assert!(satisfied(good, &allowed), "{good}");
    }
    for bad in
        ["", "GPL-3.0", "GPL-3.0 AND MIT", "(MIT", "MIT)", "Apache-2.0", "MIT AND (GPL-3.0 OR Apache-2.0)"]
    {
        assert!(!satisfied(bad, &allowed), "{bad}");
    }
}
