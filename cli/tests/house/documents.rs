//! Documents point at things that exist, and CI does what the README says.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{files_below, no_complaints, root, shown};

/// The two commands that a newcomer types, and how CI runs them. It has the main job done by what the tests have built:
/// the same code, and an optimised build of everything takes ten of the 25 minutes that a run may take.
const COMMANDS: [(&str, &str); 2] = [
    ("cargo run --release -- demo", "cargo run -- demo"),
    ("cargo test --workspace", "cargo test --workspace"),
];

#[test]
fn every_link_leads_somewhere() {
    let mut complaints = Vec::new();
    for path in files_below(&root(), "md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in links(&text) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            if !file.exists() {
                complaints.push(format!("{}: {target} does not exist", shown(&path)));
            } else if !anchor.is_empty() && !anchors(&file).contains(anchor) {
                complaints.push(format!("{}: {target}: no such heading", shown(&path)));
            }
        }
    }
    no_complaints("links in documents lead somewhere", &complaints);
}

#[test]
fn ci_runs_the_commands_of_the_readme() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let ci = fs::read_to_string(root().join(".ci/run")).unwrap();
    let mut complaints = Vec::new();
    for (typed, run) in COMMANDS {
        if !readme.lines().any(|line| line.trim() == typed) {
            complaints.push(format!("README.md does not have the line `{typed}`"));
        }
        if !ci.lines().any(|line| line.starts_with("step ") && line.ends_with(run)) {
            complaints.push(format!(".ci/run has no step that runs `{run}`"));
        }
    }
    no_complaints("README and CI agree", &complaints);
}

/// Targets of inline links, outside of code.
pub(super) fn links(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        }
        if fenced {
            continue;
        }
        // Every second piece between backquotes is code.
        for prose in line.split('`').step_by(2) {
            for (start, _) in prose.match_indices("](") {
                let rest = &prose[start + 2..];
                found.extend(rest.find(')').map(|end| &rest[..end]));
            }
        }
    }
    found
}

/// The anchors that headings make: lower case, spaces become hyphens, punctuation goes.
fn anchors(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| {
            let title = line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            title.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_')).collect()
        })
        .collect()
}

#[test]
fn links_are_found_and_code_is_left_alone() {
    let text = "see [a](one.md) and [b](two.md#x)\n`[c](no.md)`\n```\n[d](no.md)\n```\n[e](#here)";
    assert_eq!(links(text), ["one.md", "two.md#x", "#here"]);
}
