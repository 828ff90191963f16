//! Shards are spread over the failure domains that operators name.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::harness::{IMPATIENT, Net, random_bytes};

const BYTES: usize = 6_000_000;

/// Shards by zone, for every chunk.
fn by_zone(explanation: &Value) -> Vec<BTreeMap<String, u32>> {
    let zones = |chunk: &Value| {
        let mut zones = BTreeMap::new();
        for shard in chunk["shards"].as_array().unwrap() {
            assert_eq!(shard["state"], "present", "{chunk}");
            *zones.entry(shard["zone"].as_str().unwrap().to_owned()).or_default() += 1;
        }
        zones
    };
    explanation["worst"].as_array().unwrap().iter().map(zones).collect()
}

#[tokio::test]
async fn no_zone_gets_more_than_its_part_and_all_but_one_may_fail() {
    // 12 daemons in zones 0, 1, 2, 0, 1, 2, ...: two shards of six for each zone, and two are enough.
    let mut net = Net::in_zones(12, 3, IMPATIENT).await;
    let link = net.put(0, "2/6", &net.random_file("file", BYTES, 6)).await;
    net.wait_whole(0, &link).await;
    let explanation = net.explain(0, &link).await;
    let zones = by_zone(&explanation);
    assert!(zones.len() >= 3, "{explanation}");
    assert!(zones.iter().flat_map(BTreeMap::values).all(|&shards| shards == 2), "{zones:?}");
    assert_eq!(explanation["hang_on_one_zone"], 0);
    assert!(
        explanation["worst"].as_array().unwrap().iter().all(|chunk| chunk["present_without_a_zone"] == 4)
    );

    // What a dead daemon held is made again, where there is room in its zone.
    net.net.kill(&[3]).unwrap();
    net.wait_whole(0, &link).await;
    let zones = by_zone(&net.explain(0, &link).await);
    assert!(zones.iter().flat_map(BTreeMap::values).all(|&shards| shards == 2), "after a repair: {zones:?}");

    // Two houses burn down at once.
    net.net.kill(&[1, 2, 4, 5, 7, 8, 10, 11]).unwrap();
    assert!(net.get(0, &link, "from one zone").await == random_bytes(BYTES, 6));
}
