//! Keys and values that several daemons change at once.

use chordage_api::client::{Client, ClientError, VolumeAccess};
use chordage_api::types::{
    ProblemCode, PublishState, VolumeChange, VolumeChanged, VolumeChanges, VolumeExpectation, VolumeImport,
    VolumeMove,
};

use crate::harness::{Net, PATIENCE};

const NAME: &str = "shared";

fn change(key: &str, value: Option<&str>, expect: VolumeExpectation) -> VolumeChange {
    let value = value.map(|value| data_encoding::BASE64.encode(value.as_bytes()));
    VolumeChange { key: key.to_owned(), value, expect }
}

async fn make(client: &Client, changes: Vec<VolumeChange>) -> Result<VolumeChanged, ClientError> {
    client.change_volume(&VolumeChanges { volume: NAME.to_owned(), changes, moves: Vec::new() }).await
}

/// Keys and values below a prefix.
async fn all(client: &Client, prefix: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    loop {
        let after = found.last().map(|(key, _): &(String, String)| key.clone());
        let page = client.volume_values(NAME, prefix, after.as_deref(), Some(7)).await.unwrap();
        let text =
            |value: &str| String::from_utf8(data_encoding::BASE64.decode(value.as_bytes()).unwrap()).unwrap();
        found.extend(page.values.iter().map(|value| (value.key.clone(), text(&value.value))));
        if !page.more {
            return found;
        }
    }
}

fn code(error: &ClientError) -> Option<ProblemCode> {
    match error {
        ClientError::Problem(problem) => Some(problem.code),
        _ => None,
    }
}

/// Makes the volume at the first daemon and opens it at the others.
async fn shared(net: &Net, nodes: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..nodes).map(|node| net.net.client(node).unwrap()).collect();
    clients[0].create_volume(NAME).await.unwrap();
    let opened = clients[0].export_volume(NAME, VolumeAccess::Write).await.unwrap();
    for client in &clients[1..] {
        let import = VolumeImport { petname: NAME.to_owned(), capability: opened.capability.clone() };
        assert!(client.import_volume(&import).await.unwrap().writable);
    }
    clients
}

#[tokio::test]
async fn what_was_acknowledged_is_there_whoever_else_writes() {
    let net = Net::start(5).await;
    let clients = shared(&net, 3).await;
    let absent = VolumeExpectation::Absent;
    // Three daemons write at once; each key is written once, whoever comes first.
    let mut writing = tokio::task::JoinSet::new();
    for (writer, client) in clients.iter().enumerate() {
        let client = client.clone();
        writing.spawn(async move {
            let mut written = Vec::new();
            for number in 0..8 {
                let own = format!("own/{writer}/{number}");
                let made = make(&client, vec![change(&own, Some("mine"), absent)]).await.unwrap();
                assert_eq!(made.state, PublishState::Stored);
                let value = format!("of {writer}");
                let raced = format!("raced/{number}");
                match make(&client, vec![change(&raced, Some(&value), absent)]).await {
                    Ok(_) => written.push((raced, value)),
                    Err(error) => assert_eq!(code(&error), Some(ProblemCode::Conflict), "{error}"),
                }
            }
            written
        });
    }
    let mut won: Vec<(String, String)> = writing.join_all().await.concat();
    won.sort();
    for client in &clients {
        assert_eq!(all(client, "own/").await.len(), 24);
        assert_eq!(all(client, "raced/").await, won);
        assert_eq!(won.len(), 8);
    }
    // Nothing of a request is done if one of its changes cannot be.
    let both = vec![change("new", Some("x"), absent), change("raced/0", Some("y"), absent)];
    let refused = make(&clients[0], both).await.unwrap_err();
    assert_eq!(code(&refused), Some(ProblemCode::Conflict));
    assert_eq!(all(&clients[1], "new").await, []);
    let present = VolumeExpectation::Present;
    make(&clients[2], vec![change("raced/0", None, present)]).await.unwrap();
    assert_eq!(all(&clients[0], "raced/").await.len(), 7);
    let again = make(&clients[1], vec![change("raced/0", None, present)]).await.unwrap_err();
    assert_eq!(code(&again), Some(ProblemCode::Conflict));
}

/// Moves keys by their beginning, after changes.
async fn moved(
    client: &Client,
    changes: Vec<VolumeChange>,
    moves: &[(&str, &str, bool)],
) -> Result<VolumeChanged, ClientError> {
    let moving = |(from, to, copy): &(&str, &str, bool)| VolumeMove {
        from: (*from).to_owned(),
        to: (*to).to_owned(),
        copy: *copy,
        longest: Some(12),
    };
    let moves = moves.iter().map(moving).collect();
    client.change_volume(&VolumeChanges { volume: NAME.to_owned(), changes, moves }).await
}

#[tokio::test]
async fn keys_are_moved_by_their_beginning_with_other_changes_or_not_at_all() {
    let net = Net::start(3).await;
    let clients = shared(&net, 2).await;
    let any = VolumeExpectation::Any;
    let enter = |keys: &[&str]| keys.iter().map(|key| change(key, Some(key), any)).collect::<Vec<_>>();
    make(&clients[0], enter(&["a", "a/1", "a/2", "ab", "full/1"])).await.unwrap();
    let keys = async |client: &Client| {
        all(client, "").await.into_iter().map(|(key, _)| key).collect::<Vec<String>>()
    };
    let before = keys(&clients[0]).await;
    for (what, moves, why) in [
        ("there are keys already", vec![("a/", "b/", false), ("a", "full/", false)], ProblemCode::Conflict),
        ("there is one by then", vec![("a/", "b/", true), ("ab", "b/", true)], ProblemCode::Conflict),
        ("of snapshots", vec![("a/", "snapshots/x", false)], ProblemCode::BadRequest),
        ("of snapshots too", vec![("s", "b/", false)], ProblemCode::BadRequest),
        ("into itself", vec![("a/", "a/b/", true)], ProblemCode::BadRequest),
        ("out of itself", vec![("a/1", "a/", true)], ProblemCode::BadRequest),
        ("no prefix", vec![("", "b/", true)], ProblemCode::BadRequest),
        ("a key would be too long", vec![("a/", "123456789/1/", true)], ProblemCode::BadRequest),
        ("too many", vec![("x", "y", true); 17], ProblemCode::BadRequest),
    ] {
        let refused = moved(&clients[0], enter(&["new"]), &moves).await.unwrap_err();
        assert_eq!(code(&refused), Some(why), "{what}: {refused}");
        assert_eq!(keys(&clients[1]).await, before, "{what}");
    }
    // Another daemon writes meanwhile, and what it writes is moved as well, wherever that was.
    make(&clients[1], enter(&["a/3"])).await.unwrap();
    let changes = vec![change("a", None, VolumeExpectation::Present), change("a/2", Some("new"), any)];
    moved(&clients[0], changes, &[("a/", "b/", false), ("b/", "c/", true), ("x", "y", false)]).await.unwrap();
    let expected = ["ab", "b/1", "b/2", "b/3", "c/1", "c/2", "c/3", "full/1"];
    assert_eq!(keys(&clients[1]).await, expected);
    let values: Vec<(String, String)> = all(&clients[0], "c/").await;
    assert_eq!(values.into_iter().map(|(_, value)| value).collect::<Vec<_>>(), ["a/1", "new", "a/3"]);
}

#[tokio::test]
async fn a_volume_outlives_daemons_and_whoever_may_only_read_cannot_write() {
    let mut net = Net::start(6).await;
    let clients = shared(&net, 2).await;
    for number in 0..20 {
        let key = format!("key/{number:02}");
        make(&clients[0], vec![change(&key, Some("value"), VolumeExpectation::Any)]).await.unwrap();
    }
    let reading = clients[0].export_volume(NAME, VolumeAccess::Read).await.unwrap();
    net.net.kill(&[0]).unwrap();
    let reader = net.net.client(3).unwrap();
    let import = VolumeImport { petname: NAME.to_owned(), capability: reading.capability };
    assert!(!reader.import_volume(&import).await.unwrap().writable);
    net.net.wait_settled(PATIENCE).await.unwrap();
    assert_eq!(all(&reader, "key/").await.len(), 20);
    let refused = make(&reader, vec![change("a", Some("b"), VolumeExpectation::Any)]).await.unwrap_err();
    assert_eq!(code(&refused), Some(ProblemCode::NotOwned), "{refused}");
    make(&clients[1], vec![change("key/00", None, VolumeExpectation::Present)]).await.unwrap();
    assert_eq!(all(&reader, "key/").await.len(), 19);
    // It is on disk how the volume is opened, and what was seen of it.
    net.net.restart(&[0]).await.unwrap();
    net.net.wait_settled(PATIENCE).await.unwrap();
    let first = net.net.client(0).unwrap();
    assert_eq!(first.volumes().await.unwrap()[0].seq, 20);
    assert_eq!(all(&first, "key/").await.len(), 19);
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_a_reason() {
    let net = Net::start(3).await;
    let client = net.net.client(0).unwrap();
    let refused = make(&client, vec![]).await.unwrap_err();
    assert_eq!(code(&refused), Some(ProblemCode::NoSuchVolume), "{refused}");
    client.create_volume(NAME).await.unwrap();
    assert_eq!(code(&client.create_volume(NAME).await.unwrap_err()), Some(ProblemCode::Conflict));
    assert_eq!(code(&client.create_volume("No!").await.unwrap_err()), Some(ProblemCode::BadName));
    let any = VolumeExpectation::Any;
    for bad in [
        change("", Some("a"), any),
        change(&"k".repeat(1025), Some("a"), any),
        change("snapshots/1", Some("a"), any),
        change("key", Some(&"v".repeat(4097)), any),
        VolumeChange { value: Some("no base64!".to_owned()), ..change("key", None, any) },
    ] {
        let refused = make(&client, vec![bad]).await.unwrap_err();
        assert_eq!(code(&refused), Some(ProblemCode::BadRequest), "{refused}");
    }
    let import = VolumeImport { petname: "b".to_owned(), capability: "chordvol1wabc".to_owned() };
    assert_eq!(code(&client.import_volume(&import).await.unwrap_err()), Some(ProblemCode::BadRequest));
    assert_eq!(all(&client, "").await, []);
}
