//! The documentation is a book: its summary has every page, and no page needs what is not in it.

use std::fs;
use std::path::{Component, Path};

use super::documents::links;
use super::{files_below, no_complaints, root, shown};

#[test]
fn the_summary_has_every_page_once() {
    let docs = root().join("docs");
    let summary = fs::read_to_string(docs.join("SUMMARY.md")).unwrap();
    let listed = links(&summary);
    let mut complaints = Vec::new();
    for path in files_below(&docs, "md") {
        let page = path.strip_prefix(&docs).unwrap();
        let times = listed.iter().filter(|target| Path::new(target) == page).count();
        if times != usize::from(page != Path::new("SUMMARY.md")) {
            complaints.push(format!("docs/SUMMARY.md has {} {times} times", page.display()));
        }
    }
    no_complaints("the summary of the book has every page once", &complaints);
}

/// A book is served without the code around it, and shows pages, but neither directories nor its summary.
#[test]
fn pages_link_to_what_is_in_the_book() {
    let docs = root().join("docs");
    let mut complaints = Vec::new();
    for path in files_below(&docs, "md") {
        let text = fs::read_to_string(&path).unwrap();
        for target in links(&text).into_iter().filter(|target| !target.contains(':')) {
            let file = target.split_once('#').map_or(target, |(file, _)| file);
            let above = |component: &Component<'_>| *component == Component::ParentDir;
            let up = Path::new(file).components().filter(above).count();
            let leads_out = up > path.strip_prefix(&docs).unwrap().components().count() - 1;
            let is_dir = !file.is_empty() && path.parent().unwrap().join(file).is_dir();
            if leads_out || is_dir || file.ends_with("SUMMARY.md") {
                complaints.push(format!("{}: {target}", shown(&path)));
            }
        }
    }
    no_complaints("pages of the book link to pages and pictures of the book", &complaints);
}

#[test]
fn every_tour_is_run_by_a_test() {
    let tests = files_below(&root().join("cli/tests/daemons"), "rs");
    let tests: String = tests.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let mut complaints = Vec::new();
    for path in files_below(&root().join("docs/tours"), "md") {
        let name = path.file_stem().unwrap().to_string_lossy();
        if !tests.contains(&format!("(\"{name}\")")) && !tests.contains(&format!("docs/tours/{name}.md")) {
            complaints.push(shown(&path));
        }
    }
    no_complaints("a test in cli/tests/daemons runs each tour", &complaints);
}
