//! What is said about services and topics.

use chordage_api::types::{
    ChangeKind, OwnService, PublishState, ServiceChange, ServiceInfo, ServiceReport, ServiceRequest,
    ServiceState, TopicMessage, TopicReport, WithdrawRequest, WithdrawnService,
};
use serde_json::{Value, json};

use super::{Comparison, assert_reads_with_more, assert_reads_without, id};

pub(super) fn check(comparison: &mut Comparison) {
    comparison.check("service_request", &request());
    comparison.check("service_report", &report());
    comparison.check("service_withdraw", &WithdrawRequest { addr: Some(addr()), ..bare_withdraw() });
    comparison.check("service_withdraw_bare", &bare_withdraw());
    comparison.check("service_withdrawn", &withdrawn());
    comparison.check("service_own", &own());
    comparison.check("service_own_bare", &OwnService { stored: None, of: None, ..own() });
    comparison.check("service_info", &info());
    comparison.check("service_info_bare", &ServiceInfo { rtt_ms: None, attrs: [].into(), ..info() });
    comparison.check("service_change", &change());
    comparison.check("topic_report", &topic_report());
    comparison.check("topic_message", &text());
    comparison.check("topic_message_data", &data());
}

fn addr() -> String {
    "10.0.0.1:5432".to_owned()
}

fn request() -> ServiceRequest {
    let attrs = [("role", "primary"), ("zone", "a")];
    let attrs = attrs.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    ServiceRequest { name: "team/db".to_owned(), addr: addr(), attrs }
}

fn report() -> ServiceReport {
    let ServiceRequest { name, addr, attrs } = request();
    ServiceReport { name, addr, attrs, stored: 7, of: 9, state: PublishState::Stored, seconds: 0.5 }
}

fn bare_withdraw() -> WithdrawRequest {
    WithdrawRequest { name: "team/db".to_owned(), addr: None }
}

fn withdrawn() -> WithdrawnService {
    WithdrawnService { name: "team/db".to_owned(), addr: addr(), stored: 8, of: 9 }
}

fn own() -> OwnService {
    let ServiceRequest { name, addr, attrs } = request();
    OwnService { name, addr, attrs, since: 1_700_000_000, stored: Some(7), of: Some(9) }
}

fn info() -> ServiceInfo {
    ServiceInfo {
        provider: id('a'),
        addr: addr(),
        attrs: request().attrs,
        state: ServiceState::Suspect,
        age_seconds: 9.5,
        rtt_ms: Some(1.25),
    }
}

fn change() -> ServiceChange {
    ServiceChange { change: ChangeKind::Gone, service: info() }
}

fn topic_report() -> TopicReport {
    TopicReport {
        topic: "team/news".to_owned(),
        publisher: id('a'),
        seq: 1_700_000_000_500_000,
        stored: 7,
        of: 9,
        seconds: 0.5,
    }
}

fn text() -> TopicMessage {
    TopicMessage::new("team/news", id('a'), 1_700_000_000_500_000, b"hello\n".to_vec())
}

fn data() -> TopicMessage {
    TopicMessage::new("team/news", id('a'), 1_700_000_000_500_000, b"\xff".to_vec())
}

#[test]
fn answers_of_newer_and_older_daemons_are_read() {
    assert_reads_with_more::<ServiceReport>(&report());
    assert_reads_with_more::<WithdrawnService>(&withdrawn());
    assert_reads_with_more::<OwnService>(&own());
    assert_reads_with_more::<ServiceInfo>(&info());
    assert_reads_with_more::<ServiceChange>(&change());
    assert_reads_with_more::<TopicReport>(&topic_report());
    assert_reads_with_more::<TopicMessage>(&text());
    assert_reads_without::<OwnService>(&own(), &["stored", "of"]);
    let mut newer = serde_json::to_value(change()).unwrap();
    newer["change"] = Value::from("moved");
    assert_eq!(serde_json::from_value::<ServiceChange>(newer).unwrap().change, ChangeKind::Other);
}

#[test]
fn a_request_may_leave_out_what_is_usual_and_may_not_say_what_is_not_understood() {
    let short = json!({ "name": "team/db", "addr": addr() });
    assert!(serde_json::from_value::<ServiceRequest>(short.clone()).unwrap().attrs.is_empty());
    let mut longer = short;
    longer["ttl"] = Value::from(5);
    assert!(serde_json::from_value::<ServiceRequest>(longer).is_err());
    assert!(serde_json::from_value::<WithdrawRequest>(json!({ "name": "a", "adr": "b" })).is_err());
}
