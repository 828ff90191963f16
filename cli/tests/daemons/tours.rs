//! The tours, which run as they stand in the documents.

use std::fs;
use std::path::Path;

use tokio::process::Command;

use crate::harness::{PROGRAM, finish, shown};

#[tokio::test]
async fn the_tour_of_backups_runs_as_it_stands() {
    run("backup.md", 30).await;
}

#[tokio::test]
async fn the_tour_of_following_runs_as_it_stands() {
    run("follow.md", 20).await;
}

/// What is between fences that say `sh`.
fn commands(text: &str) -> String {
    let mut commands = String::new();
    let mut inside = false;
    for line in text.lines() {
        match line {
            "```sh" => inside = true,
            "```" => inside = false,
            line if inside => {
                commands.push_str(line);
                commands.push('\n');
            }
            _ => {}
        }
    }
    commands
}

/// Takes the network of the tour down if it stops in the middle.
struct Guard<'a>(&'a Path);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let down = ["testnet", "down", "--wait", "0", "--dir"];
        let _ = std::process::Command::new(PROGRAM).args(down).arg(self.0).output();
    }
}

/// Runs a tour that has more than so many commands.
async fn run(tour: &str, lines: usize) {
    let tour = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/tours").join(tour);
    let script = commands(&fs::read_to_string(tour).unwrap());
    assert!(script.lines().count() > lines, "the tour is not understood: {script}");
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let _guard = Guard(&net);
    let path = std::env::join_paths(
        Path::new(PROGRAM)
            .parent()
            .map(Path::to_owned)
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    let mut command = Command::new("sh");
    command
        .args(["-euxc", &script])
        .current_dir(dir.path())
        .env("PATH", path.unwrap())
        .env("HOME", dir.path());
    for variable in ["CHORDAGE_API", "CHORDAGE_DATA_DIR", "CHORDAGE_VOLUME", "XDG_DATA_HOME"] {
        command.env_remove(variable);
    }
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", shown(&output));
    assert!(!net.exists(), "its end takes the network away");
}
