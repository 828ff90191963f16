//! Services whose daemons die, freeze and stop, and topics while those who keep them die.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use chordage_api::client::Client;
use chordage_api::service::Attrs;
use chordage_api::service_watch::ServiceWatch;
use chordage_api::types::{ChangeKind, NodeId, ServiceChange, ServiceRequest};
use chordage_testnet::wait_until;

use crate::harness::{Net, PATIENCE};

/// After so long a service whose daemon died is in no answer any more, also on a loaded machine. Users are told of 20
/// seconds, which `cli/benches/services.rs` measures, and the tests of `dht` in virtual time.
const GONE_WITHIN: Duration = Duration::from_secs(60);
const GRACE: Duration = Duration::from_secs(30);

async fn register(client: &Client, name: &str, addr: &str) {
    let request = ServiceRequest { name: name.to_owned(), addr: addr.to_owned(), attrs: Attrs::new() };
    client.register_service(&request).await.unwrap();
}

async fn providers(client: &Client) -> BTreeSet<NodeId> {
    let found = client.find_service("web", &Attrs::new(), false).await.unwrap();
    found.iter().map(|service| service.provider).collect()
}

async fn next(watch: &mut ServiceWatch) -> ServiceChange {
    let next = tokio::time::timeout(PATIENCE, watch.next()).await;
    next.expect("something happens").unwrap().expect("the daemon runs")
}

/// Twelve daemons, of which the first six register the service, and one that watches it.
async fn watched() -> (Net, ServiceWatch) {
    let net = Net::start(12).await;
    net.net.wait_listed(PATIENCE).await.unwrap();
    for node in 0..6 {
        register(&net.net.client(node).unwrap(), "web", &format!("10.0.0.{node}:80")).await;
    }
    let mut watch = net.net.client(11).unwrap().watch_service("web").await.unwrap();
    let mut up = BTreeSet::new();
    while up.len() < 6 {
        let change = next(&mut watch).await;
        assert_eq!(change.change, ChangeKind::Up, "{change:?}");
        up.insert(change.service.provider);
    }
    assert_eq!(up, (0..6).map(|node| net.net.id(node).unwrap()).collect());
    (net, watch)
}

/// Those who live are never suspected, although those who die keep what is known of them too.
#[tokio::test]
async fn who_dies_is_suspected_and_then_gone_within_twenty_seconds_and_nobody_else_is() {
    let (mut net, mut watch) = watched().await;
    let victims = [0, 1, 7];
    let dead: BTreeSet<NodeId> = victims[..2].iter().map(|node| net.net.id(*node).unwrap()).collect();
    let killed = Instant::now();
    net.net.kill(&victims).unwrap();
    let (mut suspect, mut gone) = (BTreeSet::new(), BTreeSet::new());
    while gone != dead {
        let ServiceChange { change, service } = next(&mut watch).await;
        assert!(dead.contains(&service.provider), "{change} {service:?}");
        match change {
            ChangeKind::Suspect => assert!(suspect.insert(service.provider)),
            ChangeKind::Gone => assert!(suspect.contains(&service.provider) && gone.insert(service.provider)),
            _ => panic!("{change} {service:?}"),
        }
    }
    let told = killed.elapsed();
    assert!(told <= GONE_WITHIN, "a watch told after {told:?}");
    for node in [2, 6, 8, 10] {
        let found = providers(&net.net.client(node).unwrap()).await;
        assert!(found.is_disjoint(&dead) && found.len() == 4, "daemon {node} finds {found:?}");
    }
    let found = killed.elapsed();
    println!("gone from a watch after {told:?}, from four daemons after {found:?}");
    assert!(found <= GONE_WITHIN, "found after {found:?}");
}

#[tokio::test]
async fn who_stops_is_gone_at_once_and_comes_back_with_what_it_registered() {
    let (mut net, mut watch) = watched().await;
    let stopped = net.net.id(3).unwrap();
    let began = Instant::now();
    let telling = async {
        let change = next(&mut watch).await;
        (change, began.elapsed())
    };
    let (told, left) = tokio::join!(telling, net.net.stop(&[3], GRACE));
    let (ServiceChange { change, service }, took) = told;
    assert_eq!((change, service.provider, left.unwrap()), (ChangeKind::Gone, stopped, Vec::new()));
    println!("gone {took:?} after it was told to stop");
    assert_eq!(providers(&net.net.client(5).unwrap()).await.len(), 5);
    net.net.restart(&[3]).await.unwrap();
    let ServiceChange { change, service } = next(&mut watch).await;
    assert_eq!((change, service.provider, &*service.addr), (ChangeKind::Up, stopped, "10.0.0.3:80"));
}

/// A daemon that stands still and goes on is suspected, or gone, and then alive again without a word of its owner.
#[tokio::test]
async fn who_stands_still_comes_back_by_itself() {
    let (net, mut watch) = watched().await;
    let frozen = net.net.id(2).unwrap();
    net.net.freeze(2).unwrap();
    let ServiceChange { change, service } = next(&mut watch).await;
    assert_eq!((change, service.provider), (ChangeKind::Suspect, frozen));
    net.net.thaw(2).unwrap();
    let mut last = change;
    while !matches!(last, ChangeKind::Alive | ChangeKind::Up) {
        let ServiceChange { change, service } = next(&mut watch).await;
        assert_eq!(service.provider, frozen, "{change}");
        last = change;
    }
    let all = async || match providers(&net.net.client(10).unwrap()).await.len() {
        6 => Ok(()),
        found => Err(format!("{found} are found")),
    };
    wait_until("all are found again", PATIENCE, all).await.unwrap();
}

#[tokio::test]
async fn a_subscriber_hears_each_message_once_while_those_who_keep_the_topic_die() {
    const MESSAGES: usize = 60;
    let mut net = Net::start(12).await;
    net.net.wait_listed(PATIENCE).await.unwrap();
    let (publisher, subscriber) = (net.net.client(0).unwrap(), net.net.client(11).unwrap());
    let mut subscription = subscriber.subscribe_topic("news", 0).await.unwrap();
    // Until the first one comes through nothing is promised to a new subscriber.
    let first = async {
        loop {
            publisher.publish_message("news", b"begin".to_vec()).await.unwrap();
            let told = tokio::time::timeout(Duration::from_millis(500), subscription.next()).await;
            if told.is_ok() {
                return;
            }
        }
    };
    tokio::time::timeout(PATIENCE, first).await.unwrap();
    let mut told = Vec::new();
    for index in 0..MESSAGES {
        match index {
            20 => net.net.kill(&[4, 8]).unwrap(),
            40 => net.net.kill(&[2, 6]).unwrap(),
            _ => {}
        }
        let publish = async || {
            let text = format!("message {index}").into_bytes();
            publisher.publish_message("news", text).await.map_err(|error| format!("{error:?}"))
        };
        // While the dead are asked, there may be no majority for a moment; whoever retries may be heard twice.
        let report = wait_until("it is published", PATIENCE, publish).await.unwrap();
        told.push(report.seq);
    }
    let mut heard = Vec::new();
    let listening = async {
        while told.iter().any(|seq| !heard.contains(seq)) {
            let message = subscription.next().await.unwrap().expect("the daemon runs");
            assert!(!heard.contains(&message.seq), "twice: {message:?}");
            heard.push(message.seq);
        }
    };
    tokio::time::timeout(PATIENCE, listening).await.unwrap();
    let mut late = subscriber.subscribe_topic("news", 10).await.unwrap();
    for seq in &told[MESSAGES - 10..] {
        let message = tokio::time::timeout(PATIENCE, late.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(message.seq, *seq, "the last ones, in order");
    }
}

/// Who is in nobody's tables tells and hears all the same.
#[tokio::test]
async fn clients_register_watch_publish_and_listen_too() {
    let mut net = Net::start(5).await;
    net.net.add_clients(2).await.unwrap();
    let (member, [own, other]) =
        (net.net.client(0).unwrap(), [5, 6].map(|node| net.net.client(node).unwrap()));
    let registered = async || {
        let request = ServiceRequest { name: "web".into(), addr: "10.0.0.5:80".into(), attrs: Attrs::new() };
        own.register_service(&request).await.map_err(|error| error.to_string())
    };
    wait_until("a client has joined and registers", PATIENCE, registered).await.unwrap();
    let id = net.net.id(5).unwrap();
    assert_eq!(providers(&member).await, [id].into());
    let found = async || match other.find_service("web", &Attrs::new(), true).await {
        Ok(found) if found.len() == 1 => Ok(()),
        other => Err(format!("{other:?}")),
    };
    wait_until("the other client finds it", PATIENCE, found).await.unwrap();
    let mut watch = other.watch_service("web").await.unwrap();
    assert_eq!(next(&mut watch).await.change, ChangeKind::Up);
    let mut subscription = other.subscribe_topic("news", 1).await.unwrap();
    for (client, text) in [(&member, "from a member"), (&own, "from a client")] {
        client.publish_message("news", text.into()).await.unwrap();
        let heard = tokio::time::timeout(PATIENCE, subscription.next()).await.unwrap().unwrap().unwrap();
        assert_eq!(heard.text.as_deref(), Some(text));
    }
    let killed = Instant::now();
    net.net.kill(&[5]).unwrap();
    let changes = [next(&mut watch).await, next(&mut watch).await];
    assert_eq!(changes.map(|told| told.change), [ChangeKind::Suspect, ChangeKind::Gone]);
    assert!(killed.elapsed() <= GONE_WITHIN, "{:?}", killed.elapsed());
}
