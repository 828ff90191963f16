//! Liars, silent nodes, and many identities of one attacker.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use chordage_sim::{
    AnyMetric,
    experiments::{
        adversaries::{self, Adversaries},
        eclipse::{self, Eclipse},
        seats::{self, Seats},
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

/// Three of ten ids are in eight subnets, and half of these were ground until they were drawn.
fn claiming(diverse: bool, forged: f64, [settle, duration]: [u64; 2]) -> seats::SeatsReport {
    let mut setup = Setup { diverse, ..Setup::new(12, AnyMetric::Ring) };
    setup.config.members = 60;
    setup.config.quarantine = Duration::from_secs(5);
    let report = seats::run(&Seats {
        setup,
        nodes: 112,
        attackers: 48,
        subnets: 8,
        ground: 0.5,
        settle: Duration::from_secs(settle),
        duration: Duration::from_secs(duration),
        forged,
        lookups: 300,
    });
    eprintln!("{report:?}");
    report
}

#[test]
fn eight_subnets_get_eight_seats_however_many_ids_claim_one() {
    let report = claiming(true, 0.1, [80, 30]);
    assert!(report.attackers_drawn >= 20, "the attack was none: {report:?}");
    assert!((1..=8).contains(&report.seats_of_attackers_max), "{report:?}");
    assert_eq!((report.seats_of_a_subnet_max, report.seats_not_drawn_max), (1, 0), "{report:?}");
    assert!(report.honest_seats > 0 && report.honest_seats_listed >= 0.9, "{report:?}");

    // Forged words about the living: some believe them for a while, and lookups find their way.
    assert_eq!(report.said_to_be_gone, 12);
    assert!(report.believed_gone_max > 0, "the attack was none: {report:?}");
    assert!(report.success_before >= 0.99 && report.success_lost < 0.01, "{report:?}");

    // The bound is what does it.
    let open = claiming(false, 0.0, [30, 5]);
    assert!(open.seats_of_attackers_max >= 20, "{open:?}");
}
