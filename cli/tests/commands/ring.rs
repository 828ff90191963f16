//! The picture of the ring, of a network small enough to know all of it.

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

use crate::harness::Scene;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn ids<'a>(peers: impl IntoIterator<Item = &'a Value>) -> BTreeSet<&'a str> {
    peers.into_iter().map(|peer| peer["id"].as_str().unwrap()).collect()
}

#[test]
fn the_ring_is_told_in_characters_in_json_and_as_a_picture() {
    let scene = Scene::with_daemons(5);
    let id = |index| scene.net.id(index).unwrap().to_string();
    let (me, others): (String, Vec<String>) = (id(0), (1..5).map(id).collect());
    let others: BTreeSet<&str> = others.iter().map(String::as_str).collect();

    let view = json(&scene.run(["ring", "--json"]).succeeds());
    assert_eq!((&view["id"], &view["network_nodes"]), (&me.as_str().into(), &5.into()));
    let leaves = view["leaf_set"].as_array().unwrap();
    assert_eq!(ids(leaves), others, "everybody is a neighbour of everybody");
    assert!(leaves.is_sorted_by(|a, b| a["offset"].as_f64() < b["offset"].as_f64()), "{view}");
    for row in view["rows"].as_array().unwrap() {
        let (start, length) = (row["start"].as_f64().unwrap(), row["length"].as_f64().unwrap());
        for finger in row["fingers"].as_array().unwrap() {
            let turn = finger["offset"].as_f64().unwrap().rem_euclid(1.0);
            assert!((start..start + length).contains(&turn), "{finger} is not in its row {row}");
        }
    }

    for (locale, own_mark) in [("C", '@'), ("C.UTF-8", '\u{25c9}')] {
        let text = scene.run(["ring"]).env("LC_ALL", locale).succeeds();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        assert!(text.contains(&format!("{own_mark} {}", &me[..16])) && text.contains("5 nodes"), "{text}");
        assert!(locale != "C" || text.is_ascii(), "{text}");
    }

    let drawn = scene.run(["ring", "--svg", "-"]).succeeds();
    scene.run(["ring", "--svg", "ring.svg"]).succeeds();
    for picture in [drawn, fs::read_to_string(scene.path("ring.svg")).unwrap()] {
        assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n"), "{picture}");
        assert!(others.iter().chain([&me.as_str()]).all(|id| picture.contains(id)), "{picture}");
    }
    scene.run(["ring", "--svg", "-", "--json"]).fails(2, &["at once"]);
    scene.run(["ring", "--svg", "no/such/directory/ring.svg"]).fails(7, &["cannot write"]);
}
