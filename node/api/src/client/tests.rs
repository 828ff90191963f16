#![allow(clippy::unwrap_used)]

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body as AxumBody, Bytes};
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Json};
use axum::routing::{get, post};
use futures::stream;
use tokio::net::UnixListener;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::types::ProblemCode;
use crate::upload::upload;

/// A server on a Unix socket in a directory of its own, gone with the value.
struct Server {
    client: Client,
    _dir: tempfile::TempDir,
    _task: AbortOnDropHandle<()>,
}

fn serve(routes: Router) -> Server {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let brief = Duration::from_millis(200);
    let timeouts = Timeouts { connect: Duration::from_secs(5), answer: brief, stall: brief };
    let client = Client::new(Endpoint::Unix(path)).with_timeouts(timeouts);
    Server { client, _dir: dir, _task: AbortOnDropHandle::new(task) }
}

fn problem(code: ProblemCode, message: &str) -> Problem {
    Problem { code, message: message.into(), state: "nothing is stored".into(), hint: "try again".into() }
}

async fn whole(client: &Client) -> Result<Vec<u8>, ClientError> {
    let mut download = client.content("x", None, None).await?;
    let mut all = Vec::new();
    while let Some(bytes) = download.chunk().await? {
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

#[tokio::test]
async fn nobody_listening_is_an_error_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let client = Client::new(Endpoint::Unix(dir.path().join("api.sock")));
    assert!(matches!(client.status().await, Err(ClientError::Unreachable { .. })));
}

#[tokio::test]
async fn a_problem_arrives_as_the_daemon_said_it() {
    let expected = problem(ProblemCode::TooFewNodes, "4 live nodes, 6 wanted");
    let sent = expected.clone();
    let server = serve(
        Router::new()
            .route("/v1/peers", get(move || async move { (StatusCode::SERVICE_UNAVAILABLE, Json(sent)) })),
    );
    match server.client.peers().await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem, expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn another_program_behind_the_address_is_recognised() {
    let server = serve(Router::new());
    assert!(matches!(server.client.peers().await, Err(ClientError::Unexpected(_))));
}

#[tokio::test]
async fn silence_ends_in_an_error() {
    let server = serve(Router::new().route("/v1/peers", get(std::future::pending::<StatusCode>)));
    assert!(matches!(server.client.peers().await, Err(ClientError::Stalled { .. })));
}

#[tokio::test]
async fn silence_inside_a_body_ends_in_an_error() {
    let server = serve(Router::new().route(
        "/v1/objects/{link}/content",
        get(|| async {
            let first = stream::iter([Ok::<_, std::io::Error>(Bytes::from_static(b"abc"))]);
            AxumBody::from_stream(futures::StreamExt::chain(first, stream::pending()))
        }),
    ));
    let mut download = server.client.content("x", None, None).await.unwrap();
    assert_eq!(download.chunk().await.unwrap().as_deref(), Some(&b"abc"[..]));
    assert!(matches!(download.chunk().await, Err(ClientError::Stalled { .. })));
}

#[tokio::test]
async fn a_cut_body_is_explained_by_the_daemon() {
    let expected = problem(ProblemCode::Unavailable, "chunk 3 has too few shards");
    let asked: Arc<Mutex<Option<String>>> = Arc::default();
    let seen = Arc::clone(&asked);
    let told = expected.clone();
    let server = serve(
        Router::new()
            .route(
                "/v1/objects/{link}/content",
                get(move |headers: HeaderMap| async move {
                    let id = headers[OPERATION_HEADER].to_str().unwrap().to_owned();
                    *seen.lock().unwrap() = Some(id);
                    let pieces =
                        [Ok(Bytes::from_static(b"a prefix")), Err(std::io::Error::other("too few shards"))];
                    AxumBody::from_stream(stream::iter(pieces))
                }),
            )
            .route(
                "/v1/operations/{id}",
                get(move |Path(id): Path<String>| async move {
                    assert_eq!(Some(id), asked.lock().unwrap().clone());
                    Json(told)
                }),
            ),
    );
    match whole(&server.client).await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem, expected),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_cut_body_without_explanation_is_lost_not_short() {
    let server = serve(Router::new().route(
        "/v1/objects/{link}/content",
        get(|| async {
            let pieces = [Ok(Bytes::from_static(b"a prefix")), Err(std::io::Error::other("gone"))];
            AxumBody::from_stream(stream::iter(pieces))
        }),
    ));
    let answer = whole(&server.client).await;
    assert!(matches!(answer, Err(ClientError::Lost(_))), "{answer:?}");
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_a_put_is_told() {
    let refused: Arc<Mutex<Option<String>>> = Arc::default();
    let seen = Arc::clone(&refused);
    let server = serve(
        Router::new()
            .route(
                "/v1/objects",
                // Answers at once, without reading the body, as a busy daemon would.
                post(move |headers: HeaderMap| async move {
                    let id = headers[OPERATION_HEADER].to_str().unwrap().to_owned();
                    *seen.lock().unwrap() = Some(id);
                    (StatusCode::SERVICE_UNAVAILABLE, Json(problem(ProblemCode::Busy, "8 puts run already")))
                }),
            )
            .route(
                "/v1/operations/{id}",
                get(move |Path(id): Path<String>| async move {
                    assert_eq!(Some(id), refused.lock().unwrap().clone());
                    Json(problem(ProblemCode::Busy, "8 puts run already")).into_response()
                }),
            ),
    );
    let (mut writer, body) = upload();
    let producer = std::thread::spawn(move || {
        // Ends when the connection does; far more than fits into its buffers.
        let piece = [0; 65536];
        (0..10_000).try_for_each(|_| writer.write_all(&piece)).is_err()
    });
    match server.client.put(body, BodyFormat::File, &PutQuery::default()).await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.code, ProblemCode::Busy),
        other => panic!("{other:?}"),
    }
    assert!(producer.join().unwrap(), "the producer was told to stop");
}

#[tokio::test]
async fn bytes_are_taken_up_to_the_limit_even_if_nobody_says_how_many_come() {
    let server = serve(Router::new().route(
        "/v1/objects/{link}/content",
        get(|| async {
            let pieces = [b"abc", b"def"].map(|piece| Ok::<_, std::io::Error>(Bytes::from_static(piece)));
            AxumBody::from_stream(stream::iter(pieces))
        }),
    ));
    assert_eq!(server.client.get_bytes("x", 6).await.unwrap(), b"abcdef");
    for max in [0, 3, 5] {
        let answer = server.client.get_bytes("x", max).await;
        assert!(matches!(answer, Err(GetBytesError::TooLong { max: told }) if told == max), "{answer:?}");
    }
}

#[tokio::test]
async fn a_put_of_bytes_ends_when_the_daemon_takes_no_more() {
    let busy = || async { (StatusCode::SERVICE_UNAVAILABLE, Json(problem(ProblemCode::Busy, "8 puts run"))) };
    let server =
        serve(Router::new().route("/v1/objects", post(busy)).route("/v1/operations/{id}", get(busy)));
    // Far more than fits into the buffers between the two.
    match server.client.put_bytes(&vec![0; 64 << 20]).await {
        Err(ClientError::Problem(problem)) => assert_eq!(problem.code, ProblemCode::Busy),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_slow_source_is_not_blamed_on_the_daemon() {
    let server = serve(Router::new().route(
        "/v1/objects",
        post(|body: AxumBody| async move {
            let bytes = axum::body::to_bytes(body, 1 << 20).await.unwrap();
            assert_eq!(&bytes[..], b"slow");
            let report = PutReport {
                link: "l".into(),
                verify_link: "v".into(),
                bytes: bytes.len() as u64,
                stored_bytes: 0,
                sent_bytes: 0,
                reused_bytes: 0,
                chunks: 1,
                new_chunks: 1,
                files: 1,
                unchanged_files: 0,
                unchanged_bytes: 0,
                k: 1,
                n: 1,
                acks_min: 1,
                degraded: false,
                less_than_before: None,
                only_here: false,
                kept_since: None,
                kept_as: Vec::new(),
                seconds: 0.0,
            };
            Json(report)
        }),
    ));
    let (mut writer, body) = upload();
    // The client would call a daemon stuck after 200 ms; this source takes longer than that to say anything.
    let (release, released) = std::sync::mpsc::channel::<()>();
    let producer = std::thread::spawn(move || {
        let _ = released.recv();
        writer.write_all(b"slow").unwrap();
        writer.finish().unwrap();
    });
    let client = server.client.clone();
    let putting = async { client.put(body, BodyFormat::File, &PutQuery::default()).await };
    let mut putting = std::pin::pin!(putting);
    let waited = tokio::time::timeout(Duration::from_millis(700), &mut putting).await;
    assert!(waited.is_err(), "the put ended while its source was silent: {waited:?}");
    release.send(()).unwrap();
    assert_eq!(putting.await.unwrap().bytes, 4);
    producer.join().unwrap();
}

#[tokio::test]
async fn listings_arrive_line_by_line() {
    let line = |path: &str| {
        format!(r#"{{"path":"{path}","kind":"file","bytes":1,"mode":420,"mtime_seconds":0}}"#) + "\n"
    };
    let text = line("a") + &line("b");
    let (head, tail) = text.split_at(13);
    let pieces = [head.to_owned(), tail.to_owned()];
    let server = serve(Router::new().route(
        "/v1/objects/{link}/entries",
        get(move || async move { AxumBody::from_stream(stream::iter(pieces.map(Ok::<_, std::io::Error>))) }),
    ));
    let entries = server.client.entries("x", None, false).await.unwrap().collect().await.unwrap();
    let paths: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(paths, ["a", "b"]);
}
