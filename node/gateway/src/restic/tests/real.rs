//! restic itself, as it is installed, against repositories in memory.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use super::client::{Scene, noise, settings, users_file};
use crate::front::tests::cheap_line;
use crate::restic::ResticSettings;

/// restic with a cache, a password and a target of its own.
struct Restic {
    dir: tempfile::TempDir,
    repository: String,
}

impl Restic {
    /// `None` where there is no restic.
    fn new(repository: String) -> Option<Self> {
        if Command::new("restic").arg("version").output().is_err() {
            println!("skipped: restic is not installed (apt-get install restic)");
            return None;
        }
        Some(Restic { dir: tempfile::tempdir().unwrap(), repository })
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    /// Runs it to its end. It ends too if nobody waits for that.
    async fn output(&self, args: &[&str]) -> Output {
        let mut command = tokio::process::Command::new("restic");
        command.args(["--repo", &self.repository, "--cache-dir"]).arg(self.path("cache")).args(args);
        command
            .env("RESTIC_PASSWORD", "a password")
            .env_remove("RESTIC_REPOSITORY")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.output().await.unwrap()
    }

    async fn runs(&self, args: &[&str]) -> String {
        let output = self.output(args).await;
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "restic {args:?}: {said}");
        said
    }
}

fn fill(dir: &Path, round: usize) {
    std::fs::create_dir_all(dir.join("deep/er")).unwrap();
    for number in 0..20 {
        std::fs::write(dir.join(format!("deep/er/{number}")), noise(1000 * number + round)).unwrap();
    }
    std::fs::write(dir.join(format!("big{round}")), noise(6_000_000 + round)).unwrap();
}

fn same(one: &Path, other: &Path) {
    let diff = Command::new("diff").arg("-r").arg(one).arg(other).output().unwrap();
    assert!(diff.status.success(), "{}", String::from_utf8_lossy(&diff.stdout));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restic_backs_up_checks_prunes_and_restores() {
    let scene = Scene::with(settings()).await;
    let Some(restic) = Restic::new(format!("rest:http://{}/alice/laptop/", scene.address)) else { return };
    restic.runs(&["init"]).await;
    let again = restic.output(&["init"]).await;
    assert!(!again.status.success(), "there is one already");
    let source = restic.path("source");
    for round in 0..3 {
        fill(&source, round);
        restic.runs(&["backup", "source"]).await;
    }
    assert!(restic.runs(&["snapshots"]).await.contains("3 snapshots"));
    restic.runs(&["check", "--read-data"]).await;
    std::fs::remove_file(source.join("big0")).unwrap();
    restic.runs(&["backup", "source"]).await;
    restic.runs(&["forget", "--keep-last", "1", "--prune"]).await;
    restic.runs(&["check", "--read-data"]).await;
    restic.runs(&["restore", "latest", "--target", "restored"]).await;
    same(&source, &restic.path("restored/source"));
    std::fs::write(restic.path("new"), "another password").unwrap();
    restic.runs(&["key", "add", "--new-password-file", "new"]).await;
    restic.runs(&["--password-file", "new", "snapshots"]).await;
    assert_eq!(scene.list("/alice/laptop/locks/").await.text(), "[]", "every lock is gone");

    // Somebody with the password deletes everything.
    let keys = scene.behind.keys("restic.alice.laptop");
    let snapshots: Vec<&String> = keys.iter().filter(|key| key.starts_with("restic/snapshots/")).collect();
    assert_eq!(snapshots.len(), 1);
    let snapshot = snapshots[0].rsplit('/').next().unwrap().to_owned();
    restic.runs(&["forget", &snapshot, "--prune"]).await;
    assert!(!restic.runs(&["snapshots"]).await.contains("1 snapshots"));
    assert!(scene.post("/alice/laptop/?undelete=1h", "").await.text().starts_with("{\"restored\":"));
    restic.runs(&["check", "--read-data"]).await;
    restic.runs(&["restore", &snapshot, "--target", "rescued"]).await;
    same(&source, &restic.path("rescued/source"));
    let status = scene.status();
    assert_eq!((status.failed, status.turned_away), (0, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restic_says_who_it_is_and_can_only_add() {
    let (_dir, file) = users_file(&[cheap_line("al-i_ce.x@y", "secret word"), cheap_line("bob", "other")]);
    let scene = Scene::with(ResticSettings { users: Some(file), append_only: true, ..settings() }).await;
    let at = |user: &str, path: &str| format!("rest:http://{user}@{}{path}", scene.address);
    let Some(restic) = Restic::new(at("al-i_ce.x%40y:secret%20word", "/al-i_ce.x%40y/laptop/")) else {
        return;
    };
    restic.runs(&["init"]).await;
    fill(&restic.path("source"), 1);
    restic.runs(&["backup", "source"]).await;
    fill(&restic.path("source"), 2);
    restic.runs(&["backup", "source"]).await;
    // Older versions try for most of a minute.
    let forgetting = timeout(Duration::from_secs(3), restic.output(&["forget", "--keep-last", "1"])).await;
    assert!(forgetting.as_ref().map_or(true, |output| !output.status.success()), "{forgetting:?}");
    restic.runs(&["unlock", "--remove-all"]).await;
    assert!(restic.runs(&["snapshots"]).await.contains("2 snapshots"));
    restic.runs(&["check", "--read-data"]).await;
    for wrong in [
        at("bob:other", "/al-i_ce.x%40y/laptop/"),
        at("bob:wrong", "/bob/"),
        format!("rest:http://{}/bob/", scene.address),
    ] {
        let restic = Restic::new(wrong.clone()).unwrap();
        assert!(!restic.output(&["snapshots"]).await.status.success(), "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restic_does_not_take_trouble_for_an_empty_repository() {
    let scene = Scene::with(settings()).await;
    let Some(restic) = Restic::new(format!("rest:http://{}/", scene.address)) else { return };
    restic.runs(&["init"]).await;
    fill(&restic.path("source"), 1);
    restic.runs(&["backup", "source"]).await;
    let before = scene.behind.keys("restic").len();
    let list = Some(crate::kept::Error::Incomplete("two of nine answered".to_owned()));
    scene.behind.trouble(super::in_memory::Trouble { list, ..Default::default() });
    // It asks again for a quarter of an hour: long enough to see that it neither ends well nor deletes.
    let pruning = timeout(Duration::from_secs(3), restic.output(&["prune"])).await;
    assert!(pruning.as_ref().map_or(true, |output| !output.status.success()), "{pruning:?}");
    assert_eq!(scene.behind.keys("restic").len(), before);
    scene.behind.trouble(super::in_memory::Trouble::default());
    restic.runs(&["prune"]).await;
    assert!(restic.runs(&["snapshots"]).await.contains("1 snapshots"));
}
