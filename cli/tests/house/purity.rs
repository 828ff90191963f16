//! The pure crates ask nobody for the time, for chance or for the network: those are arguments.

use std::fs;

use super::{files_below, no_complaints, root, shown};

/// Words that neither `dht` nor `storage` may say outside of tests.
const FORBIDDEN: [&str; 18] = [
    "std::net",
    "tokio",
    "async fn",
    "async move",
    ".await",
    "Instant",
    "SystemTime",
    "thread_rng",
    "ThreadRng",
    "OsRng",
    "SystemRandom",
    "RandomState",
    "getrandom",
    "rand::rng",
    "thread::sleep",
    "std::env::var",
    "println!",
    "dbg!",
];

/// Further words that `dht` may not say: it has no disk, no threads, and no maps whose order is chance.
const FORBIDDEN_IN_DHT: [&str; 7] =
    ["std::fs", "std::io", "std::thread", "std::process", "std::sync", "HashMap", "HashSet"];

#[test]
fn pure_crates_ask_nobody_for_time_or_chance() {
    let mut complaints = Vec::new();
    for name in ["dht", "storage"] {
        for path in files_below(&root().join(name).join("src"), "rs") {
            // Whole files of tests: `tests.rs`, or below `tests/`.
            if path.iter().any(|part| part == "tests.rs" || part == "tests") {
                continue;
            }
            let source = fs::read_to_string(&path).unwrap();
            for (number, line) in code_lines(&source) {
                let further: &[&str] = if name == "dht" { &FORBIDDEN_IN_DHT } else { &[] };
                for word in FORBIDDEN.iter().chain(further).filter(|word| says(line, word)) {
                    complaints.push(format!("{}:{number}: {word}", shown(&path)));
                }
            }
        }
    }
    no_complaints("time, chance and the network are arguments", &complaints);
}

/// The lines before the tests at the end of a file, without their comments.
pub(super) fn code_lines(source: &str) -> impl Iterator<Item = (usize, &str)> {
    source
        .lines()
        .enumerate()
        .take_while(|(_, line)| line.trim() != "#[cfg(test)]" || line.starts_with(' '))
        .map(|(number, line)| (number + 1, line.split("//").next().unwrap_or("")))
}

/// Whether a line says a word: not as a part of a longer one.
fn says(line: &str, word: &str) -> bool {
    let part = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_');
    line.match_indices(word).any(|(start, found)| {
        let before = start.checked_sub(1).and_then(|before| line.as_bytes().get(before));
        let starts_like_a_name = found.as_bytes()[0].is_ascii_alphanumeric();
        let ends_like_a_name = found.as_bytes()[found.len() - 1].is_ascii_alphanumeric();
        let after = line.as_bytes().get(start + found.len());
        let longer = starts_like_a_name && part(before) || ends_like_a_name && part(after);
        !longer
    })
}

#[test]
fn words_are_found_as_words() {
    assert!(says("let now = Instant::now();", "Instant"));
    assert!(!says("let instantly = InstantNoodles;", "Instant"));
    assert!(says("x.await?", ".await"));
    assert!(!says("println_to!", "println!"));
    let source = "code();\n// Instant\nmore(); // Instant\n#[cfg(test)]\nmod tests { Instant }\n";
    assert!(code_lines(source).all(|(_, line)| !says(line, "Instant")));
    assert_eq!(code_lines(source).count(), 3);
}
