//! litmus itself, which tests servers of WebDAV, where it is installed.

use std::process::Stdio;

use tokio::process::Command;
use tokio::time::timeout;

use super::client::{PATIENCE, Scene};

#[tokio::test]
async fn litmus_finds_nothing_wrong() {
    let scene = Scene::new().await;
    let dir = tempfile::tempdir().unwrap();
    let mut litmus = Command::new("litmus");
    litmus.arg("-k").arg(format!("http://{}/", scene.address)).current_dir(dir.path()).kill_on_drop(true);
    litmus.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(running) = litmus.spawn() else {
        println!("skipped: litmus is not installed (apt-get install litmus)");
        return;
    };
    let output = timeout(PATIENCE, running.wait_with_output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    for suite in ["basic", "copymove", "props", "locks", "http"] {
        let summary = said.lines().find(|line| line.contains(&format!("summary for `{suite}'")));
        assert!(summary.is_some_and(|line| line.contains(" 0 failed")), "{suite}: {said}");
    }
    assert!(output.status.success(), "{said}");
}
