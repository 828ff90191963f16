//! The HTTP API as other programs see it: status lines, headers, bodies.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::Value;

use crate::harness::{PATIENCE, Scene, noise};

struct Answer {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Sends one request as raw text and reads the answer. HTTP/1.0, so that the body is neither chunked nor followed by
/// anything.
fn request(scene: &Scene, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
    let mut stream = UnixStream::connect(scene.net.data_dir(0).join("api.sock")).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head =
        format!("{method} {path} HTTP/1.0\r\nHost: x\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    // A daemon that refuses may close before it has read everything.
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, head, body: answer[end + 4..].to_vec() }
}

fn get(scene: &Scene, path: &str, headers: &str) -> Answer {
    request(scene, "GET", path, headers, b"")
}

#[test]
fn ranges_are_those_of_http() {
    let scene = Scene::with_daemons(1);
    let content = noise(1_000_000, 9);
    let report = request(&scene, "POST", "/v1/objects", "", &content).json();
    let path = format!("/v1/objects/{}/content", report["link"].as_str().unwrap());

    let whole = get(&scene, &path, "");
    assert_eq!((whole.status, whole.header("content-length")), (200, Some("1000000")));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert!(whole.body == content);

    let part = get(&scene, &path, "Range: bytes=999990-2000000\r\n");
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 999990-999999/1000000")));
    assert_eq!(part.body, content[999_990..]);

    let etag = whole.header("etag").unwrap();
    let same = get(&scene, &path, &format!("Range: bytes=0-0\r\nIf-Range: {etag}\r\n"));
    assert_eq!((same.status, &same.body[..]), (206, &content[..1]));
    let other = get(&scene, &path, "Range: bytes=0-0\r\nIf-Range: \"other\"\r\n");
    assert_eq!(other.status, 200);

    let outside = get(&scene, &path, "Range: bytes=1000000-\r\n");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */1000000")));
    assert_eq!(outside.json()["code"], "range_not_satisfiable");
    assert_eq!(get(&scene, &path, "Range: bytes=9-3\r\n").status, 400);
    // What is ignored, as it may be: everything comes.
    for ignored in ["bytes=0-9,20-29", "lines=0-9"] {
        let whole = get(&scene, &path, &format!("Range: {ignored}\r\n"));
        assert_eq!((whole.status, whole.body.len()), (200, content.len()), "{ignored}");
    }
    let head = request(&scene, "HEAD", &path, "Range: bytes=0-9\r\n", b"");
    assert_eq!((head.status, head.header("content-length"), head.body.len()), (200, Some("1000000"), 0));
}

#[test]
fn whoever_has_it_already_is_told_so() {
    let scene = Scene::with_daemons(1);
    let link = scene.put(&scene.file("file", b"content"));
    let path = format!("/v1/objects/{link}/content");
    let etag = get(&scene, &path, "").header("etag").unwrap().to_owned();
    for known in [etag.clone(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
        let same = get(&scene, &path, &format!("If-None-Match: {known}\r\nRange: bytes=0-0\r\n"));
        assert_eq!((same.status, same.header("etag"), same.body.len()), (304, Some(&*etag), 0), "{known}");
    }
    assert_eq!(get(&scene, &path, "If-None-Match: \"other\"\r\n").body, b"content");
    assert_eq!(get(&scene, &format!("{path}?path=b"), "If-None-Match: *\r\n").status, 404);
}

#[test]
fn a_file_without_bytes_has_ranges_too() {
    let scene = Scene::with_daemons(1);
    let empty = scene.put(&scene.file("empty", b""));
    let five = scene.put(&scene.file("five", b"12345"));
    let one = scene.put(&scene.file("one", b"1"));
    for range in ["--range=-1", "--range=-1000"] {
        assert_eq!(scene.run(["cat", &empty, range]).succeeds(), "", "{range}");
    }
    assert_eq!(scene.run(["cat", &five, "--range=-1000"]).succeeds(), "12345");
    for range in ["--range=0-0", "--range=0-", "--range=-0"] {
        let stderr = scene.run(["cat", &empty, range]).fails(2, &["has 0 bytes", "nothing in it"]);
        assert!(!stderr.contains("between"), "{stderr}");
    }
    scene.run(["cat", &one, "--range=1-"]).fails(2, &["has 1 byte\n", "ask for byte 0"]);
    scene.run(["cat", &five, "--range=5-"]).fails(2, &["has 5 bytes", "between 0 and 4"]);
    let path = format!("/v1/objects/{empty}/content");
    let last = get(&scene, &path, "Range: bytes=-5\r\n");
    assert_eq!((last.status, last.header("content-length")), (200, Some("0")));
    let outside = get(&scene, &path, "Range: bytes=0-0\r\n");
    assert_eq!((outside.status, outside.header("content-range")), (416, Some("bytes */0")));
}

#[test]
fn mistakes_are_problems_with_a_status() {
    let scene = Scene::with_daemons(1);
    let too_long = format!("/v1/{}", "a".repeat(70_000));
    let too_much = format!("x: {}\r\n", "a".repeat(700_000));
    let cases = [
        ("GET", "/v1/nothing", "", 404, "not_found"),
        ("DELETE", "/v1/status", "", 405, "bad_request"),
        ("GET", "/v1/objects", "", 405, "bad_request"),
        ("GET", "/v1/objects/%FF", "", 400, "bad_request"),
        ("GET", "/v1/trace/%FF", "", 400, "bad_request"),
        ("GET", "/v1/status^", "", 404, "not_found"),
        ("GET", "/v1/a path", "", 400, "bad_request"),
        ("GET", "/v1/objects/\u{fc}", "", 400, "bad_link"),
        ("G=T", "/v1/status", "", 400, "bad_request"),
        ("GET", "/v1/status", "no header\r\n", 400, "bad_request"),
        ("GET", &too_long, "", 414, "bad_request"),
        ("GET", "/v1/status", &too_much, 431, "bad_request"),
        ("GET", "/v1/objects/hello", "", 400, "bad_link"),
        ("GET", "/v1/objects/hello?chekc=true", "", 400, "bad_request"),
        ("GET", "/v1/trace/zz", "", 400, "bad_request"),
        ("GET", "/v1/operations/00000000000000000000000000000000", "", 404, "not_found"),
        ("POST", "/v1/objects?redundancy=9/4", "", 400, "bad_request"),
        ("POST", "/v1/objects?redundancy=4/9", "", 503, "too_few_nodes"),
        ("POST", "/v1/objects", "Content-Type: multipart/form-data\r\n", 400, "bad_request"),
        ("POST", "/v1/objects", "Content-Type: application/x-tar\r\n", 400, "bad_request"),
    ];
    for (method, path, headers, status, code) in cases {
        let answer = request(&scene, method, path, headers, b"not a tar archive");
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (status, &code.into()), "{method} {path}: {problem}");
        for field in ["message", "state", "hint"] {
            assert!(problem[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {problem}");
        }
        assert_eq!(answer.header("content-type"), Some("application/json"), "{method}");
        let allowed = (status == 405).then_some(if method == "DELETE" { "GET,HEAD" } else { "POST" });
        assert_eq!(answer.header("allow"), allowed, "{method} {path}");
    }
}

#[test]
fn a_failed_put_can_be_asked_about_afterwards() {
    let scene = Scene::with_daemons(1);
    let id = "00112233445566778899aabbccddeeff";
    let headers = format!("Content-Type: application/x-tar\r\nchordage-operation: {id}\r\n");
    assert_eq!(request(&scene, "POST", "/v1/objects", &headers, &[1; 4096]).status, 400);
    let remembered = get(&scene, &format!("/v1/operations/{id}"), "");
    assert_eq!((remembered.status, &remembered.json()["code"]), (200, &"bad_request".into()));
}

#[test]
fn a_body_that_breaks_off_is_not_an_object() {
    let scene = Scene::with_daemons(1);
    let mut stream = UnixStream::connect(scene.net.data_dir(0).join("api.sock")).unwrap();
    stream
        .write_all(b"POST /v1/objects HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nonly this")
        .unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(!String::from_utf8_lossy(&answer).contains("chord1r"), "{}", String::from_utf8_lossy(&answer));
}

/// Eight puts that have begun and do not go on. More are refused when this returns.
fn eight_begun(scene: &Scene) -> Vec<UnixStream> {
    let socket = scene.net.data_dir(0).join("api.sock");
    let head = b"POST /v1/objects HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nbegun";
    let begin = |_| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.write_all(head).unwrap();
        stream
    };
    let begun = (0..8).map(begin).collect();
    // The eight are accepted in their own time, so the ninth may need some tries until it is the ninth.
    crate::harness::eventually("a put is refused", || {
        let answer = request(scene, "POST", "/v1/objects", "", b"one more");
        if answer.status == 200 {
            return false;
        }
        assert_eq!((answer.status, &answer.json()["code"]), (503, &"busy".into()));
        assert!(answer.header("retry-after").is_some());
        true
    });
    begun
}

#[test]
fn the_ninth_put_is_told_to_wait() {
    let scene = Scene::with_daemons(1);
    drop(eight_begun(&scene));
    crate::harness::eventually("puts are taken again", || {
        request(&scene, "POST", "/v1/objects", "", b"one more").status == 200
    });
}

#[test]
fn a_put_that_finds_no_place_waits_for_its_turn() {
    let scene = Scene::with_daemons(1);
    let begun = eight_begun(&scene);
    let content = noise(100_000, 7);
    let mut waiting = scene.run(["put"]).arg(scene.file("file", &content)).start();
    let mut said = BufReader::new(waiting.stderr.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("waits for its turn"), "{line}");
    drop(begun);
    let output = crate::harness::end_of(waiting, "put");
    said.read_to_string(&mut line).unwrap();
    assert!(output.status.success(), "{line}");
    let link = String::from_utf8(output.stdout).unwrap();
    assert!(scene.run(["cat", link.trim()]).output().stdout == content);
}

#[test]
fn whoever_finds_no_place_is_told_so_and_let_in_later() {
    let scene = Scene::with_daemons(1);
    let socket = scene.net.data_dir(0).join("api.sock");
    // As many as there may be by default; they say nothing.
    let mut quiet: Vec<UnixStream> = (0..128).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let mut refused = |what: &str, attempt: &dyn Fn() -> bool| {
        crate::harness::eventually(what, || {
            let refused = attempt();
            if !refused {
                // Somebody else was still leaving.
                quiet.push(UnixStream::connect(&socket).unwrap());
            }
            refused
        });
    };
    let busy = |answer: Answer| {
        let refused = answer.status == 503 && answer.json()["code"] == "busy";
        refused && answer.header("retry-after").is_some()
    };
    refused("a question is refused", &|| busy(get(&scene, "/v1/members", "")));
    // Also in the middle of a body that nobody wants, and as the command says it.
    let body = noise(3_000_000, 1);
    refused("a put is refused", &|| busy(request(&scene, "POST", "/v1/objects", "", &body)));
    refused("a command says so", &|| {
        let output = scene.run(["members"]).output();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        output.status.code() == Some(3) && said.contains("128 connections to the API")
    });
    // Whoever looks what is wrong is answered all the same.
    crate::harness::eventually("status is answered", || scene.run(["status"]).output().status.success());
    drop(quiet);
    crate::harness::eventually("there is a place again", || get(&scene, "/v1/members", "").status == 200);
}

#[test]
fn listings_are_arrays_or_lines() {
    let scene = Scene::with_daemons(1);
    std::fs::create_dir_all(scene.path("dir/sub")).unwrap();
    scene.file("dir/a", b"abc");
    scene.file("dir/sub/b", b"");
    let path = format!("/v1/objects/{}/entries", scene.put(&scene.path("dir")));
    let paths = |answer: &Answer| -> Vec<String> {
        let entries = answer.json();
        entries.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(paths(&get(&scene, &path, "")), ["a", "sub"]);
    assert_eq!(paths(&get(&scene, &format!("{path}?recursive=true"), "")), ["a", "sub", "sub/b"]);
    assert_eq!(paths(&get(&scene, &format!("{path}?path=sub"), "")), ["sub/b"]);
    assert_eq!(paths(&get(&scene, &format!("{path}?path_hex=61"), "")), ["a"]);
    assert_eq!(get(&scene, &format!("{path}?path=su"), "").status, 404);
    let lines = get(&scene, &path, "Accept: application/x-ndjson\r\n");
    assert_eq!(String::from_utf8(lines.body).unwrap().lines().count(), 2);
}

#[test]
fn the_description_is_there() {
    let scene = Scene::with_daemons(1);
    let description = get(&scene, "/v1/openapi.json", "").json();
    assert!(description["openapi"].as_str().unwrap().starts_with("3."));
    assert!(description["paths"]["/v1/objects/{link}/content"]["get"]["responses"]["206"].is_object());
    assert!(description["paths"]["/v1/objects/{link}/content"]["get"]["responses"]["304"].is_object());
    assert!(description["components"]["schemas"]["Problem"].is_object());
}

#[test]
fn a_tar_in_another_order_is_refused_with_the_command_that_makes_one() {
    let scene = Scene::with_daemons(1);
    let dir = scene.path("DIR");
    std::fs::create_dir(&dir).unwrap();
    ["b", "a", "c"].iter().for_each(|name| std::fs::write(dir.join(name), name).unwrap());
    std::fs::hard_link(dir.join("c"), dir.join("d")).unwrap();
    let put = |command: &str| {
        let mut words = command.split(' ');
        let mut tar = std::process::Command::new(words.next().unwrap());
        let archive = tar.args(words).current_dir(scene.path("")).output().unwrap();
        assert!(archive.status.success(), "{archive:?}");
        request(&scene, "POST", "/v1/objects", "Content-Type: application/x-tar\r\n", &archive.stdout)
    };
    for (refused, why) in
        [("tar --no-recursion -cf - DIR DIR/b DIR/a", "order"), ("tar --sort=name -cf - DIR", "hard link")]
    {
        let answer = put(refused);
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (400, &"bad_request".into()), "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(why), "{problem}");
        let state = problem["state"].as_str().unwrap();
        assert!(state.ends_with("reuses the chunks that were stored"), "{problem}");
        let hint = problem["hint"].as_str().unwrap();
        let command = hint.split('`').nth(1).unwrap();
        let answer = put(command);
        assert_eq!(answer.status, 200, "{command}: {}", answer.json());
    }
}
