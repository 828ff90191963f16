//! Who is in the network: deaths are noticed by everybody, and a daemon that only slept is not one of them.

use std::collections::BTreeSet;
use std::time::Duration;

use chordage_api::types::{MemberState, MemberStatus, NodeId};
use chordage_testnet::{Testnet, wait_until};
use serde_json::Value;

use crate::harness::{Net, PATIENCE, json_of};

/// How long a frozen daemon sleeps.
const SLEEP: Duration = Duration::from_secs(5);

/// What a daemon says of the others.
async fn others(net: &Testnet, index: usize) -> Result<Vec<MemberStatus>, String> {
    let members = net.members(index).await.map_err(|error| format!("node {index}: {error}"))?;
    Ok(members.into_iter().filter(|member| !member.is_self).collect())
}

/// Whether every daemon that runs thinks so of the others: these dead, everybody else alive.
async fn everybody_knows(net: &Testnet, dead: &[usize]) -> Result<(), String> {
    let dead: BTreeSet<NodeId> = dead.iter().map(|&index| net.id(index).unwrap()).collect();
    for index in net.living() {
        for member in others(net, index).await? {
            let expected = if dead.contains(&member.id) { MemberState::Dead } else { MemberState::Alive };
            if member.state != expected {
                return Err(format!("node {index} says that {} is {}", member.id, member.state));
            }
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_dead_are_known_to_everybody_and_who_only_slept_is_alive() {
    let mut net = Net::start(10).await;
    everybody_knows(&net.net, &[]).await.unwrap();

    net.net.kill(&[2, 5, 7]).unwrap();
    let known = || everybody_knows(&net.net, &[2, 5, 7]);
    wait_until("everybody knows who died", PATIENCE, known).await.unwrap();

    net.net.freeze(4).unwrap();
    let sleeper = net.net.id(4).unwrap();
    let watchers: Vec<usize> = net.net.living().into_iter().filter(|&index| index != 4).collect();
    // What is waited for is the sleep itself; meanwhile nobody may say that the sleeper is dead.
    let slept = tokio::time::Instant::now() + SLEEP;
    'sleep: loop {
        for &index in &watchers {
            // A busy machine may have let the sleeper sleep for longer than it can survive.
            if tokio::time::Instant::now() >= slept {
                break 'sleep;
            }
            let members = others(&net.net, index).await.unwrap();
            let state = &members.iter().find(|member| member.id == sleeper).unwrap().state;
            assert!(
                matches!(state, MemberState::Alive | MemberState::Suspect),
                "node {index} says that the sleeper is {state}"
            );
        }
    }
    net.net.thaw(4).unwrap();
    wait_until("the sleeper is alive for everybody", PATIENCE, || everybody_knows(&net.net, &[2, 5, 7]))
        .await
        .unwrap();
}

#[tokio::test]
async fn the_list_has_the_daemon_itself_and_whoever_said_goodbye() {
    let mut net = Net::start(3).await;
    net.net.stop(&[2], PATIENCE).await.unwrap();
    let gone = net.net.id(2).unwrap();
    let left = async || {
        let members = others(&net.net, 0).await?;
        let member = members.into_iter().find(|member| member.id == gone).ok_or("it is not listed")?;
        if member.state == MemberState::Left { Ok(()) } else { Err(format!("it is {}", member.state)) }
    };
    wait_until("the goodbye is known", PATIENCE, left).await.unwrap();
    let listed = json_of(&net.run(0, ["members", "--json"], [""; 0]).await);
    let listed = listed.as_array().unwrap();
    assert_eq!(listed.len(), 3);
    assert_eq!(listed[0]["id"].as_str(), net.net.id(0).map(|id| id.to_string()).as_deref());
    for member in listed {
        for field in ["id", "state", "role", "incarnation", "age_seconds", "is_self"] {
            assert!(member[field] != Value::Null, "{field} of {member}");
        }
    }
    // Everybody lists everybody: nobody has to do it for others.
    assert_eq!(json_of(&net.run(0, ["superpeers", "--json"], [""; 0]).await), Value::Array(Vec::new()));
    let text = net.run(0, ["members"], [""; 0]).await;
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("this daemon") && text.contains("left"), "{text}");
}

/// Without any setting: a network of this size is small, and lists are right again soon after a restart.
#[tokio::test]
async fn everybody_lists_everybody_also_after_a_restart() {
    let mut net = Net::start(6).await;
    net.net.wait_listed(PATIENCE).await.unwrap();
    net.net.kill(&[1, 4]).unwrap();
    net.net.restart(&[1, 4]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    net.net.wait_listed(PATIENCE).await.unwrap();
}
