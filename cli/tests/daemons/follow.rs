//! Directories that follow names, while what is published changes, daemons die, and somebody writes into them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout};
use tokio::time::timeout;

use crate::harness::{Net, PATIENCE, chordage, json_of, random_bytes, shown};

/// A name that is published at one daemon and followed at another.
struct Story {
    net: Net,
    name: String,
}

impl Story {
    async fn with_daemons(nodes: usize) -> Self {
        let net = Net::start(nodes).await;
        let made = json_of(&net.run(0, ["name", "create", "site", "--json"], [] as [&str; 0]).await);
        let name = format!("{}/notes", made["key"].as_str().unwrap());
        Story { net, name }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.net.path(name)
    }

    /// Writes a file of what is to be published.
    fn write(&self, name: &str, content: &[u8]) {
        let path = self.path("tree").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    async fn publish(&self, redundancy: &str) -> String {
        let link = self.net.put(0, redundancy, &self.path("tree")).await;
        self.name_it(&link, &[]).await;
        link
    }

    async fn name_it(&self, target: &str, more: &[&str]) {
        let publish = ["name", "publish", "site/notes", target, "--json"];
        json_of(&self.net.run(0, publish, more).await);
    }

    /// Follows once, at the second daemon.
    async fn once(&self, more: &[&str]) -> Output {
        let follow = ["follow", "--json", &self.name, "--once"];
        let dir = self.path("dir");
        self.net.run(1, follow.into_iter().chain(more.iter().copied()), [dir]).await
    }

    async fn watch(&self) -> Watch {
        let mut follow = chordage(["follow", "--json", &self.name]);
        let mut child =
            follow.arg(self.path("dir")).arg("--api").arg(self.net.net.data_dir(1)).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Watch { child, lines }
    }
}

/// A follow that goes on.
struct Watch {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watch {
    /// Events until one for which `last` holds.
    async fn until(&mut self, last: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut events = Vec::new();
        let coming = async {
            loop {
                let line = self.lines.next_line().await.unwrap().expect("it goes on");
                let event: Value = serde_json::from_str(&line).unwrap();
                events.push(event.clone());
                if last(&event) {
                    return;
                }
            }
        };
        let came = timeout(PATIENCE, coming).await;
        assert!(came.is_ok(), "what came is {events:#?}");
        events
    }

    async fn current(&mut self, seq: u64) -> Vec<Value> {
        self.until(|event| event["event"] == "current" && event["seq"] == seq).await
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        // Not yet waited for, so the id is still this child's.
        let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        pidfd_send_signal(pidfd, signal).unwrap();
    }
}

fn events(output: &Output) -> Vec<Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The paths of events of one kind.
fn paths<'a>(events: &'a [Value], kind: &str) -> Vec<&'a str> {
    let of_kind = events.iter().filter(|event| event["event"] == kind);
    of_kind.map(|event| event["path"].as_str().unwrap()).collect()
}

/// All files below a directory, but for what follow keeps there.
fn files(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(at) = open.pop() {
        let entries = fs::read_dir(&at).map(|entries| entries.map(|entry| entry.unwrap().path()).collect());
        for path in entries.unwrap_or_else(|_| Vec::new()) {
            if path.file_name().unwrap() == ".chordage-follow" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else {
                found.insert(path.strip_prefix(dir).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

#[tokio::test]
async fn only_what_has_changed_is_fetched_and_changes_here_are_kept() {
    let story = Story::with_daemons(5).await;
    for number in 0..20 {
        story.write(&format!("{}/{number}", number % 3), &random_bytes(50_000, number));
    }
    story.publish("2/4").await;
    let mut watch = story.watch().await;
    let came = watch.current(1).await;
    assert_eq!(paths(&came, "fetched").len(), 20, "{came:?}");
    assert_eq!(files(&story.path("dir")), files(&story.path("tree")));

    story.write("1/1", &random_bytes(50_000, 100));
    story.write("new/file", b"new");
    fs::remove_file(story.path("tree/2/2")).unwrap();
    story.publish("2/4").await;
    let came = watch.current(2).await;
    assert_eq!((paths(&came, "fetched"), paths(&came, "removed")), (vec!["1/1", "new/file"], vec!["2/2"]));
    assert_eq!(files(&story.path("dir")), files(&story.path("tree")));
    let last = came.last().unwrap();
    assert_eq!((&last["fetched"], &last["removed"], &last["files"]), (&2.into(), &1.into(), &20.into()));

    // One at a time; and Ctrl-C ends it, and says where it is.
    let second = story.once(&[]).await;
    assert_eq!(second.status.code(), Some(9), "{}", shown(&second));
    watch.signal(Signal::INT);
    let ended = watch.child.wait_with_output().await.unwrap();
    assert_eq!(ended.status.code(), Some(130), "{}", shown(&ended));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("at version 2"), "{}", shown(&ended));

    // Changed here and there; changed here alone; there alone.
    fs::write(story.path("dir/1/1"), "mine").unwrap();
    fs::write(story.path("dir/0/0"), "mine too").unwrap();
    fs::write(story.path("dir/other"), "never brought").unwrap();
    story.write("1/1", b"theirs");
    story.publish("2/4").await;
    let dry = story.once(&["--dry-run"]).await;
    assert!(dry.status.success(), "{}", shown(&dry));
    assert_eq!(paths(&events(&dry), "fetched"), ["1/1"]);
    let output = story.once(&[]).await;
    assert_eq!(output.status.code(), Some(10), "{}", shown(&output));
    let came = events(&output);
    assert_eq!(paths(&came, "conflict"), ["0/0", "1/1"], "{came:?}");
    let kept = came.iter().find_map(|event| event["kept_as"]["path"].as_str()).unwrap();
    assert!(kept.starts_with("1/1.local-2"), "{kept}");
    let lies = files(&story.path("dir"));
    let content = |path: &str| lies[Path::new(path)].as_slice();
    assert_eq!((content("1/1"), content(kept)), (&b"theirs"[..], &b"mine"[..]));
    assert_eq!((content("0/0"), content("other")), (&b"mine too"[..], &b"never brought"[..]));
}

#[tokio::test]
async fn what_was_cut_off_goes_on_and_the_directory_is_at_one_version() {
    const FILES: usize = 200;
    const BYTES: usize = 200_000;
    let story = Story::with_daemons(4).await;
    story.write("first", b"version 1");
    story.publish("2/4").await;
    let first = story.once(&[]).await;
    assert!(first.status.success(), "{}", shown(&first));
    for (number, content) in random_bytes(FILES * BYTES, 31).chunks(BYTES).enumerate() {
        story.write(&format!("{number:03}"), content);
    }
    story.write("large", &random_bytes(40_000_000, 32));
    story.publish("2/4").await;
    let mut watch = story.watch().await;
    let staged = || fs::read_dir(story.path("dir/.chordage-follow")).map_or(0, Iterator::count);
    let enough = async {
        while staged() < FILES / 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, enough).await.unwrap();
    watch.signal(Signal::KILL);
    watch.child.wait().await.unwrap();
    let lies = files(&story.path("dir"));
    let (one, all) = (1, files(&story.path("tree")).len());
    assert!(lies.len() == one || lies.len() == all, "it is at one version or the other: {}", lies.len());
    let output = story.once(&[]).await;
    assert!(output.status.success(), "{}", shown(&output));
    if lies.len() == one {
        let fetched = paths(&events(&output), "fetched").len();
        assert!(fetched <= FILES, "{fetched} were fetched again");
    }
    assert!(files(&story.path("dir")) == files(&story.path("tree")));
    assert_eq!(staged(), 2, "the lock and the state");
    // Nothing to do any more.
    let again = events(&story.once(&[]).await);
    assert_eq!((again.len(), &again[0]["event"], &again[0]["fetched"]), (1, &"current".into(), &0.into()));
}

#[tokio::test]
async fn it_waits_for_pieces_says_why_and_goes_on() {
    let mut story = Story::with_daemons(6).await;
    story.write("a.txt", &random_bytes(300_000, 41));
    story.publish("5/6").await;
    let mut watch = story.watch().await;
    watch.current(1).await;
    watch.signal(Signal::STOP);
    story.write("a.txt", &random_bytes(300_000, 42));
    let link = story.publish("5/6").await;
    // What a daemon has read of it is remembered for a minute: then the file itself is what is missing.
    json_of(&story.net.run(1, ["stat", "--json"], [&link]).await);
    story.net.net.kill(&[4, 5]).unwrap();
    watch.signal(Signal::CONT);
    let came = watch.until(|event| event["event"] == "waiting").await;
    let waits = came.last().unwrap();
    assert!(waits["why"].as_str().unwrap().contains("of 5"), "{waits}");
    assert_eq!((&waits["code"], &waits["seq"]), (&"unavailable".into(), &1.into()), "{waits}");
    assert!(files(&story.path("dir")) != files(&story.path("tree")));
    let once = story.net.run(2, ["follow", &story.name, "--once"], [story.path("other")]).await;
    assert_eq!(once.status.code(), Some(4), "{}", shown(&once));
    story.net.net.restart(&[4, 5]).await.unwrap();
    watch.current(2).await;
    assert!(files(&story.path("dir")) == files(&story.path("tree")));
}

#[tokio::test]
async fn a_name_that_ends_and_a_daemon_that_restarts_are_waited_for() {
    let mut story = Story::with_daemons(4).await;
    story.write("a", b"1");
    story.publish("2/4").await;
    let mut watch = story.watch().await;
    watch.current(1).await;
    json_of(&story.net.run(0, ["name", "unpublish", "site/notes", "--json"], [] as [&str; 0]).await);
    let came = watch.until(|event| event["event"] == "waiting").await;
    let waits = came.last().unwrap();
    assert!(waits["why"].as_str().unwrap().starts_with("nobody publishes"), "{waits}");
    assert_eq!(waits["seq"], 1);
    story.write("a", b"2");
    let link = story.publish("2/4").await;
    watch.current(3).await;
    // It holds for a moment only.
    story.name_it(&link, &["--valid", "3s", "--ttl", "1s"]).await;
    let ended = |event: &Value| event["event"] == "waiting" && event["code"] == "no_such_name";
    watch.until(ended).await;
    story.net.net.kill(&[1]).unwrap();
    watch.until(|event| event["event"] == "waiting" && event["code"] != "no_such_name").await;
    story.write("a", b"3");
    story.publish("2/3").await;
    story.net.net.restart(&[1]).await.unwrap();
    watch.current(5).await;
    assert_eq!(fs::read(story.path("dir/a")).unwrap(), b"3");
}

#[tokio::test]
async fn files_come_alone_strangers_stay_inside_and_the_rest_is_refused() {
    let story = Story::with_daemons(3).await;
    let file = story.net.random_file("file", 20_000_000, 51);
    let link = story.net.put(0, "2/3", &file).await;
    story.name_it(&link, &[]).await;
    let output = story.once(&[]).await;
    assert!(output.status.success(), "{}", shown(&output));
    assert!(fs::read(story.path("dir/notes")).unwrap() == fs::read(file).unwrap());

    // One version has a link that leads out, the next a directory of that name.
    let outside = story.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::create_dir(story.path("tree")).unwrap();
    std::os::unix::fs::symlink(&outside, story.path("tree/a")).unwrap();
    story.publish("2/3").await;
    assert!(story.once(&[]).await.status.success());
    assert!(story.path("dir/a").is_symlink() && !story.path("dir/notes").exists());
    fs::remove_file(story.path("tree/a")).unwrap();
    story.write("a/evil", b"evil");
    story.publish("2/3").await;
    assert!(story.once(&[]).await.status.success());
    assert_eq!(fs::read(story.path("dir/a/evil")).unwrap(), b"evil");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);

    let other = ["follow", "site", "--once"];
    let other = story.net.run(0, other, [story.path("dir")]).await;
    assert_eq!(other.status.code(), Some(4), "the name itself stands for nothing: {}", shown(&other));
    story.name_it("a text", &[]).await;
    let text = story.once(&[]).await;
    assert_eq!(text.status.code(), Some(5), "{}", shown(&text));
    let bad = story.net.run(0, ["follow", "No Good"], [story.path("dir")]).await;
    assert_eq!(bad.status.code(), Some(5), "{}", shown(&bad));
    story.name_it(&link, &[]).await;
    let other = story.net.run(0, ["follow", "site/notes", "--once"], [story.path("dir")]).await;
    assert_eq!(other.status.code(), Some(2), "it follows the same by another name: {}", shown(&other));
}
