//! Which modules may use which, inside a crate: the top ones form floors, and nothing reaches up or around.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::{CRATES, files_below, no_complaints, root, shown};

/// The floors of `node`, from the bottom. A module uses those on lower floors only.
const FLOORS: [&[&str]; 14] = [
    &[
        "address",
        "archive",
        "awake",
        "clock",
        "datadir",
        "descriptors",
        "following",
        "lines",
        "network",
        "pool",
        "portmap",
        "process",
        "resolver",
    ],
    &["coding", "config", "found", "identity", "place", "record", "tasks", "twin"],
    &["lan", "recordbook", "store", "wire"],
    &["disk", "driver", "listen", "scrub"],
    &[
        "access",
        "members",
        "names",
        "neighbourhood",
        "placement",
        "reachability",
        "services",
        "shards",
        "topics",
    ],
    &["dns", "holders"],
    &["leases"],
    &["get"],
    &["put", "repair"],
    &["volumes"],
    &["home"],
    &["handle"],
    &["server"],
    &["daemon"],
];

/// Modules that still use each other in a circle. This list only gets shorter.
const CIRCLES: [&[&str]; 0] = [];

/// What each top module of a crate uses of the others, with a file in which it does.
struct Graph {
    uses: BTreeMap<String, BTreeMap<String, String>>,
}

impl Graph {
    fn of(name: &str) -> Self {
        let src = root().join(name).join("src");
        let mut uses = BTreeMap::new();
        for entry in fs::read_dir(&src).unwrap() {
            let entry = entry.unwrap().path();
            let module = entry.file_stem().unwrap().to_str().unwrap().to_owned();
            if !["lib", "main"].contains(&module.as_str()) {
                uses.insert(module, BTreeMap::new());
            }
        }
        let modules: BTreeSet<String> = uses.keys().cloned().collect();
        let exported = exported(&src, &modules);
        for path in files_below(&src, "rs") {
            let inside = path.strip_prefix(&src).unwrap();
            let is_test =
                inside.components().any(|part| part.as_os_str().to_string_lossy().starts_with("tests"));
            let module = inside.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs");
            let Some(used) = uses.get_mut(module).filter(|_| !is_test) else { continue };
            let depth = inside.components().count() - usize::from(inside.ends_with("mod.rs"));
            let code = from_the_root(&code(&fs::read_to_string(&path).unwrap()), depth);
            for name in names_in_crate(&code) {
                let target = if modules.contains(&name) { Some(&name) } else { exported.get(&name) };
                if let Some(target) = target.filter(|target| *target != module) {
                    used.entry(target.clone()).or_insert_with(|| shown(&path));
                }
            }
        }
        Graph { uses }
    }

    /// Those that lead from `module` to itself.
    fn circle(&self, module: &str) -> BTreeSet<String> {
        let reach = |from: &str, back: bool| {
            let mut seen = BTreeSet::from([from.to_owned()]);
            let mut open = vec![from.to_owned()];
            while let Some(at) = open.pop() {
                let next = self.uses.iter().flat_map(|(user, used)| {
                    used.keys().map(move |used| if back { (used, user) } else { (user, used) })
                });
                for (_, to) in next.filter(|(from, _)| **from == at) {
                    if seen.insert(to.clone()) {
                        open.push(to.clone());
                    }
                }
            }
            seen
        };
        reach(module, false).intersection(&reach(module, true)).cloned().collect()
    }
}

/// What `pub use` in the crate's root makes of names in modules.
fn exported(src: &Path, modules: &BTreeSet<String>) -> BTreeMap<String, String> {
    let text = fs::read_to_string(src.join("lib.rs")).unwrap_or_default();
    let mut exported = BTreeMap::new();
    for statement in code(&text).split(';').filter_map(|part| part.trim().strip_prefix("pub use ")) {
        let statement = statement.strip_prefix("self::").unwrap_or(statement);
        let (module, rest) = statement.split_once("::").unwrap_or((statement, ""));
        if modules.contains(module) {
            let names = rest.split(|character: char| !(character.is_alphanumeric() || character == '_'));
            exported.extend(names.map(|name| (name.to_owned(), module.to_owned())));
        }
    }
    exported
}

/// A source without comments, and without its own tests, which stand at the end.
fn code(text: &str) -> String {
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let lines = text.lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join(" ")
}

/// A source whose module stands this deep below the crate's root, with `crate::` for every `super::` that leads there.
fn from_the_root(code: &str, depth: usize) -> String {
    code.replace(&"super::".repeat(depth), "crate::")
}

/// The first names behind every `crate::`.
fn names_in_crate(code: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[at + "crate::".len()..];
        let Some(group) = rest.strip_prefix('{') else {
            names.insert(word(rest));
            continue;
        };
        let (mut depth, mut start) = (0, 0);
        for (at, character) in group.char_indices() {
            match character {
                '{' => depth += 1,
                ',' | '}' if depth == 0 => {
                    names.insert(word(&group[start..at]));
                    start = at + 1;
                    if character == '}' {
                        break;
                    }
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
    }
    names
}

#[test]
fn no_modules_use_each_other_in_a_circle() {
    let mut complaints = Vec::new();
    for name in CRATES {
        let graph = Graph::of(name);
        let mut seen = BTreeSet::new();
        for module in graph.uses.keys() {
            let circle = graph.circle(module);
            let known =
                CIRCLES.iter().any(|known| circle.iter().all(|module| known.contains(&module.as_str())));
            if circle.len() > 1 && !known && seen.insert(circle.clone()) {
                let within = |(used, file): (&String, &String)| {
                    circle.contains(used).then(|| format!("{used} (in {file})"))
                };
                for user in &circle {
                    let used: Vec<String> = graph.uses[user].iter().filter_map(within).collect();
                    complaints.push(format!("{name}: {user} uses {}", used.join(", ")));
                }
            }
        }
        println!("{name}: {} top modules", graph.uses.len());
    }
    no_complaints("no modules use each other in a circle", &complaints);
}

#[test]
fn modules_of_node_use_those_on_lower_floors_only() {
    let floor = |module: &str| FLOORS.iter().position(|floor| floor.contains(&module));
    let mut complaints = Vec::new();
    for (user, used) in Graph::of("node").uses {
        let Some(own) = floor(&user) else {
            complaints.push(format!("{user} is new: say in FLOORS where it stands"));
            continue;
        };
        for (used, file) in used.iter().filter(|(used, _)| floor(used).is_none_or(|floor| floor >= own)) {
            complaints.push(format!("{user} uses {used}, which is not below it (in {file})"));
        }
    }
    no_complaints("modules use those on lower floors only", &complaints);
}

#[test]
fn names_are_found_in_paths_and_groups() {
    let text = "use crate::{a::{B, C}, d, E}; let x = crate::f::g(); // crate::h\nmycrate::i";
    let names: Vec<String> = names_in_crate(&code(text)).into_iter().collect();
    assert_eq!(names, ["E", "a", "d", "f"]);
}

#[test]
fn only_those_super_that_lead_to_the_root_are_of_the_crate() {
    let names = |text: &str, depth| -> Vec<String> {
        names_in_crate(&from_the_root(text, depth)).into_iter().collect()
    };
    let top = "use super::{a, b::C}; use self::d::E; pub(super) fn f() { super::g::h() }";
    assert_eq!(names(top, 1), ["a", "b", "g"]);
    let deeper = "use super::a; use super::super::b; use crate::c;";
    assert_eq!(names(deeper, 2), ["b", "c"]);
}
