//! Files by WebDAV through daemons of a network, with programs that many use, also while daemons die.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant, UNIX_EPOCH};

use chordage_api::client::VolumeAccess;
use chordage_api::types::{VolumeChange, VolumeChanges, VolumeExpectation, VolumeImport, WebdavStatus};
use chordage_testnet::{Plan, Testnet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::harness::{Net, PROGRAM, random_bytes, shown};
use crate::tours::runs_as_it_stands;

/// How long a program may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Whether a program is installed; says so where it is not.
fn has(program: &str, asked: &str) -> bool {
    let is_there = std::process::Command::new(program).arg(asked).output().is_ok();
    if !is_there {
        println!("skipped: {program} is not installed (apt-get install {program})");
    }
    is_there
}

/// A network whose daemons all serve WebDAV.
async fn network(nodes: usize) -> Net {
    let dir = tempfile::tempdir().unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), nodes);
    plan.daemon_args = ["--webdav", "127.0.0.1:0", "--webdav-volume", "files"].map(String::from).to_vec();
    let net = Testnet::start(plan).await.unwrap();
    net.wait_settled(crate::harness::PATIENCE).await.unwrap();
    Net::of(net, dir)
}

async fn served(net: &Net, node: usize) -> WebdavStatus {
    net.net.status(node).await.unwrap().gateways.webdav.unwrap()
}

/// One daemon, and requests to it.
struct Dav(SocketAddr);

/// Status, head and body of an answer.
struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Dav {
    async fn at(net: &Net, node: usize) -> Self {
        Dav(served(net, node).await.listen.parse().unwrap())
    }

    fn url(&self) -> String {
        format!("http://{}/", self.0)
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n", self.0);
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
        let asking = async {
            let mut stream = TcpStream::connect(self.0).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            stream.write_all(body).await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            answer
        };
        let answer = tokio::time::timeout(PATIENCE, asking).await.expect("an answer");
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8_lossy(&answer[..end]).to_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answer { status, head, body: answer[end + 4..].to_vec() }
    }

    async fn does(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8], status: u16) {
        let answer = self.send(method, path, headers, body).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", String::from_utf8_lossy(&answer.body));
    }

    async fn get(&self, path: &str) -> Vec<u8> {
        let answer = self.send("GET", path, &[], b"").await;
        assert_eq!(answer.status, 200, "{path}: {}", String::from_utf8_lossy(&answer.body));
        answer.body
    }

    /// What a directory shows, which comes in pieces.
    async fn list(&self, path: &str) -> String {
        let answer = self.send("PROPFIND", path, &[("depth", "1")], b"").await;
        assert_eq!(answer.status, 207);
        String::from_utf8_lossy(&answer.body).into_owned()
    }
}

#[tokio::test]
async fn files_and_directories_are_written_read_moved_locked_and_deleted() {
    let mut net = network(4).await;
    let dav = Dav::at(&net, 0).await;
    let content = random_bytes(3_000_000, 7);
    dav.does("MKCOL", "/d", &[], b"", 201).await;
    dav.does("PUT", "/d/x.bin", &[], &content, 201).await;
    dav.does("PUT", "/d/small", &[], b"small", 201).await;
    assert_eq!(dav.get("/d/x.bin").await, content);
    let part = dav.send("GET", "/d/x.bin", &[("range", "bytes=1000000-2999998")], b"").await;
    assert_eq!((part.status, &part.body[..]), (206, &content[1_000_000..2_999_999]));
    dav.does("COPY", "/d", &[("destination", "/copy")], b"", 201).await;
    dav.does("MOVE", "/d", &[("destination", &format!("{}e", dav.url()))], b"", 201).await;
    dav.does("GET", "/d/small", &[], b"", 404).await;
    assert_eq!(dav.get("/e/small").await, b"small");
    dav.does("DELETE", "/copy/x.bin", &[], b"", 204).await;
    assert_eq!(dav.get("/e/x.bin").await, content, "the content is shared and stays");
    let list = dav.list("/").await;
    assert!(
        list.contains("<D:href>/copy/") && list.contains("<D:href>/e/") && !list.contains("/d/"),
        "{list}"
    );
    dav.does("PROPFIND", "/", &[("depth", "infinity")], b"", 403).await;

    let lock =
        b"<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                 <D:locktype><D:write/></D:locktype></D:lockinfo>";
    let locked = dav.send("LOCK", "/e/small", &[("timeout", "Second-60")], lock).await;
    assert_eq!(locked.status, 200);
    dav.does("PUT", "/e/small", &[], b"changed", 423).await;
    let token = locked.head.split("lock-token: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    dav.does("PUT", "/e/small", &[("if", &format!("({token})"))], b"changed", 204).await;
    dav.does("UNLOCK", "/e/small", &[("lock-token", &token)], b"", 204).await;

    // A restart finds everything.
    net.net.kill(&[0]).unwrap();
    net.net.restart(&[0]).await.unwrap();
    let dav = Dav::at(&net, 0).await;
    assert_eq!(dav.get("/e/small").await, b"changed");
    assert_eq!(dav.get("/e/x.bin").await, content);
    let status = served(&net, 0).await;
    assert_eq!((status.failed, status.last_problem, status.volume.as_str()), (0, None, "files"));
    let said = String::from_utf8(net.run(0, ["status"], [""; 0]).await.stdout).unwrap();
    assert!(said.contains(&format!("the files of the volume files at http://{}/", status.listen)), "{said}");
}

#[tokio::test]
async fn two_daemons_die_and_a_third_shows_the_same_volume() {
    let mut net = network(8).await;
    let dav = Dav::at(&net, 0).await;
    let content = random_bytes(2_000_000, 9);
    dav.does("MKCOL", "/d", &[], b"", 201).await;
    dav.does("PUT", "/d/before", &[], &content, 201).await;
    net.net.kill(&[3, 5]).unwrap();
    assert_eq!(dav.get("/d/before").await, content);
    dav.does("PUT", "/d/after", &[], &content[..1_000_000], 201).await;
    dav.does("MOVE", "/d", &[("destination", "/moved")], b"", 201).await;
    let (first, second) = (net.net.client(0).unwrap(), net.net.client(1).unwrap());
    let capability = first.export_volume("files", VolumeAccess::Write).await.unwrap().capability;
    second.import_volume(&VolumeImport { petname: "files".to_owned(), capability }).await.unwrap();
    let other = Dav::at(&net, 1).await;
    assert_eq!(other.get("/moved/before").await, content);
    other.does("PUT", "/moved/here", &[], b"from the other", 201).await;
    assert_eq!(dav.get("/moved/here").await, b"from the other");
    assert_eq!(dav.get("/moved/after").await, content[..1_000_000]);
}

/// Enters that many files into the map of the volume, all with the same content, half of them a directory deeper.
async fn enter_files(net: &Net, dav: &Dav, directory: &str, count: usize) {
    let client = net.net.client(0).unwrap();
    dav.does("MKCOL", &format!("/{directory}"), &[], b"", 201).await;
    dav.does("MKCOL", &format!("/{directory}/deep"), &[], b"", 201).await;
    dav.does("PUT", &format!("/{directory}/first"), &[], b"content", 201).await;
    let found =
        client.volume_values("files", &format!("files/{directory}//first"), None, None).await.unwrap();
    let numbers: Vec<usize> = (0..count).collect();
    for some in numbers.chunks(1000) {
        let change = |number: &usize| VolumeChange {
            key: format!(
                "files/{directory}/{}/{number:06}",
                if number.is_multiple_of(2) { "" } else { "deep/" }
            ),
            value: Some(found.values[0].value.clone()),
            expect: VolumeExpectation::Absent,
        };
        let changes = some.iter().map(change).collect();
        let request = VolumeChanges { volume: "files".to_owned(), changes, moves: Vec::new() };
        client.change_volume(&request).await.unwrap();
    }
}

/// Moves and copies a directory of so many files; each is one new state of the volume.
async fn moves_and_copies(count: usize) {
    let net = network(3).await;
    let dav = Dav::at(&net, 0).await;
    enter_files(&net, &dav, "big", count).await;
    let state = async || {
        let found = net.net.client(0).unwrap().volume_values("files", "files/", None, Some(1)).await;
        found.unwrap().seq
    };
    let before = state().await;
    for (method, from, to) in [("MOVE", "/big", "/moved"), ("COPY", "/moved", "/copy")] {
        let before = net.net.status(0).await.unwrap().process.rss_peak_bytes;
        let begun = Instant::now();
        dav.does(method, from, &[("destination", to)], b"", 201).await;
        let (took, process) = (begun.elapsed(), net.net.status(0).await.unwrap().process);
        println!(
            "{method} of {count} files: {took:?}, at most {} bytes, {before} before",
            process.rss_peak_bytes
        );
    }
    assert_eq!(state().await, before + 2);
    let list = dav.list("/").await;
    assert!(
        list.contains("<D:href>/moved/") && list.contains("<D:href>/copy/") && !list.contains("/big"),
        "{list}"
    );
    for directory in ["/moved", "/copy"] {
        // Itself, the deeper one and the first are listed too.
        let (list, deep) = (dav.list(directory).await, dav.list(&format!("{directory}/deep")).await);
        let entries = [list, deep].map(|list| list.matches("<D:href>").count());
        assert_eq!(entries, [count / 2 + 3, count / 2 + 1], "{directory}");
        assert_eq!(dav.get(&format!("{directory}/deep/{:06}", count - 1)).await, b"content");
    }
    dav.does("GET", "/big/deep/000001", &[], b"", 404).await;
    // Nothing replaces what it does not note, and nothing of it is half done.
    dav.does("MOVE", "/copy", &[("destination", "/moved")], b"", 507).await;
    assert_eq!(state().await, before + 2);
    assert_eq!(served(&net, 0).await.refused, 0);
}

#[tokio::test]
async fn a_directory_of_thousands_of_files_is_moved_and_copied_at_once() {
    moves_and_copies(5_000).await;
}

#[tokio::test]
#[ignore = "takes minutes; it measures how long a large directory takes"]
async fn a_directory_of_a_hundred_thousand_files_is_moved_and_copied_at_once() {
    moves_and_copies(100_000).await;
}

/// A program, with what it says if it fails.
async fn runs(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends").unwrap();
    assert!(output.status.success(), "{command:?}: {}", shown(&output));
    output
}

#[tokio::test]
async fn litmus_finds_nothing_wrong() {
    if !has("litmus", "--version") {
        return;
    }
    let net = network(3).await;
    let dav = Dav::at(&net, 0).await;
    let output = runs(Command::new("litmus").arg("-k").arg(dav.url()).current_dir(net.path(""))).await;
    let said = String::from_utf8_lossy(&output.stdout);
    for suite in ["basic", "copymove", "props", "locks", "http"] {
        let summary = said.lines().find(|line| line.contains(&format!("summary for `{suite}'")));
        assert!(summary.is_some_and(|line| line.contains(" 0 failed")), "{suite}: {}", shown(&output));
    }
}

/// A directory with small and large files, another one in every round.
fn fill(net: &Net, round: u64) -> PathBuf {
    let dir = net.path("source");
    fs::create_dir_all(dir.join("deep/er \u{e9}")).unwrap();
    for number in 0..12 {
        let path = dir.join(format!("deep/er \u{e9}/{number} & more"));
        // rclone sees a change by the size: WebDAV gives it neither times nor hashes.
        fs::write(path, random_bytes((700 * number + round) as usize, round * 100 + number)).unwrap();
    }
    fs::write(dir.join(format!("large-{round}")), random_bytes(5_000_000, round)).unwrap();
    dir
}

#[tokio::test]
async fn rclone_synchronises_there_and_back() {
    if !has("rclone", "version") {
        return;
    }
    let net = network(4).await;
    let dav = Dav::at(&net, 0).await;
    let config = net.path("rclone.conf");
    fs::write(&config, format!("[dav]\ntype = webdav\nurl = {}\nvendor = other\n", dav.url())).unwrap();
    let rclone = |args: &[&str]| {
        let mut command = Command::new("rclone");
        command.arg("--config").arg(&config).args(["--retries", "1"]).args(args);
        command
    };
    for round in 0..2 {
        let source = fill(&net, round);
        let source = source.to_str().unwrap();
        runs(&mut rclone(&["sync", source, "dav:mine"])).await;
        runs(&mut rclone(&["check", "--download", source, "dav:mine"])).await;
    }
    fs::remove_file(net.path("source/large-0")).unwrap();
    let source = net.path("source");
    runs(&mut rclone(&["sync", source.to_str().unwrap(), "dav:mine"])).await;
    let back = net.path("back");
    runs(&mut rclone(&["sync", "dav:mine", back.to_str().unwrap()])).await;
    let diff = std::process::Command::new("diff").arg("-r").args([&source, &back]).output().unwrap();
    assert!(diff.status.success(), "{}", shown(&diff));
    runs(&mut rclone(&["move", "dav:mine", "dav:other"])).await;
    runs(&mut rclone(&["check", "--download", source.to_str().unwrap(), "dav:other"])).await;
    runs(&mut rclone(&["purge", "dav:other"])).await;
    assert_eq!(served(&net, 0).await.failed, 0);
}

/// As a client of ownCloud, rclone says when files were changed, and sees a change by that.
#[tokio::test]
async fn rclone_brings_the_times_of_files_there_and_back() {
    if !has("rclone", "version") {
        return;
    }
    let net = network(3).await;
    let config = net.path("rclone.conf");
    let url = Dav::at(&net, 0).await.url();
    fs::write(&config, format!("[dav]\ntype = webdav\nurl = {url}\nvendor = owncloud\n")).unwrap();
    let (source, back) = (net.path("source"), net.path("back"));
    fs::create_dir_all(source.join("d")).unwrap();
    let sync = async |from: &str, to: &str| {
        let mut command = Command::new("rclone");
        command.arg("--config").arg(&config).args(["--retries", "1", "sync", from, to]);
        runs(&mut command).await;
    };
    let (source_text, back_text) = (source.to_str().unwrap(), back.to_str().unwrap());
    // The second has the size of the first.
    for (content, seconds) in [("one", 1_000_000_000), ("two", 999_999_000)] {
        let time = UNIX_EPOCH + Duration::from_secs(seconds);
        fs::write(source.join("d/x"), content).unwrap();
        fs::File::options().write(true).open(source.join("d/x")).unwrap().set_modified(time).unwrap();
        sync(source_text, "dav:mine").await;
        sync("dav:mine", back_text).await;
        assert_eq!(fs::read_to_string(back.join("d/x")).unwrap(), content);
        assert_eq!(fs::metadata(back.join("d/x")).unwrap().modified().unwrap(), time);
    }
    assert_eq!(served(&net, 0).await.failed, 0);
}

/// The commands of the tour, one block after the other, as they stand there.
#[tokio::test]
async fn the_tour_is_true() {
    if !has("rclone", "version") || !has("curl", "--version") {
        return;
    }
    let output = runs_as_it_stands("webdav").await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("webdav     shows everybody") && said.contains("letter.txt"), "{}", shown(&output));
}
