//! A private network gets another key, and whoever is away meanwhile finds it when it comes back.

use std::fs;

use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{PATIENCE, json_of, random_bytes, shown};
use crate::namespaces::Running;
use crate::private::{invite, json, on};

const BYTES: usize = 300_000;

/// What a daemon shows of its network: the key, and the certificate by its serial number.
async fn standing(daemon: &Running) -> (Value, Value) {
    let network = json(daemon, &["network", "show"]).await;
    (network["key"].clone(), network["certificate"]["serial"].clone())
}

/// Waits until a daemon has heard of a key, and has a certificate other than this one.
async fn goes_on(daemon: &Running, key: &Value, before: &Value) {
    let under_it = async || match standing(daemon).await {
        (newest, serial) if newest == *key && serial != *before => Ok(()),
        other => Err(format!("{other:?}")),
    };
    let waited = wait_until("it has a certificate under the new key", PATIENCE, under_it).await;
    waited.unwrap_or_else(|error| panic!("{error:?}\n{}", daemon.log()));
}

#[tokio::test]
async fn a_network_gets_a_new_key_and_nobody_is_left_behind() {
    let dir = tempfile::tempdir().unwrap();
    let at = |daemon: usize| dir.path().join(daemon.to_string());
    json_of(&on(&at(0), &["network", "create", "friends"]).await);
    let founder = Running::here(at(0), &[]);
    founder.joined(1).await;
    let line = invite(&founder, &["--uses", "3"]).await;
    let mut others = Vec::new();
    for daemon in 1..4 {
        json_of(&on(&at(daemon), &["join", &line]).await);
        others.push(Running::here(at(daemon), &[]));
    }
    for daemon in others.iter().chain([&founder]) {
        daemon.joined(4).await;
    }
    let file = dir.path().join("file");
    fs::write(&file, random_bytes(BYTES, 91)).unwrap();
    let link = founder.put("2/4", &file).await;
    let (old, of_founder) = standing(&founder).await;
    let (_, of_one) = standing(&others[0]).await;
    let (_, of_away) = standing(&others[2]).await;
    let open = invite(&founder, &[]).await;
    others.pop().unwrap().leave().await;

    for (daemon, overlap, code) in [(&others[0], "90d", 2), (&founder, "1m", 2), (&founder, "2y", 2)] {
        let refused = daemon.run(&["network", "new-key", "--overlap", overlap]).await;
        assert_eq!(refused.status.code(), Some(code), "{overlap}: {}", shown(&refused));
    }
    assert_eq!(standing(&founder).await, (old.clone(), of_founder.clone()));
    let secret = fs::read(at(0).join("network.key")).unwrap();
    let made = json(&founder, &["network", "new-key"]).await;
    let key = &made["key"];
    assert!(*key != old && made["key_before"]["key"] == old, "{made}");
    assert_ne!(fs::read(at(0).join("network.key")).unwrap(), secret);
    let again = founder.run(&["network", "new-key"]).await;
    assert_eq!(again.status.code(), Some(2), "{}", shown(&again));
    assert!(shown(&again).contains("still counts for 90 days"), "{}", shown(&again));
    goes_on(&founder, key, &of_founder).await;
    goes_on(&others[0], key, &of_one).await;

    // The one that was away hears of it also where the founder is not, and is let in meanwhile.
    founder.leave().await;
    let back = Running::here(at(3), &[]);
    back.status(|status| status["state"] == "joined").await;
    let heard = async || match standing(&back).await {
        (newest, serial) if newest == *key => Ok(serial),
        (newest, _) => Err(format!("its key is {newest}")),
    };
    let serial = wait_until("it hears of the new key", PATIENCE, heard).await.unwrap();
    assert_eq!(serial, of_away, "nobody is there who may sign");
    assert!(back.get(&link, &dir.path().join("while the founder is away")).await == random_bytes(BYTES, 91));
    let founder = Running::here(at(0), &[]);
    founder.joined(4).await;
    goes_on(&back, key, &of_away).await;
    // An invite from before still lets somebody in.
    json_of(&on(&at(4), &["join", &open]).await);
    let late = Running::here(at(4), &[]);
    late.joined(5).await;
    assert_eq!(standing(&late).await.0, *key);
    assert!(json(&founder, &["network", "show"]).await["founder"] == true);
}
