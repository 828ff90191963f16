//! Deleting, bringing back, and forgetting for good.

use super::client::{Scene, WEEK, noise, settings};
use super::in_memory::Trouble;
use crate::front::now;
use crate::restic::ResticSettings;
use crate::restic::repository::Stored;

fn deleted(scene: &Scene) -> Vec<String> {
    scene.behind.keys("restic").into_iter().filter(|key| key.starts_with("restic/deleted/")).collect()
}

#[tokio::test]
async fn what_was_deleted_is_gone_at_once_and_can_be_brought_back() {
    let scene = Scene::new().await;
    assert_eq!(scene.post("/config", noise(155)).await.status, 200);
    let mut files = vec![("/config".to_owned(), noise(155))];
    for (kind, length) in
        [("data", 300_000), ("index", 900), ("keys", 400), ("snapshots", 300), ("snapshots", 9000)]
    {
        files.push((scene.save(kind, &noise(length)).await, noise(length)));
    }
    let lock = scene.save("locks", &noise(100)).await;
    for path in files.iter().map(|(path, _)| path).chain([&lock]) {
        assert_eq!(scene.delete(path).await.status, 200);
        assert_eq!(scene.head(path).await.status, 404);
    }
    assert_eq!(scene.list("/data/").await.text(), "[]");
    assert_eq!(deleted(&scene).len(), files.len(), "locks are not kept");
    assert_eq!(scene.behind.objects().len(), 3, "objects are");

    let undeleted = scene.post("/?undelete=1h", "").await;
    assert_eq!((undeleted.status.as_u16(), undeleted.text()), (200, "{\"restored\":6,\"left\":0}"));
    assert_eq!(undeleted.header("content-type"), "application/json");
    for (path, content) in &files {
        assert_eq!(scene.get(path).await.body, *content, "{path}");
    }
    assert_eq!(deleted(&scene), Vec::<String>::new());
    assert_eq!(scene.head(&lock).await.status, 404);
    assert_eq!(scene.post("/?undelete=1h", "").await.text(), "{\"restored\":0,\"left\":0}");
    assert_eq!(scene.post("/?undelete=soon", "").await.status, 400);
    assert_eq!(scene.post("/nowhere/?undelete=1h", "").await.status, 404);
}

#[tokio::test]
async fn only_what_was_deleted_in_the_period_and_well_before_its_end_comes_back() {
    let scene = Scene::new().await;
    let file = |age: u64| {
        let key = format!("restic/deleted/{:012x}/snapshots/{}", now() - age, "ab".repeat(32));
        scene.behind.enter("restic", &key, Stored::Inline("snapshot".into()));
    };
    file(3 * 3600);
    assert_eq!(scene.post("/?undelete=120m", "").await.text(), "{\"restored\":0,\"left\":0}");
    assert_eq!(scene.post("/?undelete=4h", "").await.text(), "{\"restored\":1,\"left\":0}");
    let path = format!("/snapshots/{}", "ab".repeat(32));
    assert_eq!(scene.delete(&path).await.status, 200);
    assert_eq!(scene.post("/?undelete=1h", "").await.text(), "{\"restored\":1,\"left\":0}");
    // Another daemon may be about to forget it.
    assert_eq!(scene.delete(&path).await.status, 200);
    for key in deleted(&scene) {
        scene.behind.enter("restic", &key, Stored::Inline("other".into()));
    }
    scene.behind.trouble(Trouble::default());
    file(WEEK - 60);
    let answer = scene.post("/?undelete=30d", "").await;
    assert_eq!(answer.text(), "{\"restored\":1,\"left\":0}");
    assert_eq!(scene.get(&path).await.text(), "other");
}

#[tokio::test]
async fn objects_are_forgotten_when_their_grace_is_over_and_not_before() {
    let scene = Scene::new().await;
    let data = scene.save("data", &noise(70_000)).await;
    let snapshot = scene.save("snapshots", &noise(300)).await;
    for path in [&data, &snapshot] {
        scene.delete(path).await;
    }
    let deleted_at = now();
    assert_eq!(scene.sweep(deleted_at + WEEK - 10).await, 0);
    assert_eq!((deleted(&scene).len(), scene.behind.objects().len()), (2, 1));
    assert_eq!(scene.sweep(deleted_at + WEEK + 10).await, 2);
    assert_eq!((deleted(&scene).len(), scene.behind.objects().len()), (0, 0));
    assert_eq!(scene.sweep(deleted_at + 9 * WEEK).await, 0);
}

#[tokio::test]
async fn what_is_in_use_again_is_never_forgotten() {
    let scene = Scene::new().await;
    let content = noise(70_000);
    let path = scene.save("data", &content).await;
    scene.delete(&path).await;
    // The same content is the same object.
    assert_eq!(scene.save("data", &content).await, path);
    assert_eq!(scene.sweep(now() + WEEK + 10).await, 1);
    assert_eq!(deleted(&scene), Vec::<String>::new());
    assert_eq!(scene.get(&path).await.body, content);

    // Also as a file of another kind.
    scene.delete(&path).await;
    let index = scene.save("index", &content).await;
    scene.sweep(now() + WEEK + 10).await;
    assert_eq!(scene.get(&index).await.body, content);

    // Deleted twice: it can be brought back until the grace of the second time is over.
    let link = scene.behind.objects().remove(0);
    scene.delete(&index).await;
    let first = Stored::Object { link, size: 70_000 };
    scene.behind.enter("restic", &format!("restic/deleted/{:012x}{path}", now() - WEEK - 10), first);
    assert_eq!(scene.sweep(now()).await, 1);
    assert_eq!(scene.post("/?undelete=1h", "").await.text(), "{\"restored\":1,\"left\":0}");
    assert_eq!(scene.get(&index).await.body, content);
}

#[tokio::test]
async fn an_object_that_another_daemon_keeps_is_left_to_it() {
    let scene = Scene::new().await;
    let path = scene.save("data", &noise(70_000)).await;
    let elsewhere = scene.behind.objects().into_iter().collect();
    scene.behind.trouble(Trouble { elsewhere, ..Trouble::default() });
    scene.delete(&path).await;
    let over = now() + WEEK + 10;
    scene.sweep(over).await;
    assert_eq!(deleted(&scene).len(), 1, "it is noted until that daemon has seen it");
    scene.sweep(over + 89 * 24 * 3600).await;
    assert_eq!(deleted(&scene).len(), 1);
    scene.sweep(over + 91 * 24 * 3600).await;
    assert_eq!(deleted(&scene).len(), 0);
}

#[tokio::test]
async fn a_round_looks_at_a_bounded_number_and_one_that_fails_stops_no_other() {
    let scene = Scene::new().await;
    let old = now() - WEEK - 10;
    for number in 0..700 {
        let key = format!("restic/deleted/{old:012x}/snapshots/{number:064x}");
        scene.behind.enter("restic", &key, Stored::Inline("x".into()));
    }
    let key = format!("restic/deleted/{:012x}/data/{:064x}", old - 1, 1000);
    scene.behind.enter("restic", &key, Stored::Object { link: "nobody's".to_owned(), size: 1 });
    assert_eq!(scene.sweep(now()).await, 500);
    assert_eq!(deleted(&scene).len(), 701 - 499);
    assert_eq!(scene.sweep(now()).await, 202);
    assert_eq!(deleted(&scene), [key]);
}

#[tokio::test]
async fn of_two_daemons_that_delete_one_file_one_keeps_it() {
    let scene = Scene::new().await;
    let path = scene.save("snapshots", &noise(300)).await;
    let other = Scene::over(scene.behind.clone(), settings()).await;
    let (one, two) = tokio::join!(scene.delete(&path), other.delete(&path));
    assert_eq!((one.status.as_u16(), two.status.as_u16()), (200, 200));
    assert_eq!(scene.head(&path).await.status, 404);
    assert_eq!(deleted(&scene).len(), 1);
}

#[tokio::test]
async fn a_daemon_that_only_takes_backups_deletes_nothing_but_locks() {
    let scene = Scene::with(ResticSettings { append_only: true, ..settings() }).await;
    assert_eq!(scene.post("/?create=true", "").await.status, 200);
    assert_eq!(scene.post("/config", noise(155)).await.status, 200);
    assert_eq!(scene.post("/config", noise(156)).await.status, 403);
    let mut paths = vec!["/config".to_owned()];
    for kind in ["data", "index", "keys", "snapshots"] {
        let content = noise(400);
        let path = scene.save(kind, &content).await;
        assert_eq!(scene.post(&path, noise(401)).await.status, 403, "nothing is overwritten");
        assert_eq!(scene.save(kind, &content).await, path, "the same may come again");
        paths.push(path);
    }
    for path in &paths {
        assert_eq!(scene.delete(path).await.status, 403, "{path}");
        assert_eq!(scene.head(path).await.status, 200, "{path}");
    }
    let absent = format!("/data/{}", "00".repeat(32));
    assert_eq!(scene.delete(&absent).await.status, 403);
    let lock = scene.save("locks", &noise(100)).await;
    assert_eq!(scene.delete(&lock).await.status, 200);
    assert_eq!(scene.head(&lock).await.status, 404);
    assert!(scene.status().append_only);
    assert_eq!(scene.status().refused, 11);
}
