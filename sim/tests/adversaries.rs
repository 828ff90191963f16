//! Liars, silent nodes, and many identities of one attacker.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::{
        adversaries::{self, Adversaries},
        eclipse::{self, Eclipse},
    },
    world::Setup,
    world::adversary::Role,
};

fn among(role: Role, share: f64, paths: u8) -> f64 {
    let report = adversaries::run(&Adversaries {
        setup: Setup::new(10, AnyMetric::Ring),
        nodes: 300,
        share,
        role,
        lookups: 300,
        paths,
        confirm: 3,
        want: 20,
    });
    assert_eq!(report.lookups, 300);
    report.success_rate
}

#[test]
fn disjoint_paths_get_past_liars_where_one_path_does_not() {
    let (one, eight) = (among(Role::Liar, 0.3, 1), among(Role::Liar, 0.3, 8));
    assert!(eight >= 0.99, "{eight}");
    assert!(one < eight, "{one} {eight}");
}

#[test]
fn silent_nodes_hide_nobody() {
    let found = among(Role::Silent, 0.2, 1);
    assert!(found >= 0.99, "{found}");
}

#[test]
fn one_subnet_gets_two_seats_of_a_row_however_many_ids_it_has() {
    let plan = Eclipse {
        setup: Setup::new(11, AnyMetric::Ring),
        nodes: 100,
        attackers: 100,
        around_a_key: 10,
        duration: Duration::from_secs(40),
    };
    let report = eclipse::run(&plan);
    assert!(report.attackers_joined > 90, "the attack was none: {report:?}");
    assert!((1..=2).contains(&report.seats_of_a_row_max), "{report:?}");

    // The bound is what does it.
    let open = Setup { diverse: false, ..plan.setup.clone() };
    let report = eclipse::run(&Eclipse { setup: open, ..plan });
    assert!(report.seats_of_a_row_max > 2, "{report:?}");
}
