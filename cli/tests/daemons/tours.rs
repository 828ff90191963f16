//! The tours of the documentation: a shell runs their commands as they stand there.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::harness::{PROGRAM, finish, shown};
use crate::namespaces::skipped;

/// What the caller's environment must not say to the commands.
const VARIABLES: [&str; 8] = [
    "RCLONE_CONFIG",
    "RCLONE_WEBDAV_URL",
    "CHORDAGE_API",
    "CHORDAGE_DATA_DIR",
    "CHORDAGE_VOLUME",
    "RESTIC_PASSWORD",
    "RESTIC_REPOSITORY",
    "XDG_DATA_HOME",
];

#[tokio::test]
async fn the_tour_of_sharing_runs_as_it_stands() {
    if std::process::Command::new("curl").arg("--version").output().is_err() {
        return skipped("there is no curl");
    }
    runs_as_it_stands("sharing").await;
}

#[tokio::test]
async fn the_tour_of_names_runs_as_it_stands() {
    runs_as_it_stands("names").await;
}

#[tokio::test]
async fn the_tour_of_services_runs_as_it_stands() {
    runs_as_it_stands("services").await;
}

#[tokio::test]
async fn the_tour_of_repair_runs_as_it_stands() {
    runs_as_it_stands("repair").await;
}

#[tokio::test]
async fn the_tour_of_backups_runs_as_it_stands() {
    runs_as_it_stands("backup").await;
}

#[tokio::test]
async fn the_tour_of_recovery_runs_as_it_stands() {
    runs_as_it_stands("recovery").await;
}

#[tokio::test]
async fn the_tour_of_following_runs_as_it_stands() {
    runs_as_it_stands("follow").await;
}

#[tokio::test]
async fn the_tour_of_private_networks_runs_as_it_stands() {
    runs_as_it_stands("private-network").await;
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

/// Ends a network that was begun in a directory, if it is still there.
struct Guard<'a>(&'a Path);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        let down = ["testnet", "down", "--wait", "0", "--dir"];
        let _ = std::process::Command::new(PROGRAM).args(down).arg(self.0).output();
    }
}

/// Runs the tour `docs/tours/NAME.md` in an empty directory. A network that it begins in `net` is gone in the end, and
/// so is what it started in the background.
pub(crate) async fn runs_as_it_stands(name: &str) -> Output {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/tours/{name}.md"));
    let script = commands(&fs::read_to_string(path).unwrap());
    assert!(script.lines().count() > 15, "the tour is not understood: {script}");
    let dir = tempfile::tempdir().unwrap();
    let net = dir.path().join("net");
    let _guard = Guard(&net);
    let program = Path::new(PROGRAM).parent().map(Path::to_owned);
    let found = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(program.into_iter().chain(std::env::split_paths(&found))).unwrap();
    let mut command = Command::new("bash");
    // Whatever ends it, its daemons end too, and nothing stays mounted.
    let script = format!("set -eumx\ntrap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT\n{script}");
    command.args(["-c", &script]).current_dir(dir.path()).env("PATH", path).env("HOME", dir.path());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = finish(command).await;
    assert!(output.status.success(), "{}", shown(&output));
    assert!(!net.exists(), "its end takes the network away");
    output
}
