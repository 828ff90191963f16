//! Readers and writers that stand still, with the connection open.

use std::path::PathBuf;
use std::time::Duration;

use chordage_testnet::wait_until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::harness::{Net, PATIENCE, json_of, random_bytes, shown};

/// More than five readers have fetched ahead, and more than fits into the memory budget several times over.
const BYTES: usize = 32 << 20;
/// More than lies between a reader that stands still and the chunks.
const BYTES_OF_MANY: usize = 6 << 20;
/// Readers and puts at a time, as the documents say.
const READERS_MAX: usize = 32;
const PUTS_MAX: usize = 8;
/// How long a request may take that others' standing still does not concern. A daemon that waits for those who stand
/// still would need longer than anybody has patience.
const SOON: Duration = Duration::from_secs(30);

/// An answer whose body is still to be read.
struct Begun {
    status: u16,
    /// Keeps the connection, and what has been read of the body.
    stream: UnixStream,
    body: Vec<u8>,
}

impl Begun {
    /// Asks a node and reads until the head is there, and not on.
    async fn get(net: &Net, node: usize, path: &str) -> Begun {
        let mut stream = connect(net, node).await;
        let head = format!("GET {path} HTTP/1.0\r\nHost: x\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        let end = loop {
            if let Some(end) = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break end;
            }
            let mut some = [0; 256];
            let read = timeout(PATIENCE, stream.read(&mut some)).await.expect("an answer in time").unwrap();
            assert!(read > 0, "an answer has a head");
            answer.extend_from_slice(&some[..read]);
        };
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Begun { status, stream, body: answer.split_off(end + 4) }
    }

    /// The rest of the body.
    async fn read_on(mut self) -> Vec<u8> {
        timeout(PATIENCE, self.stream.read_to_end(&mut self.body)).await.expect("a body in time").unwrap();
        self.body
    }
}

fn socket(net: &Net, node: usize) -> PathBuf {
    net.net.data_dir(node).join("api.sock")
}

async fn connect(net: &Net, node: usize) -> UnixStream {
    UnixStream::connect(socket(net, node)).await.unwrap()
}

/// Readers of the whole object who stop after the first bytes.
async fn still_readers(net: &Net, node: usize, link: &str, count: usize) -> Vec<Begun> {
    let mut readers = Vec::new();
    for _ in 0..count {
        let begun = Begun::get(net, node, &format!("/v1/objects/{link}/content")).await;
        assert_eq!(begun.status, 200);
        readers.push(begun);
    }
    readers
}

/// Waits until a node has not fetched for a while: all who stand still have what they fetch ahead.
async fn settle(net: &Net, node: usize) {
    let fetched = async || net.net.status(node).await.unwrap().transfers.reads.chunks;
    let settling = async {
        let mut before = fetched().await;
        loop {
            sleep(Duration::from_secs(1)).await;
            let now = fetched().await;
            if now == before {
                return;
            }
            before = now;
        }
    };
    timeout(PATIENCE, settling).await.expect("readers that stand still do not fetch for ever");
}

/// What a small request of every kind says, each soon.
async fn small_requests_are_served(net: &Net, node: usize, link: &str, small: &str, round: &str) {
    for command in [["stat"].as_slice(), &["explain"], &["ls"], &["cat", "--range", "1000-1099"]] {
        let link = if command == ["ls"] { small } else { link };
        let output = timeout(SOON, net.run(node, command.iter().copied(), [link])).await;
        let output = output.unwrap_or_else(|_| panic!("{command:?} hangs ({round})"));
        assert!(output.status.success(), "{command:?} ({round}): {}", shown(&output));
    }
    let five = net.path(&format!("five-{round}"));
    std::fs::write(&five, format!("{round:>5.5}")).unwrap();
    let output = timeout(SOON, net.run(node, ["put", "--json", "--redundancy", "2/3"], [&five])).await;
    json_of(&output.expect("a put of five bytes hangs"));
}

/// A tree with one small file.
async fn small_tree(net: &Net) -> String {
    let dir = net.path("tree");
    std::fs::create_dir(&dir).unwrap();
    std::fs::write(dir.join("hello"), "hello").unwrap();
    net.put(0, "2/3", &dir).await
}

#[tokio::test]
async fn readers_that_stand_still_keep_nobody_waiting_and_can_read_on() {
    let net = Net::start(3).await;
    let link = net.put(0, "2/3", &net.random_file("file", BYTES, 31)).await;
    let small = small_tree(&net).await;
    let mut readers = still_readers(&net, 1, &link, 6).await;
    settle(&net, 1).await;
    small_requests_are_served(&net, 1, &link, &small, "after").await;
    assert!(timeout(SOON, net.get(1, &link, "whole")).await.expect("a get hangs") == random_bytes(BYTES, 31));
    // Who only paused has lost nothing.
    assert!(readers.pop().unwrap().read_on().await == random_bytes(BYTES, 31));
}

#[tokio::test]
async fn when_all_readers_stand_still_the_next_is_told_so_and_small_requests_are_served() {
    let net = Net::start(3).await;
    let link = net.put(0, "2/3", &net.random_file("file", BYTES_OF_MANY, 32)).await;
    let small = small_tree(&net).await;
    let readers = still_readers(&net, 1, &link, READERS_MAX).await;
    settle(&net, 1).await;
    let output = timeout(SOON, net.run(1, ["cat"], [&link])).await.expect("one reader too many hangs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.code() == Some(3) && said.contains("32 reads"), "{}", shown(&output));
    small_requests_are_served(&net, 1, &link, &small, "many").await;
    drop(readers);
    assert!(
        timeout(SOON, net.get(1, &link, "whole")).await.expect("a get hangs")
            == random_bytes(BYTES_OF_MANY, 32)
    );
}

#[tokio::test]
async fn uploads_that_stand_still_keep_nobody_waiting() {
    let net = Net::start(3).await;
    let link = net.put(0, "2/3", &net.random_file("file", BYTES_OF_MANY, 33)).await;
    let small = small_tree(&net).await;
    let mut uploads = Vec::new();
    for seed in 0..PUTS_MAX - 1 {
        let mut stream = connect(&net, 1).await;
        let head = "POST /v1/objects?redundancy=2/3 HTTP/1.0\r\nHost: x\r\nContent-Length: 100000000\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let begun = random_bytes(BYTES_OF_MANY, 100 + seed as u64);
        timeout(PATIENCE, stream.write_all(&begun)).await.expect("it is taken").unwrap();
        uploads.push(stream);
    }
    small_requests_are_served(&net, 1, &link, &small, "put").await;
    drop(uploads);
}

#[tokio::test]
async fn who_is_needed_and_did_not_answer_is_asked_once_more() {
    let net = Net::start(3).await;
    let file = net.random_file("file", 300_000, 36);
    let needed = net.net.status(2).await.unwrap().identity.id;
    net.net.freeze(2).unwrap();
    let putting = net.run(0, ["put", "--json", "--redundancy", "2/3"], [&file]);
    let waits = |wanted: fn(u64) -> bool| {
        let (net, needed) = (&net, &needed);
        let waits = move || async move {
            let waited = net.net.status(0).await.map_err(|error| error.to_string())?.puts.puts_wait_for;
            match waited.iter().find(|waited| waited.id == *needed) {
                Some(waited) if wanted(waited.seconds) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        };
        wait_until("the put waits for the one that stands still", PATIENCE, waits)
    };
    let thawing = async {
        waits(|seconds| seconds >= 3).await.unwrap();
        // From the beginning.
        waits(|seconds| seconds < 3).await.unwrap();
        net.net.thaw(2).unwrap();
    };
    let (put, ()) = tokio::join!(putting, thawing);
    assert_eq!(json_of(&put)["acks_min"], 3);
}

#[tokio::test]
async fn a_holder_that_stands_still_keeps_nobody_waiting() {
    let net = Net::start(5).await;
    let link = net.put(0, "2/4", &net.random_file("file", BYTES_OF_MANY, 34)).await;
    let large = net.random_file("large", BYTES, 35);
    let silent = net.net.status(4).await.unwrap().identity.id;
    net.net.freeze(4).unwrap();
    // Shards for the one that stands still pile up meanwhile.
    let putting = net.run(0, ["put", "--json", "--redundancy", "2/4"], [&large]);
    let asking = async {
        for command in [["stat"].as_slice(), &["cat", "--range", "1000-1099"], &["cat"]] {
            let output = timeout(SOON, net.run(0, command.iter().copied(), [&link])).await;
            let output = output.unwrap_or_else(|_| panic!("{command:?} hangs"));
            assert!(output.status.success(), "{command:?}: {}", shown(&output));
        }
    };
    let named = async {
        let waited = || async {
            let status = net.net.status(0).await.map_err(|error| error.to_string())?;
            if status.puts.puts_wait_for.iter().any(|waited| waited.id == silent) {
                Ok(())
            } else {
                Err(status.membership.state.to_string())
            }
        };
        wait_until("status says for whom the put waits", PATIENCE, waited).await.unwrap();
    };
    let (put, (), ()) = tokio::join!(putting, asking, named);
    json_of(&put);
    net.net.thaw(4).unwrap();
}
