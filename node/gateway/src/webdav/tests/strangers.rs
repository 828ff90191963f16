//! Who is let in, and what strangers may send.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{PATIENCE, Scene, settings};
use crate::front::ListenError;
use crate::front::tests::cheap_line;
use crate::webdav::{WebdavListener, WebdavSettings};

/// The first line of an answer to these bytes.
async fn raw(scene: &Scene, method: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(scene.address).await.unwrap();
    let host = scene.address;
    let head =
        format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes");
    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn paths_of_strangers_lead_nowhere_and_end_nothing() {
    let scene = Scene::new().await;
    scene.put("/x", "x").await;
    let long = format!("/{}", "a".repeat(4096));
    let steps = format!("/{}x", "../".repeat(50));
    for path in [
        "/..",
        "/../x",
        "/a/../../x",
        "/%2e%2e/x",
        "/a/%2E%2E/%2e%2e/x",
        "/a%2Fb",
        "/a%2f..%2fx",
        "/%00",
        "/a%00b",
        "/%ff",
        "/%C3%28",
        "/%0a",
        "/%7f",
        "/%EF%BF%BF",
        "/a%",
        "/a%zz",
        "//",
        "/./",
        "/a//b",
        "/a/./b",
        "*",
        "x",
        "/\u{e9}",
        "/a\\b",
        "/files-deleted/x",
        &long,
        &steps,
    ] {
        for method in ["GET", "PUT", "MKCOL", "DELETE", "PROPFIND", "OPTIONS", "LOCK"] {
            let answer = raw(&scene, method, path).await;
            assert!(
                answer.starts_with("HTTP/1.1 ") && !answer.contains(" 500 "),
                "{method} {path}: {answer}"
            );
        }
        for method in ["COPY", "MOVE"] {
            if let Ok(value) = hyper::header::HeaderValue::from_str(path) {
                let headers = [("destination", value.to_str().unwrap_or("/e"))];
                let status = scene.send(method, "/x", &headers, "").await.status;
                assert!(status != 500, "{method} to {path}: {status}");
            }
        }
    }
    assert!(
        scene
            .behind
            .keys("")
            .iter()
            .all(|key| key.starts_with("files/") || key.starts_with("files-deleted/"))
    );
    assert_eq!(scene.mkcol("/still").await, 201);
}

#[tokio::test]
async fn documents_are_bounded_in_length_and_depth() {
    let scene = Scene::new().await;
    scene.put("/x", "x").await;
    let deep = format!("{}{}", "<a>".repeat(9000), "</a>".repeat(9000));
    let entities = "<!DOCTYPE a [<!ENTITY b \"bbbb\">]><a>&b;</a>";
    for method in ["PROPFIND", "PROPPATCH", "LOCK"] {
        assert_eq!(scene.send(method, "/x", &[("depth", "0")], deep.clone()).await.status, 400, "{method}");
        assert_eq!(scene.send(method, "/x", &[("depth", "0")], entities).await.status, 400);
        assert_eq!(scene.send(method, "/x", &[("depth", "0")], "<").await.status, 400);
        let long = format!("<a>{}</a>", "b".repeat(70_000));
        assert_eq!(scene.send(method, "/x", &[("depth", "0")], long).await.status, 413);
    }
    assert_eq!(scene.send("PATCH", "/x", &[], "").await.status, 405);
    assert_eq!(scene.send("REPORT", "/x", &[], "").await.status, 405);
}

#[tokio::test]
async fn pages_in_browsers_and_other_hosts_are_refused() {
    let scene = Scene::new().await;
    for headers in
        [[("origin", "http://evil.example")], [("sec-fetch-site", "cross-site")], [("host", "evil.example")]]
    {
        assert_eq!(scene.send("GET", "/", &headers, "").await.status, 403);
    }
    assert_eq!(scene.status().refused, 3);
}

#[tokio::test]
async fn users_say_who_they_are_and_an_address_for_others_needs_them() {
    let far = WebdavSettings { listen: "0.0.0.0:0".parse().unwrap(), ..settings() };
    assert!(matches!(WebdavListener::bind(far).await, Err(ListenError::NeedsUsers { .. })));
    let dir = tempfile::tempdir().unwrap();
    let users = dir.path().join("users");
    std::fs::write(&users, cheap_line("alice", "a secret")).unwrap();
    let scene = Scene::with(WebdavSettings { users: Some(users), ..settings() }).await;
    let nobody = scene.get("/").await;
    assert_eq!(
        (nobody.status, nobody.header("www-authenticate").contains("chordage webdav")),
        (401.try_into().unwrap(), true)
    );
    let said = |text: &str| format!("Basic {}", data_encoding::BASE64.encode(text.as_bytes()));
    let right = said("alice:a secret");
    assert_eq!(scene.send("PUT", "/x", &[("authorization", &right)], "x").await.status, 201);
    assert_eq!(scene.send("GET", "/x", &[("authorization", &said("alice:wrong"))], "").await.status, 401);
    assert_eq!(scene.status().users, Some(1));
}
