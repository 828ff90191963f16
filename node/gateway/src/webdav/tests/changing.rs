//! Changing files and directories.

use super::client::{Scene, noise};
use super::in_memory::Trouble;

#[tokio::test]
async fn a_directory_is_made_where_there_is_room_for_it() {
    let scene = Scene::new().await;
    assert_eq!(scene.mkcol("/d").await, 201);
    assert_eq!(scene.mkcol("/d").await, 405);
    assert_eq!(scene.mkcol("/no/where").await, 409);
    assert_eq!(scene.send("PUT", "/no/where", &[], "x").await.status, 409);
    scene.put("/f", "x").await;
    assert_eq!(scene.mkcol("/f/d").await, 409);
    assert_eq!(scene.send("MKCOL", "/e", &[("content-type", "text/plain")], "no XML").await.status, 415);
    assert_eq!(scene.list("/").await, ["/d/", "/f"]);
}

#[tokio::test]
async fn a_directory_is_moved_in_one_change_with_all_that_is_in_it() {
    let scene = Scene::new().await;
    for directory in ["/d", "/d/e", "/d-e", "/into"] {
        assert_eq!(scene.mkcol(directory).await, 201);
    }
    for (path, length) in [("/d/a", 10), ("/d/e/b", 20), ("/d/e/c", 30), ("/d-e/stays", 40)] {
        scene.put(path, noise(length)).await;
    }
    let before = scene.behind.changes().len();
    assert_eq!(scene.to("MOVE", "/d", "/into/moved", &[]).await, 201);
    assert_eq!(scene.behind.changes()[before..], [2], "it goes and comes, and all else with it");
    assert_eq!(scene.get("/into/moved/e/c").await.body, noise(30));
    assert_eq!(scene.get("/d/e/c").await.status, 404);
    assert_eq!(scene.list("/").await, ["/d-e/", "/into/"]);
    assert_eq!(scene.get("/d-e/stays").await.body, noise(40));
    assert!(scene.behind.keys("files-deleted/").is_empty(), "nothing was lost");
    assert_eq!(scene.to("MOVE", "/into", "/into/moved/x", &[]).await, 403);
    assert_eq!(scene.to("MOVE", "/", "/x", &[]).await, 403);
    assert_eq!(scene.to("MOVE", "/nothing", "/x", &[]).await, 404);
    assert_eq!(scene.to("MOVE", "/into/moved", "/no/where", &[]).await, 409);
}

#[tokio::test]
async fn a_copy_is_one_change_and_shares_content() {
    let scene = Scene::new().await;
    scene.mkcol("/d").await;
    for number in 0..5 {
        scene.put(&format!("/d/{number}"), noise(100 + number)).await;
    }
    let (before, objects) = (scene.behind.changes().len(), scene.behind.objects());
    assert_eq!(scene.to("COPY", "/d", "/copy", &[]).await, 201);
    assert_eq!(scene.behind.changes()[before..], [1], "the directory, and what is in it goes with it");
    assert_eq!(scene.behind.objects(), objects);
    assert_eq!(scene.get("/copy/3").await.body, noise(103));
    assert_eq!(scene.to("COPY", "/d", "/copy", &[("overwrite", "F")]).await, 412);
    scene.put("/copy/more", "x").await;
    assert_eq!(scene.to("COPY", "/d", "/copy", &[]).await, 204);
    assert_eq!(scene.get("/copy/more").await.status, 404, "what was there is replaced");
    assert_eq!(scene.to("COPY", "/d", "/empty", &[("depth", "0")]).await, 201);
    assert!(scene.list("/empty").await.is_empty());
}

#[tokio::test]
async fn moving_onto_something_replaces_it_or_leaves_both() {
    let scene = Scene::new().await;
    scene.put("/a", "new").await;
    scene.put("/b", "old").await;
    assert_eq!(scene.to("MOVE", "/a", "/b", &[("overwrite", "F")]).await, 412);
    let before = scene.behind.changes().len();
    assert_eq!(scene.to("MOVE", "/a", "/b", &[]).await, 204);
    assert_eq!(scene.behind.changes()[before..], [3], "one goes, one is replaced, and a note of what it was");
    assert_eq!(scene.get("/b").await.text(), "new");
    assert_eq!(scene.get("/a").await.status, 404);
}

#[tokio::test]
async fn a_file_keeps_the_time_that_its_client_gives_it() {
    let scene = Scene::new().await;
    let put = async |time: &'static str, content: &'static str| {
        scene.send("PUT", "/x", &[("x-oc-mtime", time)], content).await
    };
    let time = async |path: &str| scene.get(path).await.header("last-modified").to_owned();
    let answer = put("1000000000", "old").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-oc-mtime")), (201, "accepted"));
    let first = "Sun, 09 Sep 2001 01:46:40 GMT";
    assert_eq!(time("/x").await, first);
    let found = scene.send("PROPFIND", "/x", &[("depth", "0")], "").await;
    assert!(found.text().contains(&format!("<D:getlastmodified>{first}")), "{}", found.text());
    let etag = scene.get("/x").await.header("etag").to_owned();
    // Also one that is earlier.
    assert_eq!(put("999999999", "new").await.status, 204);
    assert_eq!(time("/x").await, "Sun, 09 Sep 2001 01:46:39 GMT");
    assert_ne!(scene.get("/x").await.header("etag"), etag);
    assert_eq!(put("1000000000", "two").await.status, 204);
    assert_ne!(scene.get("/x").await.header("etag"), etag, "the same time and size, and other content");
    assert_eq!(scene.to("COPY", "/x", "/y", &[]).await, 201);
    assert_eq!(scene.to("MOVE", "/x", "/z", &[]).await, 201);
    assert_eq!((time("/y").await, time("/z").await), (first.to_owned(), first.to_owned()));
    // What is no time is not taken for one, and whoever says none gets that of the request.
    let answer = scene.send("PUT", "/z", &[("x-oc-mtime", "yesterday")], "now").await;
    assert!(answer.status == 204 && answer.header("x-oc-mtime").is_empty());
    assert!(!time("/z").await.contains("2001"));
}

#[tokio::test]
async fn conditions_are_met_or_nothing_is_done() {
    let scene = Scene::new().await;
    scene.put("/x", "one").await;
    let etag = scene.get("/x").await.header("etag").to_owned();
    assert_eq!(scene.send("PUT", "/x", &[("if-none-match", "*")], "two").await.status, 412);
    assert_eq!(scene.send("PUT", "/x", &[("if-match", "\"other\"")], "two").await.status, 412);
    assert_eq!(scene.send("PUT", "/x", &[("if-match", &etag)], "two").await.status, 204);
    assert_ne!(scene.get("/x").await.header("etag"), etag);
    assert_eq!(scene.send("PUT", "/x", &[("if-match", &etag)], "three").await.status, 412);
    assert_eq!(scene.send("PUT", "/x", &[("content-range", "bytes 0-2/9")], "two").await.status, 400);
    assert_eq!(scene.get("/x").await.text(), "two");
}

const LOCK: &str = "<?xml version=\"1.0\"?><D:lockinfo xmlns:D=\"DAV:\"><D:lockscope><D:exclusive/></D:lockscope>\
                    <D:locktype><D:write/></D:locktype></D:lockinfo>";

#[tokio::test]
async fn what_is_locked_is_changed_by_whoever_has_the_lock() {
    let scene = Scene::new().await;
    let locked = scene.send("LOCK", "/x", &[("timeout", "Second-600")], LOCK).await;
    assert_eq!(locked.status, 201, "a lock of what is not there makes it");
    let token = locked.header("lock-token").to_owned();
    assert_eq!(scene.send("PUT", "/x", &[], "mine").await.status, 423);
    assert_eq!(scene.delete("/x").await, 423);
    assert_eq!(scene.send("LOCK", "/x", &[], LOCK).await.status, 423);
    assert_eq!(scene.get("/x").await.status, 200);
    let condition = format!("({token})");
    assert_eq!(scene.send("PUT", "/x", &[("if", &condition)], "yours").await.status, 204);
    assert_eq!(scene.send("UNLOCK", "/x", &[("lock-token", &token)], "").await.status, 204);
    assert_eq!(scene.delete("/x").await, 204);
    // Its time is over.
    let brief = scene.send("LOCK", "/y", &[("timeout", "Second-1")], LOCK).await;
    assert_eq!(brief.status, 201);
    assert_eq!(scene.delete("/y").await, 423);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    assert_eq!(scene.delete("/y").await, 204);
}

#[tokio::test]
async fn properties_of_clients_are_kept_as_far_as_there_is_room() {
    let scene = Scene::new().await;
    scene.put("/x", "x").await;
    let patch = |name: &str, value: &str| {
        format!(
            "<?xml version=\"1.0\"?><D:propertyupdate xmlns:D=\"DAV:\" xmlns:a=\"urn:a\"><D:set><D:prop><a:{name}>{value}</a:{name}>\
             </D:prop></D:set></D:propertyupdate>"
        )
    };
    assert_eq!(scene.send("PROPPATCH", "/x", &[], patch("colour", "blue")).await.status, 207);
    assert_eq!(scene.send("PROPPATCH", "/x", &[], patch("colour", "green")).await.status, 207);
    let ask = "<?xml version=\"1.0\"?><D:propfind xmlns:D=\"DAV:\"><D:prop><colour xmlns=\"urn:a\"/></D:prop></D:propfind>";
    let find =
        async |path: &str| scene.send("PROPFIND", path, &[("depth", "0")], ask).await.text().to_owned();
    assert!(find("/x").await.contains("green") && !find("/x").await.contains("blue"), "{}", find("/x").await);
    assert_eq!(scene.send("PROPPATCH", "/x", &[], patch("long", &"z".repeat(5000))).await.status, 507);
    assert!(find("/x").await.contains("green"));
    assert_eq!(scene.to("MOVE", "/x", "/y", &[]).await, 201);
    assert_eq!(scene.send("PUT", "/y", &[], "other").await.status, 204);
    assert!(find("/y").await.contains("green"));
}

#[tokio::test]
async fn a_large_directory_is_copied_and_moved_as_a_whole_and_deleted_in_parts() {
    let scene = Scene::new().await;
    scene.mkcol("/d").await;
    for number in 0..501 {
        scene.put(&format!("/d/{number}"), "x").await;
    }
    let asked = scene.behind.gets();
    assert_eq!(scene.to("COPY", "/d", "/e", &[]).await, 201);
    assert_eq!(scene.to("MOVE", "/d", "/f", &[]).await, 201);
    assert!(scene.behind.gets() - asked < 20, "nobody looks at what is copied or moved");
    assert_eq!(scene.list("/").await, ["/e/", "/f/"]);
    for directory in ["/e", "/f"] {
        assert_eq!(scene.list(directory).await.len(), 501);
        assert_eq!(scene.get(&format!("{directory}/500")).await.text(), "x");
    }
    assert_eq!(scene.to("COPY", "/e", "/f", &[]).await, 507, "what is replaced is noted file by file");
    let before = scene.behind.changes().len();
    assert_eq!(scene.delete("/e").await, 204);
    assert_eq!(scene.behind.changes().len() - before, 2);
    assert_eq!(scene.list("/").await, ["/f/"]);
    assert_eq!(scene.behind.keys("files-deleted/").len(), 501);
}

#[tokio::test]
async fn what_another_daemon_puts_where_a_directory_goes_is_not_mixed_with_it() {
    let scene = Scene::new().await;
    for directory in ["/d", "/d/e"] {
        scene.mkcol(directory).await;
    }
    scene.put("/d/e/x", "x").await;
    let before = scene.behind.keys("files/");
    for method in ["MOVE", "COPY"] {
        let first = Some(("files/to/e//other".to_owned(), b"{}".to_vec()));
        scene.behind.trouble(Trouble { first, ..Trouble::default() });
        assert_eq!(scene.to(method, "/d", "/to", &[]).await, 503, "{method}");
        scene.behind.trouble(Trouble::default());
        let mut after = scene.behind.keys("files/");
        after.retain(|key| key != "files/to/e//other");
        assert_eq!(after, before);
    }
}

#[tokio::test]
async fn files_without_a_directory_are_not_mixed_with_what_is_put_there() {
    let scene = Scene::new().await;
    for directory in ["/d", "/d/e", "/to"] {
        scene.mkcol(directory).await;
    }
    scene.put("/d/x", "x").await;
    for method in ["COPY", "MOVE"] {
        scene.put("/to/left", "behind").await;
        // Another daemon deletes the directory, and sees nothing in it.
        scene.behind.remove("files//to");
        assert_eq!(scene.to(method, "/d", "/to", &[]).await, 201, "{method}");
        assert_eq!(scene.list("/to").await, ["/to/e/", "/to/x"]);
    }
    let noted = scene.behind.keys("files-deleted/").len();
    assert_eq!(noted, 3, "their objects are forgotten later");
}

#[tokio::test]
async fn a_directory_is_copied_below_itself_and_not_to_where_paths_would_be_too_long() {
    let scene = Scene::new().await;
    for directory in ["/d", "/d/e"] {
        scene.mkcol(directory).await;
    }
    scene.put("/d/x", "x").await;
    scene.put("/d/e/y", "y").await;
    assert_eq!(scene.to("COPY", "/d", "/d/copy", &[]).await, 201);
    assert_eq!(scene.list("/d/copy").await, ["/d/copy/e/", "/d/copy/x"]);
    assert_eq!(scene.get("/d/copy/e/y").await.text(), "y");
    let long = format!("/{}", "z".repeat(956));
    for method in ["MOVE", "COPY"] {
        assert_eq!(scene.to(method, "/d", &long, &[]).await, 507, "{method}");
    }
    assert_eq!(scene.list("/").await, ["/d/"]);
}
