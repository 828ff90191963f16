//! Scenarios are read strictly and judged by what they expect.

#![allow(clippy::unwrap_used)]

use chordage_sim::scenario::Scenario;

const SMALL: &str = r#"
name = "small"
seed = 3
nodes = 50

[experiment]
kind = "lookups"
lookups = 50
"#;

#[test]
fn every_scenario_of_ours_can_be_read() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/scenarios");
    let mut seen = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        Scenario::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

#[test]
fn expectations_decide_whether_a_run_has_passed() {
    let met = format!("{SMALL}\n[expect]\nsuccess_rate = {{ min = 1.0 }}\nhops_mean = {{ max = 3.0 }}");
    let report = Scenario::parse(&met).unwrap().run().unwrap();
    assert!(report.passed(), "{report}");

    let missed = format!("{SMALL}\n[expect]\nhops_mean = {{ min = 50 }}\nno_such_field = {{ min = 1 }}");
    let report = Scenario::parse(&missed).unwrap().run().unwrap();
    assert_eq!(report.failures.len(), 2, "{report}");
    assert!(report.to_string().contains("FAILED: hops_mean is"), "{report}");
    assert!(report.plots["latency"].to_svg().contains("<polyline"));
    assert_eq!(report.to_json()["failures"].as_array().unwrap().len(), 2);
}

#[test]
fn mistakes_are_named() {
    let wrong = [
        ("nodes = 50", "nodes = 1", "`nodes` must be from 2 to 10 million, not 1"),
        ("seed = 3", "sede = 3", "unknown field `sede`"),
        ("lookups = 50", "lookup = 50", "unknown field `lookup`"),
        ("lookups = 50", "dead = 1.5", "`dead` must be a share from 0 to less than 1, not 1.5"),
        ("kind = \"lookups\"", "kind = \"lookup\"", "unknown variant `lookup`"),
        ("seed = 3", "metric = \"taxicab\"", "unknown variant `taxicab`"),
        ("seed = 3", "faults = { loss = 2 }", "in [faults]: `loss` is a share from 0 to 1, not 2"),
        ("seed = 3", "config = { row_actve = 4 }", "in [config]: unknown field `row_actve`"),
    ];
    for (right, mistake, message) in wrong {
        let text = SMALL.replace(right, mistake);
        let error = Scenario::parse(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{mistake}: {error}");
    }
    let lost = SMALL.replace("seed = 3", "latency = \"no/such/file\"");
    let error = Scenario::parse(&lost).unwrap().run().unwrap_err().to_string();
    assert!(error.contains("in `latency`: cannot read no/such/file"), "{error}");
}
