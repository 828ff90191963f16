//! Signed records survive the nodes that keep them, and no reader of a majority sees less than was acknowledged.

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::records::{Records, run},
    sessions::{Sessions, Shape},
    world::Setup,
};

#[test]
fn records_outlive_publishers_and_holders() {
    let setup = Setup::new(1, AnyMetric::Ring);
    let sessions = Sessions { median: Duration::from_secs(1200), shape: Shape::Exponential };
    let plan = Records::new(setup, 100, 300, sessions, Duration::from_secs(3600));
    let report = run(Records { reads_per_second: 1.0, writes_per_second: 0.2, ..plan });
    assert_eq!((report.lost, report.stale_quorum_reads), (0, 0), "{report:#?}");
    assert!(report.deaths > 150, "{report:#?}");
}
