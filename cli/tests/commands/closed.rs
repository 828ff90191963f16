//! Data directories are closed to other users, and only what is empty becomes one.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use crate::harness::{Run, end_of, eventually, noise, signal};
use crate::upgrade::{FIXTURE, LINK, copy};

/// Everything below `dir`, itself included. Files may come and go meanwhile.
fn all_below(dir: &Path) -> Vec<(PathBuf, u32)> {
    let mut all = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(path) = open.pop() {
        let Ok(metadata) = fs::symlink_metadata(&path) else { continue };
        if metadata.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        all.push((path, metadata.permissions().mode() & 0o777));
    }
    all
}

fn open_to_others(dir: &Path) -> Vec<String> {
    let loose = all_below(dir).into_iter().filter(|(_, mode)| mode & 0o077 != 0);
    loose.map(|(path, mode)| format!("{} {mode:o}", path.display())).collect()
}

fn loosen(dir: &Path) {
    for (path, _) in all_below(dir) {
        let mode = if path.is_dir() { 0o755 } else { 0o644 };
        fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn others_can_open_nothing_in_a_data_directory_also_of_an_earlier_version() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    copy(Path::new(FIXTURE), &data);
    fs::write(data.join("config.toml"), "").unwrap();
    loosen(&data);
    for says in [true, false] {
        let child = Run::new(["daemon", "--data-dir"]).arg(&data).start();
        eventually("the daemon is ready", || data.join("api").exists());
        assert_eq!(open_to_others(&data), Vec::<String>::new(), "after the start");
        let file = dir.path().join("file");
        fs::write(&file, noise(3 << 20, u64::from(says))).unwrap();
        let run = |args: &[&str]| Run::new(args).api(&data);
        let link = run(&["put", "--quiet", "--allow-degraded"]).arg(&file).succeeds();
        let link = link.trim();
        run(&["keep", link]).succeeds();
        run(&["forget", link]).succeeds();
        run(&["keep", LINK]).succeeds();
        run(&["scrub"]).succeeds();
        assert_eq!(open_to_others(&data), Vec::<String>::new(), "after it has worked");
        signal(&child, Signal::TERM);
        let output = end_of(child, "a daemon told to leave");
        let log = String::from_utf8_lossy(&output.stderr);
        assert_eq!(log.matches("open to other users").count(), usize::from(says), "{log}");
        assert_eq!(open_to_others(&data), Vec::<String>::new(), "after its end");
    }
}

#[test]
fn a_directory_with_the_files_of_somebody_is_refused_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.txt"), "do not touch").unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
    let daemon = || Run::new(["daemon", "--data-dir"]).arg(dir.path());
    daemon().fails(7, &["thesis.txt", "no daemon was started", "nothing in it was changed", "--data-dir"]);
    assert_eq!(all_below(dir.path()).len(), 2);
    assert_eq!(fs::metadata(dir.path()).unwrap().permissions().mode() & 0o777, 0o755);

    // Not even with what a daemon has as well.
    fs::write(dir.path().join("key"), "to the front door").unwrap();
    daemon().fails(7, &["thesis.txt"]);
    assert_eq!(all_below(dir.path()).len(), 3);
}

#[test]
fn a_path_under_which_nobody_would_find_the_daemon_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (name, why) in [(&b"two\nlines"[..], "line break"), (b"not \xff utf-8", "UTF-8")] {
        let data = dir.path().join(OsStr::from_bytes(name));
        Run::new(["daemon", "--data-dir"]).arg(&data).fails(7, &[why, "no daemon was started", "another"]);
        assert!(!data.exists());
    }
}
