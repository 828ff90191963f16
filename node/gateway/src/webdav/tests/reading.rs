//! Reading files and lists.

use super::client::{Scene, noise};
use super::in_memory::Trouble;
use crate::kept::Error;

#[tokio::test]
async fn a_file_comes_back_whole_and_in_ranges_of_which_nothing_else_is_fetched() {
    let scene = Scene::new().await;
    let content = noise(700_000);
    scene.put("/a%20b%C3%A9.txt", content.clone()).await;
    let whole = scene.get("/a%20b%C3%A9.txt").await;
    assert_eq!((whole.status, &whole.body[..]), (200.try_into().unwrap(), &content[..]));
    assert_eq!((whole.header("content-type"), whole.header("accept-ranges")), ("text/plain", "bytes"));
    let part = scene.send("GET", "/a%20b%C3%A9.txt", &[("range", "bytes=100000-400000")], "").await;
    assert_eq!((part.status, &part.body[..]), (206.try_into().unwrap(), &content[100_000..=400_000]));
    assert_eq!(part.header("content-range"), "bytes 100000-400000/700000");
    assert_eq!(scene.behind.reads(), [0..700_000, 100_000..400_001]);
    let tail = scene.send("GET", "/a%20b%C3%A9.txt", &[("range", "bytes=-10")], "").await;
    assert_eq!(&tail.body[..], &content[699_990..]);
    let beyond = scene.send("GET", "/a%20b%C3%A9.txt", &[("range", "bytes=700000-")], "").await;
    assert_eq!(beyond.status, 416);
    let two = scene.send("GET", "/a%20b%C3%A9.txt", &[("range", "bytes=0-1,5-6")], "").await;
    assert_eq!(two.status, 206);
    let etag = whole.header("etag");
    let same = scene.send("GET", "/a%20b%C3%A9.txt", &[("if-none-match", etag)], "").await;
    assert_eq!(same.status, 304);
    let head = scene.send("HEAD", "/a%20b%C3%A9.txt", &[], "").await;
    assert_eq!((head.header("content-length"), head.body.len()), ("700000", 0));
    assert_eq!(scene.get("/nothing").await.status, 404);
    assert_eq!(scene.status().uploaded_bytes, 700_000);
}

#[tokio::test]
async fn an_empty_file_has_no_object() {
    let scene = Scene::new().await;
    scene.put("/empty", "").await;
    assert!(scene.behind.objects().is_empty());
    let empty = scene.get("/empty").await;
    assert_eq!((empty.status, empty.body.len()), (200.try_into().unwrap(), 0));
}

#[tokio::test]
async fn lists_show_one_level_and_everything_at_once_is_refused() {
    let scene = Scene::new().await;
    for directory in ["/d", "/d/e", "/d/e/f", "/de"] {
        assert_eq!(scene.mkcol(directory).await, 201);
    }
    scene.put("/d/x", "x").await;
    scene.put("/d/e/y", "y").await;
    assert_eq!(scene.list("/").await, ["/d/", "/de/"]);
    assert_eq!(scene.list("/d/").await, ["/d/e/", "/d/x"]);
    assert_eq!(scene.list("/d/e").await, ["/d/e/f/", "/d/e/y"]);
    let all = scene.send("PROPFIND", "/", &[("depth", "infinity")], "").await;
    assert_eq!(all.status, 403);
    assert!(all.text().contains("propfind-finite-depth"), "{}", all.text());
    let options = scene.send("OPTIONS", "/", &[], "").await;
    assert_eq!((options.header("dav"), options.header("ms-author-via")), ("1, 2", "DAV"));
}

#[tokio::test]
async fn what_cannot_be_seen_is_not_absent_and_no_list_lacks_something() {
    let scene = Scene::new().await;
    scene.put("/x", noise(200_000)).await;
    let trouble = Error::Incomplete("two of nine answered".to_owned());
    scene.behind.trouble(Trouble { get: Some(trouble.clone()), ..Trouble::default() });
    assert_eq!(scene.get("/x").await.status, 503);
    assert_eq!(scene.send("PROPFIND", "/x", &[("depth", "0")], "").await.status, 503);
    assert_eq!(scene.send("PUT", "/d/new", &[], "content").await.status, 503);
    assert_eq!(scene.delete("/x").await, 503);
    scene.behind.trouble(Trouble { list: Some(trouble), ..Trouble::default() });
    let list = scene.send("PROPFIND", "/", &[("depth", "1")], "").await;
    assert_eq!((list.status, list.text()), (503.try_into().unwrap(), "two of nine answered\n"));
    assert_eq!(scene.status().last_problem.as_deref(), Some("two of nine answered"));
    // What has begun is cut, and never filled with something else.
    scene.behind.trouble(Trouble { read_breaks_off: Some(100_000), ..Trouble::default() });
    assert!(scene.send_body("GET", "/x", &[], "".into()).await.is_none());
    scene.behind.trouble(Trouble::default());
    assert_eq!(scene.get("/x").await.body.len(), 200_000);
}

#[tokio::test]
async fn what_finder_looks_for_is_answered_from_the_list_that_it_has_just_asked_for() {
    let scene = Scene::new().await;
    scene.put("/photo.jpg", "x").await;
    scene.put("/._kept", "y").await;
    assert_eq!(scene.list("/").await, ["/._kept", "/photo.jpg"]);
    let before = scene.behind.gets();
    for path in ["/._photo.jpg", "/.DS_Store"] {
        assert_eq!(scene.get(path).await.status, 404);
        assert_eq!(scene.send("PROPFIND", path, &[("depth", "0")], "").await.status, 404);
    }
    assert_eq!(scene.behind.gets(), before);
    assert_eq!(scene.get("/._kept").await.text(), "y");
    scene.put("/.DS_Store", "z").await;
    assert_eq!(scene.get("/.DS_Store").await.text(), "z");
}
