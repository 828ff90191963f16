//! What may stand at the top, how long a file may be, and what may not be left in one.

use std::fs;

use super::{files_below, no_complaints, root, shown};

/// Lines of a source file. Above it a file most likely has two ideas.
const LINES_MAX: usize = 500;

/// Files that are longer, with the length they may not exceed. This list only gets shorter.
const LONGER: [(&str, usize); 0] = [];

const TOP: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "cli",
    "dht",
    "docs",
    "fuzz",
    "node",
    "sim",
    "storage",
    "testnet",
];

#[test]
fn the_top_level_is_what_a_reader_looks_for() {
    let complaints: Vec<String> = fs::read_dir(root())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| !name.starts_with('.') && name != "target" && !TOP.contains(&name.as_str()))
        .collect();
    no_complaints("the top level holds only the crates, docs, README and licence", &complaints);
}

#[test]
fn files_have_one_idea() {
    let mut complaints = Vec::new();
    for path in files_below(&root(), "rs") {
        let name = shown(&path);
        let lines = fs::read_to_string(&path).unwrap().lines().count();
        let allowed =
            LONGER.iter().find(|(longer, _)| *longer == name).map_or(LINES_MAX, |(_, lines)| *lines);
        if lines > allowed {
            complaints.push(format!("{name} has {lines} lines, {allowed} are allowed"));
        }
    }
    no_complaints("a file holds one idea", &complaints);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together, so that this file does not find itself.
    let words =
        [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("unimplemented", "!("), concat!("todo", "!(")];
    let mut complaints = Vec::new();
    for extension in ["rs", "md", "toml"] {
        for path in files_below(&root(), extension) {
            let content = fs::read_to_string(&path).unwrap();
            for (number, line) in content.lines().enumerate() {
                if words.iter().any(|word| line.contains(word)) {
                    complaints.push(format!("{}:{}: {}", shown(&path), number + 1, line.trim()));
                }
            }
        }
    }
    no_complaints("what is landed is finished; what is not is an issue, not a comment", &complaints);
}
