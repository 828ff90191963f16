//! Taking files in.

use axum::body::Body;
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use hyper::Method;

use super::client::{Scene, V2, id, noise};
use super::in_memory::Trouble;
use crate::kept::Error;
use crate::restic::repository::Stored;

#[tokio::test]
async fn creating_and_saving_and_looking_and_removing_are_answered_200_and_nothing_else() {
    let scene = Scene::new().await;
    for _ in 0..2 {
        let created = scene.post("/alice/laptop/?create=true", "").await;
        assert_eq!(created.status, 200);
        assert_eq!((created.header("content-type"), created.body.len()), ("binary/octet-stream", 0));
    }
    assert_eq!(scene.post("/alice/laptop/", "").await.status, 400);
    assert_eq!(scene.post("/alice/laptop/?create=false", "").await.status, 400);
    for (kind, length) in
        [("data", 300_000), ("index", 900), ("keys", 400), ("locks", 155), ("snapshots", 300)]
    {
        let content = noise(length);
        let path = format!("/alice/laptop/{kind}/{}", id(&content));
        let saved = scene.post(&path, content.clone()).await;
        assert_eq!((saved.status.as_u16(), saved.body.len()), (200, 0), "{kind}");
        let found = scene.head(&path).await;
        assert_eq!((found.status.as_u16(), found.header("content-length")), (200, &*length.to_string()));
        assert_eq!(scene.get(&path).await.body, content);
        assert_eq!(scene.delete(&path).await.status, 200);
        assert_eq!(scene.head(&path).await.status, 404);
        assert_eq!(scene.delete(&path).await.status, 200, "what is not there is deleted");
    }
    let status = scene.status();
    assert_eq!((status.uploaded_bytes, status.downloaded_bytes), (301_755, 301_755));
}

#[tokio::test]
async fn what_is_small_lies_in_the_map_and_packs_and_indexes_beside_it() {
    let scene = Scene::new().await;
    for (kind, length, inside) in [
        ("data", 43, false),
        ("index", 43, false),
        ("keys", 400, true),
        ("keys", 4000, true),
        ("snapshots", 4001, false),
        ("snapshots", 0, true),
    ] {
        let content = noise(length);
        let path = scene.save(kind, &content).await;
        let stored = scene.behind.value("restic", &format!("restic{path}")).unwrap();
        assert_eq!(matches!(stored, Stored::Inline(_)), inside, "{kind} of {length}");
        assert_eq!(scene.get(&path).await.body, content);
    }
}

#[tokio::test]
async fn a_name_that_is_not_the_hash_of_the_content_enters_nothing() {
    let scene = Scene::new().await;
    for (kind, length) in
        [("data", 5_000_000), ("index", 900), ("keys", 400), ("snapshots", 9000), ("locks", 100)]
    {
        let mut content = noise(length);
        let path = format!("/{kind}/{}", id(&content));
        *content.last_mut().unwrap() ^= 1;
        let answer = scene.post(&path, content).await;
        assert_eq!(answer.status, 400, "{kind}");
        assert!(answer.text().contains("SHA-256"), "{}", answer.text());
        assert_eq!(scene.head(&path).await.status, 404);
    }
    assert_eq!(scene.behind.keys("restic"), Vec::<String>::new());
    assert_eq!(scene.behind.objects(), Vec::<String>::new());
}

#[tokio::test]
async fn the_same_once_more_is_fine_and_anything_else_is_refused() {
    let scene = Scene::new().await;
    for (kind, length) in [("data", 300_000), ("index", 900), ("keys", 400), ("snapshots", 300)] {
        let content = noise(length);
        let path = scene.save(kind, &content).await;
        assert_eq!(scene.post(&path, content.clone()).await.status, 200, "an answer may have been lost");
        let mut other = content.clone();
        other[0] ^= 1;
        assert_eq!(scene.post(&path, other).await.status, 403, "{kind}");
        assert_eq!(scene.post(&path, noise(length + 1)).await.status, 403, "{kind}");
        assert_eq!(scene.get(&path).await.body, content);
    }
}

#[tokio::test]
async fn the_config_is_made_once() {
    let scene = Scene::new().await;
    assert_eq!(scene.head("/config").await.status, 404);
    assert_eq!(scene.get("/config").await.status, 404);
    let config = noise(155);
    assert_eq!(scene.post("/config", config.clone()).await.status, 200);
    assert_eq!(scene.head("/config").await.header("content-length"), "155");
    assert_eq!(scene.range("/config", "bytes=0-").await.body, config);
    assert_eq!(scene.post("/config", noise(156)).await.status, 403);
    let other = config.iter().map(|byte| byte ^ 1).collect::<Vec<u8>>();
    assert_eq!(scene.post("/config", other).await.status, 403);
    assert_eq!(scene.post("/config", config.clone()).await.status, 200, "an answer may have been lost");
    assert_eq!(scene.get("/config").await.body, config);
    assert_eq!(scene.delete("/config").await.status, 200);
    assert_eq!(scene.head("/config").await.status, 404);
}

#[tokio::test]
async fn of_two_who_make_the_config_at_once_one_has() {
    let scene = Scene::new().await;
    let bodies: Vec<Vec<u8>> = (0..8).map(|number| noise(100 + number)).collect();
    let posts = bodies.iter().map(|body| scene.post("/config", body.clone()));
    let answers = futures::future::join_all(posts).await;
    let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status.as_u16()).collect();
    let winner = statuses.iter().position(|status| *status == 200).unwrap();
    assert_eq!(scene.get("/config").await.body, bodies[winner]);
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 403, 403, 403, 403, 403, 403, 403]);
}

#[tokio::test]
async fn whoever_enters_a_file_first_at_another_daemon_wins() {
    let scene = Scene::new().await;
    let content = noise(70_000);
    let path = format!("/data/{}", id(&content));
    let theirs = Stored::Object { link: "theirs".to_owned(), size: 70_000 };
    let first = Some((format!("restic{path}"), theirs.clone()));
    scene.behind.trouble(Trouble { first, ..Trouble::default() });
    assert_eq!(scene.post(&path, content).await.status, 200);
    assert_eq!(scene.behind.value("restic", &format!("restic{path}")), Some(theirs));
    assert_eq!(scene.behind.objects(), Vec::<String>::new(), "ours is not kept in vain");

    let theirs = Stored::Inline(noise(155).into());
    let first = Some(("restic/config".to_owned(), theirs));
    scene.behind.trouble(Trouble { first, ..Trouble::default() });
    assert_eq!(scene.post("/config", noise(156)).await.status, 403);
    assert_eq!(scene.get("/config").await.body, noise(155));
}

#[tokio::test]
async fn an_upload_says_its_length_and_is_not_too_long() {
    let scene = Scene::new().await;
    let path = format!("/data/{}", id(b"x"));
    let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"x"))]);
    let chunked = scene.send_body(Method::POST, &path, &[], Body::from_stream(pieces)).await.unwrap();
    assert_eq!(chunked.status, 411);
    for (path, length) in [(path.clone(), (160 << 20) + 1), (format!("/locks/{}", id(b"x")), 4001)] {
        let host = scene.address;
        let head = format!("POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-length: {length}\r\n\r\n");
        let answer = scene.raw(head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
    assert_eq!(scene.head(&path).await.status, 404);
}

#[tokio::test]
async fn a_pack_of_160_mib_is_taken_and_given_out() {
    let scene = Scene::new().await;
    let content = Bytes::from(noise(160 << 20));
    let path = format!("/data/{}", id(&content));
    assert_eq!(scene.post(&path, content.clone()).await.status, 200);
    assert_eq!(scene.range(&path, "bytes=0-").await.body, content);
}

#[tokio::test]
async fn a_body_that_breaks_off_enters_nothing() {
    let scene = Scene::new().await;
    let content = noise(300_000);
    let path = format!("/data/{}", id(&content));
    let begun = Bytes::copy_from_slice(&content[..200_000]);
    let pieces = stream::iter([Ok(begun), Err(std::io::Error::other("gone"))]);
    let length = content.len().to_string();
    let answer =
        scene.send_body(Method::POST, &path, &[("content-length", &length)], Body::from_stream(pieces)).await;
    assert!(answer.is_none_or(|answer| answer.status == 400));
    assert_eq!(scene.head(&path).await.status, 404);
    assert_eq!(scene.behind.objects(), Vec::<String>::new());
    assert_eq!(scene.post(&path, content).await.status, 200, "and the next attempt is one");
}

#[tokio::test]
async fn an_upload_goes_on_when_the_client_does_not_wait_for_the_answer() {
    let scene = Scene::new().await;
    let content = noise(300_000);
    let path = format!("/data/{}", id(&content));
    let head = format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 300000\r\n\r\n", scene.address);
    {
        let mut stream = tokio::net::TcpStream::connect(scene.address).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, &[head.as_bytes(), &content].concat())
            .await
            .unwrap();
    }
    let (behind, key) = (scene.behind.clone(), format!("restic{path}"));
    scene.leave().await;
    // Either the head was not read any more, or all of it was done.
    assert_eq!(behind.value("restic", &key).is_some(), !behind.objects().is_empty());
}

#[tokio::test]
async fn troubles_of_the_store_have_the_status_that_clients_act_on() {
    let scene = Scene::new().await;
    let because = || "because".to_owned();
    for (error, status) in [
        (Error::Incomplete(because()), 503),
        (Error::TooFewNodes(because()), 503),
        (Error::Full(because()), 507),
        (Error::Other(because()), 500),
    ] {
        let content = noise(5_000_000);
        let path = format!("/data/{}", id(&content));
        scene.behind.trouble(Trouble { put: Some(error.clone()), ..Trouble::default() });
        let answer = scene.post(&path, content.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.text()), (status, "because\n"));
        for trouble in [
            Trouble { open: Some(error.clone()), ..Trouble::default() },
            Trouble { get: Some(error.clone()), ..Trouble::default() },
            Trouble { change: Some(error.clone()), ..Trouble::default() },
        ] {
            scene.behind.trouble(trouble.clone());
            assert_eq!(scene.post("/config", noise(155)).await.status, status, "{trouble:?}");
            assert_eq!(scene.post(&path, content.clone()).await.status, status, "{trouble:?}");
        }
        for trouble in [
            Trouble { open: Some(error.clone()), ..Trouble::default() },
            Trouble { get: Some(error), ..Trouble::default() },
        ] {
            scene.behind.trouble(trouble);
            for file in ["/config", &path] {
                assert_eq!(scene.head(file).await.status, status, "what cannot be seen is not absent");
                assert_eq!(scene.get(file).await.status, status);
                assert_eq!(scene.delete(file).await.status, status);
            }
        }
        scene.behind.trouble(Trouble::default());
    }
    assert_eq!(scene.status().last_problem.as_deref(), Some("because"));
    assert!(scene.status().failed > 20);
}

#[tokio::test]
async fn many_uploads_at_once_are_all_taken() {
    let scene = Scene::new().await;
    let saving = stream::iter(0..40).map(|number| {
        let scene = &scene;
        async move { scene.save("data", &noise(100_000 + number)).await }
    });
    let paths: Vec<String> = saving.buffer_unordered(14).collect().await;
    assert_eq!(paths.len(), 40);
    let listed = scene.send(Method::GET, "/data/", &[("accept", V2)], "").await;
    assert_eq!(listed.text().matches("\"name\"").count(), 40);
}
