//! What is said about names.

use chordage_api::types::{
    NameEntry, NameInfo, NameVersion, PublishReport, PublishRequest, PublishState, ResolveStep, Resolved,
    TargetKind, USUAL_TTL_SECONDS, USUAL_VALID_SECONDS, Voucher,
};
use serde_json::{Value, json};

use super::{Comparison, assert_reads_with_more};

pub(super) fn check(comparison: &mut Comparison) {
    comparison.check("name_info", &info());
    comparison.check("publish_request", &request());
    comparison.check("publish_request_bare", &bare_request());
    comparison.check("publish_report", &report());
    comparison.check("resolved", &resolved());
    comparison.check("name_version", &version());
}

fn info() -> NameInfo {
    NameInfo { petname: "team".to_owned(), key: "@key".to_owned(), created: 1_700_000_000, seq: 17 }
}

fn request() -> PublishRequest {
    PublishRequest {
        name: "team/web".to_owned(),
        target: Some("@other-key".to_owned()),
        ttl_seconds: 60,
        valid_seconds: 86_400,
        expect_seq: Some(17),
        delegate: true,
    }
}

fn bare_request() -> PublishRequest {
    PublishRequest {
        name: "team".to_owned(),
        target: None,
        ttl_seconds: USUAL_TTL_SECONDS,
        valid_seconds: USUAL_VALID_SECONDS,
        expect_seq: None,
        delegate: false,
    }
}

fn report() -> PublishReport {
    PublishReport {
        name: "team/web".to_owned(),
        key: "@key/web".to_owned(),
        seq: 18,
        stored: 7,
        of: 9,
        state: PublishState::Stored,
        seconds: 0.5,
    }
}

fn resolved() -> Resolved {
    let step = ResolveStep {
        voucher: Voucher::Key,
        domain: None,
        key: "@key".to_owned(),
        path: "web".to_owned(),
        seq: 18,
        agree: 5,
        of: 9,
    };
    let in_dns = ResolveStep {
        voucher: Voucher::Dns,
        domain: Some("_chordage.example.org".to_owned()),
        key: "@key".to_owned(),
        path: String::new(),
        seq: 0,
        agree: 0,
        of: 0,
    };
    Resolved {
        name: "team/web".to_owned(),
        target: "chord1r-link".to_owned(),
        kind: TargetKind::Link,
        seq: 3,
        valid_until: 1_700_000_000,
        ttl_seconds: 300,
        stale: true,
        steps: vec![
            in_dns,
            step.clone(),
            ResolveStep { key: "@other-key".to_owned(), path: String::new(), ..step },
        ],
        seconds: 0.25,
    }
}

fn version() -> NameVersion {
    let entry = |path: &str, target: &str, delegated| NameEntry {
        path: path.to_owned(),
        target: target.to_owned(),
        delegated,
    };
    NameVersion {
        seq: 18,
        valid_until: 1_700_000_000,
        entries: vec![entry("", "chord1r-link", false), entry("web", "@other-key", true)],
    }
}

#[test]
fn answers_of_newer_daemons_are_read() {
    assert_reads_with_more::<NameInfo>(&info());
    assert_reads_with_more::<PublishReport>(&report());
    assert_reads_with_more::<Resolved>(&resolved());
    assert_reads_with_more::<ResolveStep>(&resolved().steps[0]);
    assert_reads_with_more::<NameVersion>(&version());
    assert_reads_with_more::<NameEntry>(&version().entries[0]);
}

#[test]
fn a_step_of_an_older_daemon_is_vouched_for_by_its_key() {
    let old = json!({ "key": "@key", "path": "", "seq": 1, "agree": 1, "of": 1 });
    assert_eq!(serde_json::from_value::<ResolveStep>(old).unwrap().voucher, Voucher::Key);
}

#[test]
fn a_request_may_leave_out_what_is_usual_and_may_not_say_what_is_not_understood() {
    let short = json!({ "name": "team", "target": null });
    assert_eq!(serde_json::from_value::<PublishRequest>(short.clone()).unwrap(), bare_request());
    // A condition that a daemon does not know must not be dropped silently.
    let nothing = json!({ "name": "team" });
    assert!(
        serde_json::from_value::<PublishRequest>(nothing).is_err(),
        "who forgets the target removes nothing"
    );
    let mut longer = short;
    longer["expect_hash"] = Value::from("00");
    assert!(serde_json::from_value::<PublishRequest>(longer).is_err());
}
