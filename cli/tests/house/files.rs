//! What may stand at the top, how long a file may be, and what may not be left in one.

use std::fs;

use super::{CRATES, files_below, no_complaints, root, shown};

/// Lines of a source file. Above it a file most likely has two ideas.
const LINES_MAX: usize = 500;

/// Lines of a function, from its first word to its last brace.
const FUNCTION_LINES_MAX: usize = 80;

/// Columns of a line of comment or prose: as many as the formatter allows code.
const COLUMNS_MAX: usize = 120;

/// Fields of a struct that need no reason.
const FIELDS_MAX: usize = 15;

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
fn functions_fit_on_a_screen_or_two() {
    let mut complaints = Vec::new();
    for name in CRATES {
        for path in files_below(&root().join(name).join("src"), "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let lines: Vec<&str> = text.lines().collect();
            // Formatted code: a function ends where a brace stands under its first word.
            for (at, line) in lines.iter().enumerate().filter(|(_, line)| begins_function(line)) {
                let indent = &line[..line.len() - line.trim_start().len()];
                let end = format!("{indent}}}");
                let length = lines[at..].iter().position(|line| *line == end).map_or(0, |last| last + 1);
                let has_body = lines[at..].iter().find(|line| line.ends_with(['{', ';', '}']));
                if length > FUNCTION_LINES_MAX && has_body.is_some_and(|line| line.ends_with('{')) {
                    complaints.push(format!("{}:{} has {length} lines", shown(&path), at + 1));
                }
            }
        }
    }
    no_complaints("a function has at most 80 lines", &complaints);
}

#[test]
fn structs_with_many_fields_say_why() {
    let mut complaints = Vec::new();
    let dirs = ["dht/src", "storage/src", "node/src", "node/api/src", "node/gateway/src"]
        .map(|dir| files_below(&root().join(dir), "rs"));
    for path in dirs.into_iter().flatten() {
        let text = fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let begins =
            |line: &str| line.ends_with('{') && (line.starts_with("struct ") || line.contains(" struct "));
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| begins(line)) {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let inside = lines[at + 1..].iter().take_while(|line| **line != end);
            let fields = inside.filter(|line| {
                let text = line.trim_start();
                !text.starts_with(['/', '#']) && text.contains(": ")
            });
            let above = lines[..at].iter().rev().take_while(|line| line.starts_with(['/', '#']));
            let reason = above.into_iter().any(|line| line.contains("many fields because"));
            if fields.count() > FIELDS_MAX && !reason {
                complaints.push(format!("{}:{} {line}", shown(&path), at + 1));
            }
        }
    }
    no_complaints("a struct has at most 15 fields, or \"has many fields because\" above it", &complaints);
}

fn begins_function(line: &str) -> bool {
    let words = line.trim_start().split(' ');
    let mut rest = words.skip_while(|word| word.starts_with("pub") || ["async", "const"].contains(word));
    rest.next() == Some("fn")
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

/// Whether a line of prose may be longer than others: a row of a table, a drawing, or one word that cannot be broken.
fn may_be_long(text: &str) -> bool {
    text.starts_with('|') || text.contains(['│', '─', '┌', '└']) || !text.contains(' ')
}

/// Lines of prose that are too long, by their numbers. `prose` says what of a line is prose; a line of which nothing is
/// ends a block, and with it whatever is fenced off in it.
fn long_lines<'a>(text: &'a str, prose: impl Fn(&'a str) -> Option<&'a str>) -> Vec<usize> {
    let (mut long, mut fenced) = (Vec::new(), false);
    for (at, line) in text.lines().enumerate() {
        let Some(said) = prose(line) else {
            fenced = false;
            continue;
        };
        if said.starts_with("```") {
            fenced = !fenced;
        } else if !fenced && line.chars().count() > COLUMNS_MAX && !may_be_long(said) {
            long.push(at + 1);
        }
    }
    long
}

#[test]
fn comments_and_pages_keep_to_the_columns_of_code() {
    let mut complaints = Vec::new();
    for extension in ["rs", "md"] {
        for path in files_below(&root(), extension) {
            let text = fs::read_to_string(&path).unwrap();
            let long = long_lines(&text, |line| match extension {
                "rs" => {
                    let comment = line.trim_start().strip_prefix("//")?;
                    Some(comment.trim_start_matches(['/', '!']).trim_start())
                }
                _ => Some(line.trim_start()),
            });
            complaints.extend(long.iter().map(|line| format!("{}:{line}", shown(&path))));
        }
    }
    no_complaints("a line of prose has at most 120 columns", &complaints);
}

#[test]
fn long_lines_are_found_but_in_tables_drawings_and_what_is_fenced_off() {
    let words = "word ".repeat(30);
    let table = format!("| {words}|");
    let text = format!("{words}\n{table}\n```\n{words}\n```\n{words}\nshort");
    assert_eq!(long_lines(&text, Some), [1, 6]);
    let unbroken = "w".repeat(200);
    assert!(long_lines(&format!("({unbroken})."), Some).is_empty());
    let code = format!("// ```\n// {words}\nlet code = 1;\n// {words}");
    let comment = |line: &'static str| line.strip_prefix("// ");
    assert_eq!(long_lines(Box::leak(code.into_boxed_str()), comment), [4], "a fence ends with its comment");
}
