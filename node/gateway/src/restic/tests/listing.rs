//! Lists.

use serde_json::{Value, json};

use super::client::{Scene, V2, id, noise};
use super::in_memory::Trouble;
use crate::kept::Error;
use crate::restic::repository::Stored;

const V1: &str = "application/vnd.x.restic.rest.v1";
const KINDS: [&str; 5] = ["data", "index", "keys", "locks", "snapshots"];

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap()
}

#[tokio::test]
async fn a_list_has_names_and_sizes_or_names_alone_and_says_exactly_which() {
    let scene = Scene::new().await;
    for kind in KINDS {
        let path = format!("/{kind}/");
        for accept in [V2, V1, "", "*/*", "application/vnd.x.restic.rest.v2; q=0.5"] {
            let answer = scene.send(hyper::Method::GET, &path, &[("accept", accept)], "").await;
            assert_eq!((answer.status.as_u16(), answer.text()), (200, "[]"), "{kind}");
            assert_eq!(answer.header("content-type"), if accept == V2 { V2 } else { V1 });
        }
        let mut files: Vec<(String, usize)> = Vec::new();
        for length in [155, 156, 400] {
            files.push((id(&noise(length)), length));
            scene.save(kind, &noise(length)).await;
        }
        files.sort();
        let sizes = files.iter().map(|(name, size)| json!({"name": name, "size": size})).collect::<Vec<_>>();
        let names = files.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>();
        assert_eq!(read(&scene.list(&path).await.body), json!(sizes));
        assert_eq!(read(&scene.get(&path).await.body), json!(names));
        assert_eq!(read(&scene.list(&format!("/{kind}")).await.body), json!(sizes));
    }
}

#[tokio::test]
async fn a_list_that_is_not_certainly_complete_is_neither_absent_nor_partial() {
    let scene = Scene::new().await;
    for kind in KINDS {
        scene.save(kind, &noise(155)).await;
    }
    let because = || "two of nine answered".to_owned();
    for (error, status) in [
        (Error::Incomplete(because()), 503),
        (Error::TooFewNodes(because()), 503),
        (Error::Full(because()), 507),
        (Error::Other(because()), 500),
    ] {
        for trouble in [
            Trouble { list: Some(error.clone()), ..Trouble::default() },
            Trouble { open: Some(error.clone()), ..Trouble::default() },
        ] {
            scene.behind.trouble(trouble);
            for kind in KINDS {
                for answer in [scene.list(&format!("/{kind}/")).await, scene.get(&format!("/{kind}/")).await]
                {
                    assert_eq!((answer.status.as_u16(), answer.text()), (status, "two of nine answered\n"));
                }
            }
        }
    }
}

#[tokio::test]
async fn a_list_of_a_repository_that_is_not_there_is_neither_404_nor_empty() {
    let scene = Scene::new().await;
    for kind in KINDS {
        let answer = scene.list(&format!("/nowhere/{kind}/")).await;
        assert_eq!(
            answer.status, 403,
            "a client takes 404 for an empty list, and 503 for a quarter of an hour"
        );
    }
    assert_eq!(scene.head("/nowhere/config").await.status, 404);
    assert_eq!(scene.post("/nowhere/config", noise(155)).await.status, 404);
    assert_eq!(scene.delete(&format!("/nowhere/locks/{}", id(b"x"))).await.status, 404);
}

#[tokio::test]
async fn a_key_that_is_none_of_ours_makes_no_partial_list() {
    let scene = Scene::new().await;
    scene.save("keys", &noise(400)).await;
    scene.behind.enter("restic", "restic/keys/not-a-name", Stored::Inline("x".into()));
    let answer = scene.list("/keys/").await;
    assert_eq!(answer.status, 500);
    assert!(answer.text().contains("not-a-name"), "{}", answer.text());
    assert_eq!(scene.list("/data/").await.text(), "[]");
}

#[tokio::test]
async fn a_list_right_after_a_change_at_another_daemon_shows_it() {
    let one = Scene::new().await;
    let other = Scene::over(one.behind.clone(), super::client::settings()).await;
    let mut locks = Vec::new();
    for round in 0..10 {
        let (at, seen_at) = if round % 2 == 0 { (&one, &other) } else { (&other, &one) };
        locks.push(at.save("locks", &noise(100 + round)).await);
        assert_eq!(seen_at.list("/locks/").await.text().matches("\"name\"").count(), locks.len());
    }
    for (left, lock) in locks.iter().enumerate().rev() {
        one.delete(lock).await;
        assert_eq!(other.list("/locks/").await.text().matches("\"name\"").count(), left);
    }
}
