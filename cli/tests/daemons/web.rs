//! Links and names in a browser, as a browser asks for them.

use std::fs;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{PATIENCE, random_bytes};
use crate::namespaces::Running;

/// A daemon that serves browsers.
struct Web {
    daemon: Running,
    address: String,
    dir: tempfile::TempDir,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    /// In lower case.
    head: String,
    body: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        let line = self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        line.unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a gateway answers.
pub(crate) async fn ask(
    address: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Answer {
    let host = headers.iter().find(|(name, _)| *name == "host").map_or(address, |(_, host)| host);
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "host") {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    if method == "POST" {
        head.push_str(&format!("content-length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    let asking = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = tokio::time::timeout(PATIENCE, asking).await.expect("an answer");
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8_lossy(&answer[..end]).into_owned();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let lower = |line: &str| match line.split_once(": ") {
        Some((name, value)) => format!("{}: {value}\n", name.to_lowercase()),
        None => format!("{line}\n"),
    };
    Answer { status, head: head.lines().map(lower).collect(), body: answer[end + 4..].to_vec() }
}

impl Web {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let network = format!("web-{}", std::process::id());
        let daemon =
            Running::here(dir.path().join("daemon"), &["--network", &network, "--gateway", "127.0.0.1:0"]);
        let status = daemon.joined(1).await;
        let address = status["gateways"]["web"]["listen"].as_str().unwrap().to_owned();
        Web { daemon, address, dir }
    }

    async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        ask(&self.address, method, path, headers, body).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], b"").await
    }

    /// Stores a tree with a film, a site, and names that want to be something else.
    async fn tree(&self, film: &[u8]) -> String {
        let tree = self.dir.path().join("tree");
        fs::create_dir_all(tree.join("sub dir/site")).unwrap();
        fs::write(tree.join("sub dir/film.mp4"), film).unwrap();
        fs::write(tree.join("sub dir/\"><script>x.html"), "<script>parent.document</script>").unwrap();
        fs::write(tree.join("sub dir/site/index.html"), "<h1>a site</h1>").unwrap();
        fs::write(tree.join("sub dir/site/style.css"), "h1 {}").unwrap();
        let output = self.daemon.run(&["put", "--quiet", tree.to_str().unwrap()]).await;
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

#[tokio::test]
async fn a_link_opens_as_pages_and_files_and_films_can_be_wound() {
    let web = Web::start().await;
    let film = random_bytes(3_000_000, 5);
    let link = web.tree(&film).await;

    let top = web.get(&format!("/{link}")).await;
    assert_eq!((top.status, top.header("location")), (302, &*format!("/{link}/")));
    let top = web.get(&format!("/{link}/")).await;
    assert!(top.status == 200 && top.text().contains(&format!("/{link}/sub%20dir/")), "{}", top.text());
    let page = web.get(&format!("/{link}/sub%20dir/?sort=size&order=down")).await.text();
    assert!(page.contains("film.mp4") && page.contains("2.9 MiB") && page.contains("Breadcrumbs"), "{page}");
    assert!(!page.contains("<script>x") && page.contains("%3Cscript%3E"), "{page}");

    let path = format!("/{link}/sub%20dir/film.mp4");
    let whole = web.get(&path).await;
    assert_eq!((whole.status, whole.header("content-type")), (200, "video/mp4"));
    assert!(whole.body == film);
    for (range, shown, from, to) in [
        ("bytes=1000000-1000009", "bytes 1000000-1000009/3000000", 1_000_000, 1_000_010),
        ("bytes=2999990-", "bytes 2999990-2999999/3000000", 2_999_990, 3_000_000),
        ("bytes=-5", "bytes 2999995-2999999/3000000", 2_999_995, 3_000_000),
    ] {
        let part = web.send("GET", &path, &[("range", range)], b"").await;
        assert_eq!((part.status, part.header("content-range")), (206, shown));
        assert!(part.body == film[from..to], "{range}");
    }
    let beyond = web.send("GET", &path, &[("range", "bytes=3000000-")], b"").await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */3000000"));
    let head = web.send("HEAD", &path, &[], b"").await;
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, "3000000", 0));
    // What a link stands for never changes: who has it asks no more.
    let tag = whole.header("etag").to_owned();
    assert!(whole.header("cache-control").contains("immutable") && !tag.contains(&link[7..20]));
    assert_eq!(web.send("GET", &path, &[("if-none-match", &tag)], b"").await.status, 304);
    let other = [("range", "bytes=0-1"), ("if-range", "\"other\"")];
    assert_eq!(web.send("GET", &path, &other, b"").await.status, 200, "all of what is another version");

    let site = web.get(&format!("/{link}/sub%20dir/site/")).await;
    assert_eq!((site.status, site.text().as_str()), (200, "<h1>a site</h1>"));
    assert!(web.get(&format!("/{link}/sub%20dir/site/?sort=name")).await.text().contains("style.css"));
    let tar = web.get(&format!("/{link}/sub%20dir/?download=tar")).await;
    assert!(tar.header("content-disposition").contains("sub%20dir.tar"));
    // It comes in pieces, with lengths in between.
    let has = |wanted: &[u8]| tar.body.windows(wanted.len()).any(|part| part == wanted);
    assert!(tar.body.len() > film.len() && has(b"film.mp4") && has(&film[..1000]));

    for (path, status, says) in [
        (format!("/{link}/nothing"), 404, "no file"),
        (format!("/{link}/../x"), 400, "`..`"),
        ("/chord1rabc/".to_owned(), 400, "its end is missing"),
        (format!("/chord1v{}", "a".repeat(58)), 400, "chord1r"),
        ("/nobody/".to_owned(), 404, "petname"),
        (format!("/{}", "a".repeat(9000)), 414, "longer"),
    ] {
        let answer = web.get(&path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.text());
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
    }
    let status = web.daemon.status(|_| true).await;
    assert!(status["gateways"]["web"]["downloaded_bytes"].as_u64() >= Some(6_000_000), "{status}");
    assert!(!web.daemon.log().contains(&link), "a link is a secret");
}

#[tokio::test]
async fn pages_of_links_are_nobody_and_foreign_pages_change_nothing() {
    let web = Web::start().await;
    let link = web.tree(b"film").await;
    for path in ["film.mp4", "site/", "%22%3E%3Cscript%3Ex.html"] {
        let answer = web.get(&format!("/{link}/sub%20dir/{path}")).await;
        let policy = answer.header("content-security-policy");
        // Without `allow-same-origin` a page has an origin that nobody else has.
        assert!(policy.starts_with("sandbox ") && !policy.contains("allow-same-origin"), "{policy}");
        assert!(policy.contains("connect-src 'none'"), "{policy}");
        assert_eq!(answer.header("access-control-allow-origin"), "");
        assert_eq!(
            (answer.header("referrer-policy"), answer.header("x-content-type-options")),
            ("no-referrer", "nosniff")
        );
    }
    for page in ["/".to_owned(), format!("/{link}/"), "/nobody/".to_owned()] {
        let answer = web.send("GET", &page, &[("accept", "text/html")], b"").await;
        let policy = answer.header("content-security-policy");
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{policy}"
        );
        assert!(answer.header("content-type").starts_with("text/html"), "{page}");
        // Elsewhere nobody is told the address; here forms have to say where they come from (Fetch, 4.6 "Origin").
        assert_eq!(answer.header("referrer-policy"), "same-origin");
    }
    // Any page can have browsers ask here, by a name of its own as well.
    for host in ["evil.example", "127.0.0.1.evil.example"] {
        assert_eq!(web.send("GET", "/", &[("host", host)], b"").await.status, 403);
    }
    let file = ("content-type", "application/octet-stream");
    let own = format!("http://{}", web.address);
    for (origin, status) in [("null", 403), ("http://evil.example", 403), (&*own, 200)] {
        let stored = web.send("POST", "/-/upload?name=a.txt", &[file, ("origin", origin)], b"text").await;
        assert_eq!(stored.status, status, "{origin}: {}", stored.text());
    }
    let shown = [("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")];
    web.daemon.run(&["name", "create", "pets"]).await;
    web.daemon.run(&["name", "publish", "pets", &link]).await;
    assert_eq!(web.send("GET", "/pets/", &shown, b"").await.status, 403, "no page finds out petnames");
    let opened = web.send("GET", "/pets/sub%20dir/site/", &[("sec-fetch-mode", "navigate")], b"").await;
    let there = opened.header("location").to_owned();
    assert!(
        opened.status == 302 && there.starts_with("/%40") && there.ends_with("/sub%20dir/site/"),
        "{there}"
    );
    assert_eq!(web.send("GET", &format!("{there}style.css"), &shown, b"").await.text(), "h1 {}");
}

#[tokio::test]
async fn what_is_dropped_on_the_page_opens_by_its_link() {
    let web = Web::start().await;
    let file = [("content-type", "application/octet-stream")];
    let content = random_bytes(2_000_000, 9);
    let stored = web.send("POST", "/-/upload?name=my%20film.mp4", &file, &content).await;
    let told: Value = serde_json::from_slice(&stored.body).unwrap();
    let there = web.get(told["address"].as_str().unwrap()).await;
    assert_eq!(there.header("content-type"), "video/mp4");
    assert!(there.header("content-disposition").ends_with("my%20film.mp4") && there.body == content);
    assert!(told["code"].as_str().unwrap().contains("<svg"));

    let form = [("content-type", "application/x-www-form-urlencoded")];
    let link = told["link"].as_str().unwrap();
    let opened = web.send("POST", "/-/open", &form, format!("which=+{link}+").as_bytes()).await;
    assert_eq!((opened.status, opened.header("location")), (303, &*format!("/{link}")));

    let none = web.send("POST", "/-/upload", &[], b"text").await;
    assert_eq!(none.status, 415, "{}", none.text());
    assert_eq!(web.send("DELETE", "/", &[], b"").await.status, 405);
    let broken = [("content-type", "application/x-tar")];
    let broken = web.send("POST", "/-/upload", &broken, b"no archive").await;
    assert_eq!(broken.status, 400, "{}", broken.text());
    let status = web.daemon.status(|_| true).await;
    assert_eq!(status["gateways"]["web"]["uploaded_bytes"], 2_000_000, "{status}");
}

/// More than the clients that a gateway serves with downloads at a time.
const SLOW: usize = 30;

#[tokio::test]
async fn nobody_waits_long_for_those_who_take_nothing() {
    let web = Web::start().await;
    let film = random_bytes(24_000_000, 6);
    let link = web.tree(&film).await;
    let path = format!("/{link}/sub%20dir/film.mp4");
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut stream = TcpStream::connect(&web.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", web.address);
        stream.write_all(head.as_bytes()).await.unwrap();
        slow.push(stream);
    }
    let are_served = |status: &Value| {
        let sent = status["gateways"]["web"]["downloaded_bytes"].as_u64();
        sent.is_some_and(|bytes| bytes >= 24 * 200_000)
    };
    web.daemon.status(are_served).await;
    for start in [0, 5_000_000, 20_000_000] {
        let range = format!("bytes={start}-{}", start + 99_999);
        let answer = web.send("GET", &path, &[("range", &range)], b"").await;
        assert_eq!(answer.status, 206, "{}", answer.text());
        assert!(answer.body == film[start..start + 100_000], "{start}");
    }
    // Nor do those who want more, for long: somebody who takes nothing leaves for them.
    let answer = web.send("GET", &path, &[("range", "bytes=1000000-2999999")], b"").await;
    assert_eq!(answer.status, 206, "{}", answer.text());
    assert!(answer.body == film[1_000_000..3_000_000]);
}
