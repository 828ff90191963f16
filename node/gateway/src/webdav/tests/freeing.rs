//! What becomes of the content of deleted files.

use super::client::{Scene, WEEK, noise};
use super::in_memory::Trouble;
use crate::front::now;

#[tokio::test]
async fn content_is_forgotten_a_week_after_nobody_names_it_any_more() {
    let scene = Scene::new().await;
    scene.put("/a", noise(100)).await;
    scene.put("/b", noise(200)).await;
    assert_eq!(scene.to("COPY", "/a", "/copy", &[]).await, 201);
    assert_eq!(scene.delete("/a").await, 204);
    assert_eq!(scene.send("PUT", "/b", &[], noise(300)).await.status, 204);
    assert_eq!(scene.behind.objects().len(), 3);
    assert_eq!(scene.sweep(now() + WEEK - 60).await, 0);
    assert_eq!(scene.behind.objects().len(), 3);
    assert_eq!(scene.sweep(now() + WEEK + 60).await, 2);
    assert_eq!(scene.behind.objects().len(), 2, "what was replaced is gone, what is copied is not");
    assert_eq!(scene.get("/copy").await.body, noise(100));
    assert_eq!(scene.get("/b").await.body, noise(300));
    assert!(scene.behind.keys("files-deleted/").is_empty());
}

#[tokio::test]
async fn equal_content_is_kept_as_long_as_one_file_has_it() {
    let scene = Scene::new().await;
    scene.put("/a", noise(100)).await;
    assert_eq!(scene.delete("/a").await, 204);
    scene.put("/again", noise(100)).await;
    // The same bytes once more replace nothing.
    assert_eq!(scene.send("PUT", "/again", &[], noise(100)).await.status, 204);
    assert_eq!(scene.behind.keys("files-deleted/").len(), 1);
    scene.sweep(now() + WEEK + 60).await;
    assert_eq!(scene.get("/again").await.body, noise(100));
}

#[tokio::test]
async fn what_another_daemon_keeps_stays_noted_for_it() {
    let scene = Scene::new().await;
    scene.put("/a", noise(100)).await;
    let elsewhere = scene.behind.objects().into_iter().collect();
    scene.behind.trouble(Trouble { elsewhere, ..Trouble::default() });
    assert_eq!(scene.delete("/a").await, 204);
    scene.sweep(now() + WEEK + 60).await;
    assert_eq!(scene.behind.keys("files-deleted/").len(), 1);
    scene.sweep(now() + WEEK + 91 * 24 * 3600).await;
    assert!(scene.behind.keys("files-deleted/").is_empty());
}
