//! What fails leaves everything as it was.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;

use super::client::{Scene, noise};
use super::in_memory::Trouble;
use crate::front::now;
use crate::kept::Error;

#[tokio::test]
async fn a_put_that_fails_leaves_the_old_version_and_says_why() {
    let scene = Scene::new().await;
    scene.put("/x", "old").await;
    for (error, status) in [
        (Error::Full("no room".to_owned()), 507),
        (Error::TooFewNodes("3 of 9".to_owned()), 503),
        (Error::Incomplete("timed out".to_owned()), 503),
        (Error::ReadOnly("imported to read".to_owned()), 403),
        (Error::Other("strange".to_owned()), 500),
    ] {
        scene.behind.trouble(Trouble { put: Some(error.clone()), ..Trouble::default() });
        assert_eq!(scene.send("PUT", "/x", &[], noise(300_000)).await.status, status, "{error}");
        scene.behind.trouble(Trouble { change: Some(error.clone()), ..Trouble::default() });
        assert_eq!(scene.send("PUT", "/x", &[], "new").await.status, status, "{error}");
        assert_eq!(scene.mkcol("/d").await, status, "{error}");
        assert_eq!(scene.to("MOVE", "/x", "/y", &[]).await, status, "{error}");
        scene.behind.trouble(Trouble::default());
        assert_eq!(scene.get("/x").await.text(), "old");
    }
    assert_eq!(scene.list("/").await, ["/x"]);
    // What was stored and not entered is forgotten.
    assert_eq!(scene.behind.objects().len(), 2);
    scene.sweep(now()).await;
    assert_eq!(scene.behind.objects().len(), 1);
    assert_eq!(scene.get("/x").await.text(), "old");
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_the_old_version() {
    let scene = Scene::new().await;
    scene.put("/x", "old").await;
    let broken = stream::iter([Ok(Bytes::from(noise(100_000))), Err(std::io::Error::other("gone"))]);
    let lost = scene.send_body("PUT", "/x", &[("content-length", "200000")], Body::from_stream(broken)).await;
    assert!(lost.is_none_or(|answer| answer.status == 400));
    let chunked = stream::iter([Ok(Bytes::from(noise(100_000))), Err(std::io::Error::other("gone"))]);
    let lost = scene.send_body("PUT", "/x", &[], Body::from_stream(chunked)).await;
    assert!(lost.is_none_or(|answer| answer.status == 400));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(scene.get("/x").await.text(), "old");
    assert_eq!(scene.behind.objects().len(), 1);
    // One whose length is not said is taken.
    let whole =
        stream::iter([Ok::<_, std::io::Error>(Bytes::from(noise(1000))), Ok(Bytes::from(noise(2000)))]);
    assert_eq!(scene.send_body("PUT", "/x", &[], Body::from_stream(whole)).await.unwrap().status, 204);
    assert_eq!(scene.get("/x").await.body.len(), 3000);
}

#[tokio::test]
async fn whoever_was_first_is_not_overwritten() {
    let scene = Scene::new().await;
    let entry = br#"{"kind":"file","created":1,"modified":1}"#.to_vec();
    let first = || Trouble { first: Some(("files//x".to_owned(), entry.clone())), ..Trouble::default() };
    scene.behind.trouble(first());
    assert_eq!(scene.send("PUT", "/x", &[], "mine").await.status, 503, "another daemon was faster");
    assert_eq!(scene.get("/x").await.text(), "");
    assert_eq!(scene.delete("/x").await, 204);
    scene.behind.trouble(first());
    assert_eq!(scene.send("PUT", "/x", &[("if-none-match", "*")], "mine").await.status, 412);
}

#[tokio::test]
async fn a_value_of_a_later_version_is_an_error() {
    let scene = Scene::new().await;
    let strange = br#"{"kind":"symlink","created":1,"modified":1}"#.to_vec();
    scene.behind.trouble(Trouble { first: Some(("files//s".to_owned(), strange)), ..Trouble::default() });
    scene.put("/x", "x").await;
    assert_eq!(scene.get("/s").await.status, 500);
    assert_eq!(scene.send("PROPFIND", "/", &[("depth", "1")], "").await.status, 500);
    assert_eq!(scene.get("/x").await.text(), "x");
}
