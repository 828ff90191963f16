//! Clients that are slow, many, or gone.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use bytes::Bytes;
use futures::stream::{self, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::client::{PATIENCE, Scene, id, noise, settings, shared};
use super::in_memory::InMemory;
use crate::restic::ResticSettings;
use crate::restic::path::RepositoryName;
use crate::restic::repository::Repositories;
use crate::restic::requests::answer;

fn upload(path: &str, length: usize, body: Body) -> Request {
    Request::post(path).header("host", "localhost").header("content-length", length).body(body).unwrap()
}

#[tokio::test]
async fn a_body_that_stands_still_or_only_trickles_ends_and_enters_nothing() {
    let behind = InMemory::default();
    behind.create(&RepositoryName::default()).await.unwrap();
    let content = noise(10_000);
    let path = format!("/data/{}", id(&content));
    let begun = Bytes::copy_from_slice(&content[..100]);
    let stands_still = stream::iter([Ok::<_, std::io::Error>(begun)]).chain(stream::pending());
    let trickles = stream::iter(content.clone()).then(|byte| async move {
        tokio::time::sleep(Duration::from_millis(20)).await;
        Ok::<_, std::io::Error>(Bytes::copy_from_slice(&[byte]))
    });
    for body in [Body::from_stream(stands_still), Body::from_stream(trickles)] {
        let request = upload(&path, content.len(), body);
        let answered = timeout(PATIENCE, answer(State(shared(&behind)), request)).await.expect("it ends");
        assert_eq!(answered.status(), 408);
    }
    assert_eq!((behind.keys("restic"), behind.objects()), (Vec::new(), Vec::new()));
}

#[tokio::test]
async fn one_file_is_changed_by_one_at_a_time_and_who_waits_too_long_is_told_to_come_again() {
    let behind = InMemory::default();
    behind.create(&RepositoryName::default()).await.unwrap();
    let (shared, content) = (shared(&behind), noise(1000));
    let path = format!("/data/{}", id(&content));
    let file = crate::restic::path::FileId::parse(&id(&content)).unwrap();
    let claim = shared.claims.claim(&RepositoryName::default(), file).await;
    let waited = answer(State(shared.clone()), upload(&path, 1000, Body::from(content.clone()))).await;
    assert_eq!(waited.status(), 503);
    drop(claim);
    let taken = answer(State(shared), upload(&path, 1000, Body::from(content))).await;
    assert_eq!(taken.status(), 200);
}

#[tokio::test]
async fn those_who_idle_make_room_for_those_who_want_something() {
    let scene = Scene::with(ResticSettings { connections_max: 4, ..settings() }).await;
    let mut idle = Vec::new();
    for _ in 0..4 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        let host = scene.address;
        let request = format!("GET /x/config HTTP/1.1\r\nhost: {host}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 404");
        idle.push(stream);
    }
    assert_eq!(scene.get("/x/config").await.status, 404);
    for mut stream in idle {
        let mut rest = Vec::new();
        let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it was closed");
    }
    assert_eq!(scene.status().turned_away, 0);
}

#[tokio::test]
async fn whoever_comes_among_many_is_answered() {
    let scene = Scene::with(ResticSettings { connections_max: 2, ..settings() }).await;
    let address = scene.address;
    let clients: Vec<_> = (0..32)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..5 {
                    let mut stream = TcpStream::connect(address).await.unwrap();
                    // Not in the same moment: what is said is not there when the place is taken.
                    tokio::time::sleep(Duration::from_millis(2)).await;
                    let request =
                        format!("GET /x/config HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
                    stream.write_all(request.as_bytes()).await.unwrap();
                    let mut answer = Vec::new();
                    let read =
                        timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it is answered");
                    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{read:?}: {answer:?}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    assert_eq!(scene.status().turned_away, 0);
}

#[tokio::test]
async fn those_who_say_nothing_make_room() {
    let scene = Scene::with(ResticSettings { connections_max: 2, ..settings() }).await;
    let mut silent = Vec::new();
    for _ in 0..2 {
        silent.push(TcpStream::connect(scene.address).await.unwrap());
    }
    assert_eq!(scene.get("/x/config").await.status, 404);
    assert_eq!(scene.status().turned_away, 0);
}

#[tokio::test]
async fn those_who_take_nothing_make_room() {
    let scene = Scene::with(ResticSettings { connections_max: 2, ..settings() }).await;
    assert_eq!(scene.post("/?create=true", "").await.status, 200);
    // More than sockets take by themselves.
    let content = noise(32 << 20);
    let path = format!("/data/{}", id(&content));
    assert_eq!(scene.post(&path, content).await.status, 200);
    let mut standing = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", scene.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut status = [0; 12];
        stream.read_exact(&mut status).await.unwrap();
        assert_eq!(&status, b"HTTP/1.1 200");
        standing.push(stream);
    }
    assert_eq!(scene.get("/x/config").await.status, 404);
    assert_eq!(scene.status().turned_away, 0);
}

#[tokio::test]
async fn there_are_so_many_connections_and_no_more() {
    let scene = Scene::with(ResticSettings { connections_max: 2, ..settings() }).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        // The head of a request that does not end.
        stream.write_all(b"GET /x/config HTTP/1.1\r\nhost: localhost\r\n").await.unwrap();
        busy.push(stream);
    }
    let answer = scene.raw(b"").await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert_eq!(scene.status().turned_away, 1);
    busy[0].write_all(b"\r\n").await.unwrap();
    let mut answered = Vec::new();
    let _ = timeout(PATIENCE, busy[0].read_to_end(&mut answered)).await.expect("it is answered");
    assert!(answered.starts_with(b"HTTP/1.1 404 "));
    assert_eq!(scene.get("/x/config").await.status, 404);
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_its_place() {
    let scene = Scene::with(ResticSettings { connections_max: 2, ..settings() }).await;
    assert_eq!(scene.post("/?create=true", "").await.status, 200);
    let content = noise(1 << 20);
    let path = format!("/data/{}", id(&content));
    for _ in 0..6 {
        let mut stream = TcpStream::connect(scene.address).await.unwrap();
        let head =
            format!("POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: 1048576\r\n\r\n", scene.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&content[..50_000]).await.unwrap();
    }
    assert_eq!(scene.head(&path).await.status, 404);
    assert_eq!(scene.post(&path, content).await.status, 200);
}

#[tokio::test]
async fn leaving_lets_what_is_under_way_finish_and_takes_no_more() {
    let scene = Scene::new().await;
    let (address, content) = (scene.address, noise(1 << 20));
    let path = format!("/data/{}", id(&content));
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: 1048576\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&content[..50_000]).await.unwrap();
    while scene.status().requests < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let behind = scene.behind.clone();
    let finishing = async {
        // Until nobody listens any more.
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stream.write_all(&content[50_000..]).await.unwrap();
        let mut answered = Vec::new();
        let _ = stream.read_to_end(&mut answered).await;
        String::from_utf8_lossy(&answered).into_owned()
    };
    let (answered, ()) = tokio::join!(finishing, scene.leave());
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    assert!(behind.value("restic", &format!("restic{path}")).is_some());
}
