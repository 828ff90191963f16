//! A private network, from founding it to putting somebody out: only the invited are let in, and they only as long as
//! they are not revoked.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use chordage_testnet::wait_until;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::harness::{PATIENCE, chordage, finish, json_of, random_bytes, shown};
use crate::namespaces::Running;

/// How soon somebody learns that there is no way in, or that there is none any more.
pub(crate) const SOON: Duration = Duration::from_secs(60);
const BYTES: usize = 300_000;

/// Runs a command that works on a data directory by itself.
pub(crate) async fn on(dir: &Path, args: &[&str]) -> Output {
    let mut command = chordage(args.iter().copied().chain(["--json", "--data-dir"]));
    command.arg(dir);
    finish(command).await
}

/// Joins with an invite that stands on standard input.
async fn join(dir: &Path, invite: &str) -> Output {
    let mut command = chordage(["join", "-", "--json", "--data-dir"]);
    command.arg(dir).stdin(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever refuses early does not read it.
    let _ = child.stdin.take().unwrap().write_all(invite.as_bytes()).await;
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

pub(crate) async fn json(daemon: &Running, args: &[&str]) -> Value {
    json_of(&daemon.run(&[args, &["--json"]].concat()).await)
}

pub(crate) async fn invite(daemon: &Running, args: &[&str]) -> String {
    let made = json(daemon, &[&["invite"], args].concat()).await;
    made["invite"].as_str().unwrap().to_owned()
}

/// The ids of those who are in the network as far as a daemon knows, itself left out.
pub(crate) async fn others(daemon: &Running) -> BTreeSet<String> {
    let members = json(daemon, &["network", "members"]).await;
    let here = |member: &&Value| {
        member["is_self"] == false && ["alive", "suspect"].iter().any(|state| member["state"] == *state)
    };
    let ids = members.as_array().unwrap().iter().filter(here).map(|member| member["id"].as_str().unwrap());
    ids.map(str::to_owned).collect()
}

pub(crate) async fn id(daemon: &Running) -> String {
    daemon.status(|_| true).await["id"].as_str().unwrap().to_owned()
}

/// Waits until a daemon sees these and nobody else.
async fn sees(daemon: &Running, who: &str, ids: &[&String]) {
    let wanted: BTreeSet<String> = ids.iter().map(|id| (*id).clone()).collect();
    let look = async || match others(daemon).await {
        seen if seen == wanted => Ok(()),
        seen => Err(format!("{who} sees {seen:?}\n{}", daemon.log())),
    };
    wait_until("everybody sees those who belong to the network", SOON, look).await.unwrap();
}

/// A status that has to come soon.
pub(crate) async fn soon(daemon: &Running, wanted: impl Fn(&Value) -> bool) -> Value {
    let status = tokio::time::timeout(SOON, daemon.status(wanted)).await;
    status.unwrap_or_else(|_| panic!("it took too long:\n{}", daemon.log()))
}

#[tokio::test]
async fn only_the_invited_belong_to_a_private_network_until_they_are_revoked() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);

    let founded = json_of(&on(&at("a"), &["network", "create", "family"]).await);
    assert_eq!(founded["network"], "family", "{founded}");
    assert_eq!(founded["key"].as_str().map(str::len), Some(64), "{founded}");
    let a = Running::here(at("a"), &[]);
    a.joined(1).await;
    let shown_by_a = json(&a, &["network", "show"]).await;
    assert_eq!((&shown_by_a["private"], &shown_by_a["founder"]), (&true.into(), &true.into()));
    for field in ["network", "key", "fingerprint"] {
        assert_eq!(shown_by_a[field], founded[field], "{field}");
    }

    let for_b = invite(&a, &["--expires", "1h"]).await;
    let joined = json_of(&on(&at("b"), &["join", &for_b]).await);
    assert_eq!((&joined["network"], &joined["role"]), (&"family".into(), &"member".into()), "{joined}");
    assert_eq!((&joined["delegate"], &joined["renewed"]), (&false.into(), &false.into()), "{joined}");
    let b = Running::here(at("b"), &[]);
    b.joined(2).await;

    // Two have the same invite, which is for one.
    let for_one = invite(&a, &["--uses", "1"]).await;
    let (c, d) = (at("c"), at("d"));
    let raced = tokio::join!(join(&c, &for_one), join(&d, &for_one));
    let (winner, refused) = match raced {
        (c_is, d_is) if c_is.status.success() => (c, d_is),
        (c_is, d_is) => {
            assert!(d_is.status.success(), "nobody got in: {}{}", shown(&c_is), shown(&d_is));
            (d, c_is)
        }
    };
    assert_eq!(refused.status.code(), Some(4), "one invite let two in: {}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("not_let_in"), "{}", shown(&refused));
    let c = Running::here(winner, &[]);
    for daemon in [&a, &b, &c] {
        daemon.joined(3).await;
    }
    assert_eq!(json(&a, &["network", "show"]).await["invites"], Value::Array(Vec::new()));

    let file = at("file");
    fs::write(&file, random_bytes(BYTES, 61)).unwrap();
    let link = a.put("1/2", &file).await;
    assert!(b.get(&link, &at("at-b")).await == random_bytes(BYTES, 61));

    nobody_gets_in_without_an_invite(&a, dir.path()).await;

    let (a_id, b_id, c_id) = (id(&a).await, id(&b).await, id(&c).await);
    sees(&a, "a", &[&b_id, &c_id]).await;
    let revoke = ["network", "revoke", &b_id[..16], "--reason", "laptop stolen"];
    let revoked = json(&a, &revoke).await["revoked"].clone();
    assert_eq!(
        (&revoked[0]["subject"], &revoked[0]["reason"]),
        (&b_id.as_str().into(), &"laptop stolen".into())
    );
    sees(&a, "a", &[&c_id]).await;
    sees(&c, "c", &[&a_id]).await;
    let members = json(&a, &["network", "members"]).await;
    let revoked_one = members.as_array().unwrap().iter().find(|member| member["id"] == b_id.as_str());
    assert_eq!(revoked_one.map(|member| &member["state"]), Some(&"revoked".into()), "{members}");
    let told =
        |status: &Value| status["join_problem"].as_str().is_some_and(|problem| problem.contains("revoked"));
    soon(&b, told).await;
    let human = b.run(&["status"]).await;
    assert!(String::from_utf8_lossy(&human.stdout).contains("revoked"), "{}", shown(&human));
    assert_eq!(json(&c, &["network", "show"]).await["revoked"], revoked);
    // What it held is not all that there was.
    assert!(c.get(&link, &at("at-c")).await == random_bytes(BYTES, 61));
}

#[tokio::test]
async fn an_invite_that_was_withdrawn_lets_nobody_in() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    json_of(&on(&at("a"), &["network", "create", "family"]).await);
    let a = Running::here(at("a"), &[]);
    a.joined(1).await;
    let made = json(&a, &["invite", "--uses", "3"]).await;
    let (line, id) = (made["invite"].as_str().unwrap(), made["info"]["id"].as_str().unwrap());
    json_of(&join(&at("b"), line).await);

    let withdrawn = json(&a, &["invite", "--withdraw", &id[..16]]).await;
    assert_eq!((&withdrawn["id"], &withdrawn["used"]), (&id.into(), &1.into()), "{withdrawn}");
    assert_eq!(json(&a, &["network", "show"]).await["invites"], Value::Array(Vec::new()));
    let refused = join(&at("c"), line).await;
    assert_eq!(refused.status.code(), Some(4), "{}", shown(&refused));
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["code"], "not_let_in", "{error}");
    assert!(error["message"].as_str().unwrap().contains("it was withdrawn"), "{error}");

    // What cannot be withdrawn: one that is withdrawn or was never there, and one that is used up.
    let fails = async |id: &str, code: &str, status: i32| {
        let output = a.run(&["invite", "--withdraw", id, "--json"]).await;
        assert_eq!(output.status.code(), Some(status), "{}", shown(&output));
        let error: Value = serde_json::from_slice(&output.stderr).unwrap();
        assert_eq!(
            (&error["code"], &error["state"]),
            (&code.into(), &"nothing was changed".into()),
            "{error}"
        );
    };
    fails(id, "no_such_invite", 4).await;
    let for_one = json(&a, &["invite"]).await;
    json_of(&join(&at("c"), for_one["invite"].as_str().unwrap()).await);
    fails(for_one["info"]["id"].as_str().unwrap(), "conflict", 2).await;
    // Whoever joined before has stayed.
    let b = Running::here(at("b"), &[]);
    b.joined(2).await;
    let human = a.run(&["invite", "--withdraw", id]).await;
    assert!(String::from_utf8_lossy(&human.stderr).contains("chordage network show"), "{}", shown(&human));
}

#[tokio::test]
async fn with_a_delegate_everything_is_void_that_it_has_signed_and_that_is_said_before() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    json_of(&on(&at("a"), &["network", "create", "family"]).await);
    let a = Running::here(at("a"), &[]);
    a.joined(1).await;
    json_of(&join(&at("b"), &invite(&a, &["--delegate"]).await).await);
    let b = Running::here(at("b"), &[]);
    b.joined(2).await;
    json_of(&join(&at("c"), &invite(&b, &[]).await).await);
    let c = Running::here(at("c"), &[]);
    for daemon in [&a, &b, &c] {
        daemon.joined(3).await;
    }
    let (a_id, b_id, c_id) = (id(&a).await, id(&b).await, id(&c).await);
    let known = async || match json(&a, &["network", "show"]).await["delegates"].clone() {
        delegates if delegates[0]["id"] == b_id.as_str() && delegates[0]["signed"] == 1 => Ok(()),
        delegates => Err(delegates.to_string()),
    };
    wait_until("the founder has met whom the delegate let in", SOON, known).await.unwrap();

    let revoke = ["network", "revoke", &b_id[..16], "--reason", "moved away"];
    let refused = a.run(&[&revoke[..], &["--json"]].concat()).await;
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    let error: Value = serde_json::from_slice(&refused.stderr).unwrap();
    assert_eq!(error["code"], "not_confirmed", "{error}");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("has signed is void") && message.contains("1 is known here"), "{error}");
    sees(&a, "a", &[&b_id, &c_id]).await;

    let revoked = json(&a, &[&revoke[..], &["--yes"]].concat()).await;
    assert_eq!(
        (&revoked["revoked"][0]["subject"], &revoked["delegates"]),
        (&b_id.into(), &Value::Array(Vec::new()))
    );
    sees(&a, "a", &[]).await;
    // Its guest comes back as itself.
    c.leave().await;
    let again = json_of(&join(&at("c"), &invite(&a, &[]).await).await);
    assert_eq!(again["renewed"], true, "{again}");
    let c = Running::here(at("c"), &[]);
    c.joined(2).await;
    assert_eq!(id(&c).await, c_id);
    sees(&c, "c", &[&a_id]).await;
}

/// Somebody knows the name of the network and the address of a daemon, and has no certificate.
async fn nobody_gets_in_without_an_invite(member: &Running, dir: &Path) {
    let before = others(member).await;
    let address = member.status(|_| true).await["listen"][0].as_str().unwrap().to_owned();
    let e = Running::here(dir.join("e"), &["--network", "family", "--bootstrap", &address]);
    let status = soon(&e, |status| status["join_problem"].is_string()).await;
    assert_ne!(status["state"], "joined", "{status}");
    assert_eq!(json(&e, &["peers"]).await, Value::Array(Vec::new()));
    assert!(others(&e).await.is_empty());
    assert_eq!(others(member).await, before);
    e.leave().await;
}

#[tokio::test]
async fn a_directory_belongs_to_one_network() {
    let dir = tempfile::tempdir().unwrap();
    let (first, open) = (dir.path().join("first"), dir.path().join("open"));
    json_of(&on(&first, &["network", "create", "family"]).await);
    for name in ["family", "friends"] {
        let again = on(&first, &["network", "create", name]).await;
        assert_eq!(again.status.code(), Some(2), "{}", shown(&again));
        let said = String::from_utf8_lossy(&again.stderr).into_owned();
        assert!(said.contains("\"belongs\"") && said.contains("family"), "{said}");
    }

    // Where a daemon of an open network has run, its data would come along.
    let daemon = Running::here(open.clone(), &[]);
    daemon.joined(1).await;
    let running = on(&open, &["network", "create", "family"]).await;
    assert_eq!(running.status.code(), Some(9), "{}", shown(&running));
    daemon.leave().await;
    let refused = on(&open, &["network", "create", "family"]).await;
    assert_eq!(refused.status.code(), Some(2), "{}", shown(&refused));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("open_network"), "{}", shown(&refused));
}
