//! Those who may not do everything, and disks that are full.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::super::restore::{RestoreError, restore};
use super::{Notes, all, awkward, is_root, packed, paths_below};

/// Says to the tests below that they run where they are meant to, and in which directory.
const DIR: &str = "CHORDAGE_TEST_LIMITED_DIR";

fn dir() -> PathBuf {
    std::env::var_os(DIR).map(PathBuf::from).expect("it runs within another test")
}

/// Runs a test of this file in another way.
fn run(command: &mut Command, name: &str, dir: &Path) -> Output {
    let name = format!("tree::tests::limited::{name}");
    let output = command.args([&name, "--exact", "--ignored", "--nocapture"]).env(DIR, dir).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

#[test]
fn somebody_who_is_not_root_gets_all_but_what_only_root_may_have() {
    if !is_root() {
        eprintln!("not tested: only root can pack what only root may have");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("from");
    fs::create_dir(&from).unwrap();
    awkward::tree(&from);
    let (archive, _) = packed(&[&from], &Notes::default());
    fs::write(dir.path().join("archive"), archive).unwrap();
    fs::create_dir(dir.path().join("to")).unwrap();
    std::os::unix::fs::chown(dir.path().join("to"), Some(65_534), Some(65_534)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // Where everybody may execute it.
    let program = dir.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let mut command = Command::new(program);
    run(command.uid(65_534).gid(65_534), "as_nobody", dir.path());

    let to = dir.path().join("to").join(from.strip_prefix("/").unwrap());
    assert_eq!(fs::read(to.join("modes/open")).unwrap(), b"behind closed doors");
    assert_eq!(fs::metadata(to.join("modes/closed")).unwrap().mode() & 0o7777, 0);
    assert_eq!(fs::metadata(to.join("modes/closed/original")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(to.join("modes/set-user-id")).unwrap().mode() & 0o7777, 0o755);
    let sparse = fs::metadata(to.join("files/sparse")).unwrap();
    assert!(sparse.uid() == 65_534 && sparse.blocks() < 2048 && sparse.mtime() == 1_600_000_000);
}

#[test]
#[ignore = "runs within somebody_who_is_not_root_gets_all_but_what_only_root_may_have"]
fn as_nobody() {
    assert!(!is_root());
    let archive = fs::File::open(dir().join("archive")).unwrap();
    let restored = restore(archive, &dir().join("to"), "", &|_| {}).unwrap();
    let missed = &restored.missed;
    assert_eq!((missed.failed, missed.devices, missed.modes, missed.times), (0, 2, 0, 0), "{missed:?}");
    // All but those that belong to nobody already; what has several names is counted once.
    assert!(missed.owners > 50, "{missed:?}");
    assert_eq!((missed.set_id, missed.links), (3, 0), "{missed:?}");
    let lines = missed.describe();
    println!("{}", lines.join("\n"));
    assert!(lines.len() >= 3 && lines.iter().all(|line| !line.contains('\n')), "{lines:?}");

    // Who packs needs no right to list what is above.
    let above = dir().join("to/above");
    fs::create_dir_all(above.join("mine/closed")).unwrap();
    fs::write(above.join("mine/file"), "mine").unwrap();
    fs::write(above.join("mine/secret"), "not even mine").unwrap();
    let set = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(&above.join("mine/secret"), 0o000);
    set(&above.join("mine/closed"), 0o000);
    set(&above, 0o111);
    let notes = Notes::default();
    let (archive, packed) = packed(&[&above.join("mine")], &notes);
    let expected = ["above", "above/mine", "above/mine/file"];
    assert_eq!(paths_below(&archive, &dir().join("to")), expected);
    let unreadable: Vec<PathBuf> = notes.unreadable.borrow().iter().map(|(path, _)| path.clone()).collect();
    assert_eq!(unreadable, [above.join("mine/closed"), above.join("mine/secret")]);
    assert_eq!((packed.files, all().skip_unreadable), (1, false));
    set(&above, 0o755);
}

#[test]
fn a_full_disk_says_what_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let unshare = || {
        let mut command = Command::new("unshare");
        command.arg("-rm");
        command
    };
    if !unshare().arg("true").status().is_ok_and(|status| status.success()) {
        eprintln!("not tested: this system does not let its users mount a file system in a namespace");
        return;
    }
    run(unshare().arg(std::env::current_exe().unwrap()), "on_a_small_file_system", dir.path());
}

#[test]
#[ignore = "runs within a_full_disk_says_what_is_there"]
fn on_a_small_file_system() {
    let (from, to) = (dir().join("from"), dir().join("to"));
    fs::create_dir_all(from.join("dir")).unwrap();
    fs::create_dir(&to).unwrap();
    for name in ["dir/1", "dir/2", "dir/3", "dir/4", "dir/5"] {
        fs::write(from.join(name), vec![7; 900_000]).unwrap();
    }
    fs::set_permissions(from.join("dir"), fs::Permissions::from_mode(0o750)).unwrap();
    let (archive, _) = packed(&[&from], &Notes::default());
    let mount = ["-t", "tmpfs", "-o", "size=3m", "chordage-test"];
    assert!(Command::new("mount").args(mount).arg(&to).status().unwrap().success());
    let error = restore(&archive[..], &to, "", &|_| {}).unwrap_err();
    let said = error.to_string();
    println!("{said}");
    assert!(said.contains("cannot write") && said.contains("No space left on device"), "{said}");
    assert!(said.contains("3 files with 2.57 MiB"), "{said}");
    let RestoreError::Stopped { done, .. } = error else { panic!("{said}") };
    assert_eq!((done.files, done.bytes), (3, 2_700_000));
    let restored = to.join(from.strip_prefix("/").unwrap()).join("dir");
    for name in ["1", "2", "3"] {
        assert_eq!(fs::read(restored.join(name)).unwrap(), vec![7; 900_000]);
    }
    assert_eq!(fs::read_dir(&restored).unwrap().count(), 3, "nothing is there in part");
    assert_eq!(fs::metadata(&restored).unwrap().mode() & 0o7777, 0o750);
}
