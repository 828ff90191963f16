//! Reading files.

use hyper::Method;

use super::client::{Scene, id, noise};
use super::in_memory::Trouble;

#[tokio::test]
async fn ranges_are_as_http_says() {
    let scene = Scene::new().await;
    for (kind, length) in [("data", 200_000), ("keys", 400)] {
        let content = noise(length);
        let path = scene.save(kind, &content).await;
        let last = length - 1;
        for (range, bytes) in [
            ("bytes=0-".to_owned(), 0..length),
            ("bytes=17-".to_owned(), 17..length),
            ("bytes=0-0".to_owned(), 0..1),
            ("bytes=100-142".to_owned(), 100..143),
            (format!("bytes=100-{last}"), 100..length),
            (format!("bytes=100-{}", last + 5000), 100..length),
            ("bytes=-43".to_owned(), length - 43..length),
            ("bytes=-99999999".to_owned(), 0..length),
        ] {
            let answer = scene.range(&path, &range).await;
            assert_eq!(answer.status, 206, "{range}");
            assert_eq!(answer.body, content[bytes.clone()], "{range}");
            assert_eq!(answer.header("content-length"), bytes.len().to_string(), "{range}");
            let shown = format!("bytes {}-{}/{length}", bytes.start, bytes.end - 1);
            assert_eq!(answer.header("content-range"), shown);
            assert_eq!(answer.header("transfer-encoding"), "");
        }
        for beyond in
            [format!("bytes={length}-"), format!("bytes={length}-{}", length + 9), "bytes=-0".to_owned()]
        {
            let answer = scene.range(&path, &beyond).await;
            assert_eq!(answer.status, 416, "{beyond}");
            assert_eq!(answer.header("content-range"), format!("bytes */{length}"));
        }
        for ignored in ["bytes=0-1,3-4", "lines=0-1"] {
            let answer = scene.range(&path, ignored).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (200, length), "{ignored}");
        }
        assert_eq!(scene.range(&path, "bytes=9-3").await.status, 400);
        let whole = scene.get(&path).await;
        assert_eq!((whole.status.as_u16(), whole.header("content-length")), (200, &*length.to_string()));
        assert_eq!(whole.header("accept-ranges"), "bytes");
    }
}

#[tokio::test]
async fn a_file_without_bytes_is_whole_whatever_range_is_asked_for() {
    let scene = Scene::new().await;
    for kind in ["data", "snapshots"] {
        let path = scene.save(kind, b"").await;
        for range in ["bytes=0-", "bytes=-5", "bytes=0-9"] {
            let answer = scene.range(&path, range).await;
            assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, "0"), "{range}");
        }
        assert_eq!(scene.head(&path).await.header("content-length"), "0");
    }
}

#[tokio::test]
async fn looking_tells_the_length_of_all_of_it_and_sends_nothing() {
    let scene = Scene::new().await;
    let path = scene.save("data", &noise(70_000)).await;
    let answer =
        scene.send(Method::HEAD, &path, &[("range", "bytes=0-9"), ("accept-encoding", "gzip")], "").await;
    assert_eq!((answer.status.as_u16(), answer.header("content-length")), (200, "70000"));
    assert_eq!((answer.body.len(), answer.header("content-encoding")), (0, ""));
    let absent = format!("/data/{}", id(b"absent"));
    assert_eq!(scene.head(&absent).await.status, 404);
    assert_eq!(scene.get(&absent).await.status, 404);
    assert_eq!(scene.range(&absent, "bytes=0-").await.status, 404);
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_not_absent_and_one_that_breaks_off_is_not_whole() {
    let scene = Scene::new().await;
    let path = scene.save("data", &noise(300_000)).await;
    scene.behind.trouble(Trouble { read_breaks_off: Some(100_000), ..Trouble::default() });
    assert!(scene.send_body(Method::GET, &path, &[], axum::body::Body::empty()).await.is_none(), "it is cut");
    assert_eq!(scene.range(&path, "bytes=0-9").await.body.len(), 10, "what can be read is read");
    scene.behind.trouble(Trouble::default());
    let lost = crate::restic::repository::Stored::Object { link: "lost".to_owned(), size: 10 };
    scene.behind.enter("restic", &format!("restic{path}"), lost);
    assert_eq!(scene.get(&path).await.status, 503);
    assert_eq!(scene.status().last_problem.as_deref(), Some("2 of 3 chunks have too few shards"));
}
