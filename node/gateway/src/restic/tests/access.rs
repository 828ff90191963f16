//! Who may do what, and what there is.

use std::net::TcpListener;

use data_encoding::BASE64;
use hyper::Method;

use super::client::{Scene, id, noise, settings, users_file};
use crate::front::ListenError;
use crate::front::tests::cheap_line;
use crate::restic::{ResticListener, ResticSettings};

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", BASE64.encode(format!("{user}:{password}").as_bytes()))
}

#[tokio::test]
async fn users_see_what_is_below_their_name_and_nothing_else() {
    let (_dir, file) = users_file(&[
        cheap_line("alice", "first"),
        cheap_line("b-o_b.x@y", "second"),
        cheap_line("j\u{f6}rg", "third"),
    ]);
    let scene = Scene::with(ResticSettings { users: Some(file), ..settings() }).await;
    let send = async |method: Method, path: &str, authorization: &str| {
        let headers = [("authorization", authorization), ("host", "backup.example"), ("content-length", "0")];
        scene.send(method, path, &headers[..if authorization.is_empty() { 0 } else { 3 }], "").await
    };
    let (alice, bob) = (basic("alice", "first"), basic("b-o_b.x@y", "second"));
    for wrong in [
        basic("alice", "second"),
        basic("carol", "first"),
        basic("", ""),
        "Basic x".to_owned(),
        String::new(),
    ] {
        for path in ["/", "/alice/", "/alice/laptop/config", "/nonsense/a/b/c"] {
            let answer = send(Method::GET, path, &wrong).await;
            assert_eq!(answer.status, 401, "{wrong} at {path}");
            assert!(answer.header("www-authenticate").starts_with("Basic "));
        }
    }
    for (path, who) in [
        ("/alice/", &alice),
        ("/alice/laptop/", &alice),
        ("/b-o_b.x%40y/", &bob),
        ("/j%C3%B6rg/x/", &basic("j\u{f6}rg", "third")),
    ] {
        assert_eq!(send(Method::POST, &format!("{path}?create=true"), who).await.status, 200, "{path}");
        assert_eq!(send(Method::GET, &format!("{path}data/"), who).await.text(), "[]");
        assert_eq!(send(Method::HEAD, &format!("{path}config"), who).await.status, 404);
    }
    for path in ["/", "/config", "/data/", "/b-o_b.x%40y/", "/b-o_b.x%40y/data/", "/alicex/", "/Alice/"] {
        for method in [Method::GET, Method::HEAD, Method::DELETE] {
            assert_eq!(send(method, path, &alice).await.status, 403, "{path}");
        }
        assert_eq!(send(Method::POST, &format!("{path}?create=true"), &alice).await.status, 403, "{path}");
    }
    assert_eq!(send(Method::GET, "/alice/nonsense/x/y", &alice).await.status, 404);
    assert_eq!(scene.status().users, Some(3));
}

#[tokio::test]
async fn a_page_in_a_browser_gets_nothing() {
    let scene = Scene::new().await;
    let path = scene.save("data", &noise(100)).await;
    for headers in [
        [("origin", "http://evil.example")],
        [("origin", "null")],
        [("sec-fetch-site", "same-origin")],
        [("host", "evil.example:80")],
    ] {
        for (method, path) in
            [(Method::GET, &*path), (Method::DELETE, &*path), (Method::POST, "/evil/?create=true")]
        {
            assert_eq!(scene.send(method, path, &headers, "").await.status, 403, "{headers:?}");
        }
    }
    assert_eq!(scene.head(&path).await.status, 200);
    assert_eq!(scene.head("/evil/config").await.status, 404);
    for host in ["localhost:1", "127.0.0.1", "[::1]:8017"] {
        assert_eq!(scene.send(Method::GET, &path, &[("host", host)], "").await.status, 200);
    }
    assert_eq!(scene.status().users, None);
}

#[tokio::test]
async fn without_users_only_this_machine_is_served() {
    for far in ["0.0.0.0:0", "[::]:0", "192.0.2.7:80"] {
        let far = ResticSettings { listen: far.parse().unwrap(), ..settings() };
        assert!(matches!(ResticListener::bind(far).await, Err(ListenError::NeedsUsers { .. })));
    }
    let (_dir, file) = users_file(&[cheap_line("alice", "first")]);
    let far = ResticSettings { listen: "0.0.0.0:0".parse().unwrap(), users: Some(file), ..settings() };
    assert!(ResticListener::bind(far).await.is_ok());
    let missing = ResticSettings { users: Some("/nowhere/users".into()), ..settings() };
    assert!(matches!(ResticListener::bind(missing).await, Err(ListenError::Users(_))));
}

#[tokio::test]
async fn a_port_that_somebody_has_is_said_to_be_in_use() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let error = ResticListener::bind(ResticSettings { listen: address, ..settings() }).await.err().unwrap();
    assert!(matches!(error, ListenError::InUse { address: at, .. } if at == address), "{error}");
    assert!(error.to_string().contains("in use"), "{error}");
}

#[tokio::test]
async fn what_there_is_not_is_404_and_what_cannot_be_done_says_what_can() {
    let scene = Scene::new().await;
    let name = id(b"x");
    for path in [
        &format!("/packs/{name}")[..],
        &format!("/a/b/packs/{name}"),
        "/a/b/packs/",
        &format!("/data/{}", &name[1..]),
        &format!("/data/{}", name.to_uppercase()),
        &format!("/data/{name}/"),
        "/data/../config",
        "/data/..%2fconfig",
        "/a/b/../../config",
        "/%2e%2e/%2e%2e/etc/passwd",
        "//config",
        "/a/b/c/config",
        "/a%00/config",
    ] {
        for method in [Method::GET, Method::HEAD, Method::DELETE, Method::POST, Method::PUT] {
            assert_eq!(
                scene.send(method.clone(), path, &[("content-length", "0")], "").await.status,
                404,
                "{method} {path}"
            );
        }
    }
    for (path, method, status, allow) in [
        ("/", Method::DELETE, 501, ""),
        ("/alice/laptop/", Method::DELETE, 501, ""),
        ("/", Method::GET, 404, ""),
        ("/", Method::PUT, 405, "POST, DELETE"),
        ("/data/", Method::HEAD, 405, "GET"),
        ("/data/", Method::DELETE, 405, "GET"),
        ("/data/", Method::POST, 405, "GET"),
        ("/config", Method::PUT, 405, "GET, HEAD, POST, DELETE"),
        ("/config", Method::OPTIONS, 405, "GET, HEAD, POST, DELETE"),
    ] {
        let answer = scene.send(method.clone(), path, &[("content-length", "0")], "").await;
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (status, allow), "{method} {path}");
    }
    assert_eq!(scene.behind.keys("restic"), Vec::<String>::new());
    assert_eq!(scene.status().failed, 0, "none of this is trouble of ours");
}

#[tokio::test]
async fn what_is_no_request_is_answered_so_and_ends() {
    let scene = Scene::new().await;
    for bytes in
        [&b"nonsense\r\n\r\n"[..], b"GET /\xff HTTP/1.1\r\n\r\n", b"GET / HTTP/1.1\r\nbad header\r\n\r\n"]
    {
        let answer = scene.raw(bytes).await;
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let no_host = scene.raw(b"GET /config HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(no_host.starts_with("HTTP/1.1 403 "), "{no_host}");
    let lying = format!("POST /config HTTP/1.1\r\nhost: {}\r\ncontent-length: -1\r\n\r\n", scene.address);
    assert!(scene.raw(lying.as_bytes()).await.starts_with("HTTP/1.1 400 "));
    assert_eq!(scene.get("/data/").await.text(), "[]");
}
