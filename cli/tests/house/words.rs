//! What the program says is ASCII, so that no locale garbles it. What it draws may be more, where the locale allows it.

use std::fs;

use super::purity::code_lines;
use super::{CRATES, files_below, no_complaints, root, shown};

/// Makes files of its own, whose names are data.
const DATA: &str = "cli/src/demo/sample.rs";

#[test]
fn what_the_program_says_is_ascii() {
    let mut complaints = Vec::new();
    for name in CRATES {
        for path in files_below(&root().join(name).join("src"), "rs") {
            if shown(&path) == DATA || path.iter().any(|part| part == "tests.rs" || part == "tests") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for (number, line) in code_lines(&source) {
                // A backslash that stands for itself begins no escape.
                let escapes = line.replace(r"\\", "").contains(r"\u{");
                if !line.is_ascii() || (escapes && !line.contains(".pick(")) {
                    complaints.push(format!("{}:{number}: {}", shown(&path), line.trim()));
                }
            }
        }
    }
    no_complaints("words are ASCII, and drawings ask cli/src/charset.rs", &complaints);
}
