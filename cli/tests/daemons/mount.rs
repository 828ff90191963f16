//! Snapshots as a file system: what was backed up is there as it was, and when too many daemons are gone, reading fails
//! in time and nothing hangs. Skipped where FUSE cannot be used.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chordage_testnet::{ProcessId, wait_until};
use rustix::fs::{CWD, FileType, Mode, SeekFrom, XattrFlags};
use serde_json::Value;

use crate::harness::{Net, PATIENCE, PROGRAM, json_of, random_bytes, shown};
use crate::tours::runs_as_it_stands;

/// Bytes of the large file.
const LARGE: usize = 64 << 20;
/// Seconds after which a read is given up.
const DEADLINE: u64 = 6;

/// A mount that is taken away when the test ends, however it ends.
struct Mount {
    child: Child,
    at: PathBuf,
}

impl Mount {
    /// Mounts through a node; `None`, and says so, where that is not possible.
    fn start(net: &Net, node: usize, name: &str, args: &[&str]) -> Option<Self> {
        let at = net.path(name);
        fs::create_dir_all(&at).unwrap();
        let mut command = Command::new(PROGRAM);
        command.args(["backup", "mount", "--json", "--deadline", &DEADLINE.to_string(), "--api"]);
        command.arg(net.net.data_dir(node)).args(args).arg(&at).env_remove("CHORDAGE_VOLUME");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        if line.is_empty() {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(said.contains("cannot_mount"), "{}", shown(&output));
            println!("skipped: FUSE cannot be used here: {said}");
            return None;
        }
        let told: Value = serde_json::from_str(&line).unwrap();
        let at = fs::canonicalize(at.parent().unwrap()).unwrap().join(name);
        assert_eq!(told["mounted"], *at.to_str().unwrap());
        Some(Mount { child, at })
    }

    fn is_there(&self) -> bool {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        mounts.lines().any(|line| line.split(' ').nth(4) == self.at.to_str())
    }

    /// Waits for its program and says how that ended.
    async fn ends(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(since.elapsed() < PATIENCE, "the mount ends");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn signal(&self, signal: rustix::process::Signal) {
        ProcessId::of(self.child.id()).unwrap().signal(signal).unwrap();
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.is_there() {
            let _ = Command::new("umount").arg("-l").arg(&self.at).output();
            let _ = Command::new("fusermount3").args(["-u", "-z"]).arg(&self.at).output();
        }
    }
}

/// Lets the runtime of the test go on while something waits for a file system.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::time::timeout(PATIENCE, tokio::task::spawn_blocking(work)).await.expect("nothing hangs").unwrap()
}

/// A directory with all that there can be in one.
fn home_of(net: &Net) -> PathBuf {
    let home = net.path("home");
    fs::create_dir_all(home.join("many")).unwrap();
    for number in 0..3000 {
        fs::write(home.join(format!("many/{number}")), number.to_string()).unwrap();
    }
    for number in 0..20 {
        fs::write(home.join(format!("some-{number}")), random_bytes(40_000 * number, number as u64)).unwrap();
    }
    fs::write(home.join("large"), random_bytes(LARGE, 99)).unwrap();
    fs::hard_link(home.join("some-3"), home.join("many/same")).unwrap();
    fs::hard_link(home.join("some-3"), home.join("same")).unwrap();
    symlink("some-3", home.join("link")).unwrap();
    symlink("/nowhere/at/all", home.join("dangling")).unwrap();
    fs::set_permissions(home.join("some-4"), fs::Permissions::from_mode(0o4711)).unwrap();
    fs::set_permissions(home.join("many"), fs::Permissions::from_mode(0o2750)).unwrap();
    let sparse = File::create(home.join("sparse")).unwrap();
    sparse.write_all_at(&random_bytes(100_000, 7), 10 << 20).unwrap();
    sparse.set_len(200 << 20).unwrap();
    let fifo = |name: &str| rustix::fs::mknodat(CWD, home.join(name), FileType::Fifo, Mode::RUSR, 0);
    fifo("fifo").unwrap();
    let device = rustix::fs::makedev(1, 3);
    if rustix::fs::mknodat(CWD, home.join("null"), FileType::CharacterDevice, Mode::RUSR, device).is_err() {
        println!("without a device, which only root can make");
    }
    let xattr = rustix::fs::setxattr(home.join("some-5"), "user.colour", b"blue\0\xff", XattrFlags::empty());
    if let Err(error) = xattr {
        println!("without extended attributes: {error}");
    }
    let old = ["-d", "1969-07-20 20:17:40.25 UTC"];
    assert!(Command::new("touch").args(old).arg(home.join("some-6")).status().unwrap().success());
    fs::canonicalize(home).unwrap()
}

/// Compares what is mounted with what it was made of, as programs see it.
fn assert_same(home: &Path, there: &Path) {
    let diff = Command::new("diff").args(["-r", "--no-dereference"]).args([home, there]).output().unwrap();
    // A device and a FIFO of the same name are no difference that it can see.
    let said = String::from_utf8_lossy(&diff.stdout);
    let differs = said.lines().filter(|line| !line.contains("while file")).count();
    assert_eq!(differs, 0, "{}", shown(&diff));
    let from = |path: &Path| format!("{}/", path.display());
    let rsync = Command::new("rsync")
        .args(["-aHAXn", "--checksum", "--delete", "--itemize-changes", &from(home), &from(there)])
        .output();
    match rsync {
        Ok(rsync) => {
            assert!(rsync.status.success() && rsync.stdout.is_empty(), "{}", shown(&rsync));
        }
        Err(error) => println!("without rsync: {error}"),
    }
}

fn assert_metadata(home: &Path, there: &Path) {
    let stat = |path: &Path| fs::symlink_metadata(path).unwrap();
    for name in ["some-3", "same", "link", "sparse", "fifo", "many", "some-4", "some-6", "large"] {
        let (one, other) = (stat(&home.join(name)), stat(&there.join(name)));
        let shown = |of: &fs::Metadata| {
            (
                of.mode(),
                of.uid(),
                of.gid(),
                of.mtime(),
                of.mtime_nsec(),
                of.rdev(),
                of.is_dir() || of.len() > 0,
            )
        };
        assert_eq!(shown(&one), shown(&other), "{name}");
    }
    let names = ["some-3", "same", "many/same"].map(|name| stat(&there.join(name)));
    assert!(names.iter().all(|name| name.ino() == names[0].ino() && name.nlink() == 3), "{names:?}");
    assert_ne!(names[0].ino(), stat(&there.join("some-2")).ino());
    let sparse = stat(&there.join("sparse"));
    assert!(sparse.len() == 200 << 20 && sparse.blocks() * 512 < 1 << 20, "{sparse:?}");
    let file = File::open(there.join("sparse")).unwrap();
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Data(0)).unwrap() >> 20, 10);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Hole(0)).unwrap(), 0);
    let mut value = [0; 64];
    let value_of = |path: &Path, value: &mut [u8]| rustix::fs::getxattr(path, "user.colour", value);
    if value_of(&home.join("some-5"), &mut value).is_ok() {
        let length = value_of(&there.join("some-5"), &mut value).unwrap();
        assert_eq!(&value[..length], b"blue\0\xff");
        assert!(value_of(&there.join("some-6"), &mut value).is_err());
    }
    let refused = fs::write(there.join("new"), "x").unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ReadOnlyFilesystem);
}

/// One reads from the beginning to the end while eight read anywhere.
fn assert_read_by_many(large: &Path) {
    let right = random_bytes(LARGE, 99);
    std::thread::scope(|scope| {
        for reader in 0..8u64 {
            let right = &right;
            scope.spawn(move || {
                let file = File::open(large).unwrap();
                for step in 0..25u64 {
                    let at = (reader * 7_654_321 + step * 12_345_677) % (LARGE as u64 - 70_000);
                    let mut bytes = vec![0; 1 + (step as usize * 2711) % 70_000];
                    file.read_exact_at(&mut bytes, at).unwrap();
                    assert_eq!(bytes, right[at as usize..at as usize + bytes.len()], "{at}");
                }
            });
        }
        let mut whole = Vec::new();
        File::open(large).unwrap().read_to_end(&mut whole).unwrap();
        assert!(whole == right, "{} bytes", whole.len());
    });
}

async fn backup(net: &Net, args: &[&str]) -> Value {
    json_of(&net.run(0, ["backup", "--json"], args).await)
}

#[tokio::test]
async fn a_mounted_snapshot_is_what_was_backed_up_and_a_broken_network_fails_in_time() {
    let mut net = Net::start(8).await;
    let home = home_of(&net);
    backup(&net, &["init"]).await;
    let Some(mut mount) = Mount::start(&net, 0, "mnt", &[]) else { return };
    let ids = mount.at.join("ids");
    let count = move || fs::read_dir(&ids).unwrap().count();
    assert_eq!(aside(count.clone()).await, 0);
    let first = backup(&net, &["create", home.to_str().unwrap(), "--host", "mars", "--tag", "a/b"]).await;
    let shows = |count: usize, found: usize| match found == count {
        true => Ok(()),
        false => Err(format!("{found} snapshots")),
    };
    wait_until("it shows up", PATIENCE, async || shows(1, aside(count.clone()).await)).await.unwrap();

    let at = mount.at.clone();
    let id = first["snapshot"].as_str().unwrap()[..8].to_owned();
    aside({
        let home = home.clone();
        move || {
            let inside = |place: &str| at.join(place).join(home.strip_prefix("/").unwrap());
            for place in ["snapshots/latest", "hosts/mars/latest", "tags/a_b/latest"] {
                let real = fs::canonicalize(at.join(place)).unwrap();
                assert_eq!(real, at.join("ids").join(&id), "{place}");
            }
            let there = inside(&format!("ids/{id}"));
            assert_eq!(fs::read_dir(there.join("many")).unwrap().count(), 3001);
            assert_metadata(&home, &there);
            assert_read_by_many(&there.join("large"));
            assert_same(&home, &there);
            assert!(fs::metadata(there.join("absent")).is_err());
        }
    })
    .await;

    // What nobody has read is in no cache.
    let unread = net.path("unread");
    fs::create_dir(&unread).unwrap();
    fs::write(unread.join("a"), random_bytes(3_000_000, 1)).unwrap();
    backup(&net, &["create", unread.to_str().unwrap()]).await;
    wait_until("it shows up", PATIENCE, async || shows(2, aside(count.clone()).await)).await.unwrap();
    let file = mount.at.join("snapshots/latest").join(unread.strip_prefix("/").unwrap()).join("a");
    let known = file.clone();
    assert_eq!(aside(move || fs::metadata(known).unwrap().len()).await, 3_000_000);
    net.net.kill(&[1, 2, 3, 4, 5, 6, 7]).unwrap();
    let began = Instant::now();
    let error = aside(move || fs::read(file).unwrap_err()).await;
    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()), "{error}");
    assert!(began.elapsed() < Duration::from_secs(DEADLINE + 60), "it took {:?}", began.elapsed());

    // It is taken away although a file is open in it.
    let at = mount.at.join("snapshots");
    let open = aside(move || File::open(at).unwrap()).await;
    mount.signal(rustix::process::Signal::INT);
    assert_eq!(mount.ends().await, Some(0));
    assert!(!mount.is_there());
    drop(open);
}

#[tokio::test]
async fn a_mount_ends_when_it_is_unmounted_and_needs_an_empty_directory() {
    let net = Net::start(3).await;
    backup(&net, &["init"]).await;
    let full = net.path("full");
    fs::create_dir(&full).unwrap();
    fs::write(full.join("file"), "").unwrap();
    for (directory, code) in [(net.path("absent"), "missing"), (full, "exists")] {
        let output = net.run(0, ["backup", "mount", "--json"], [directory]).await;
        assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
        assert!(String::from_utf8_lossy(&output.stderr).contains(code), "{}", shown(&output));
    }
    let source = net.path("source");
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "what is in it").unwrap();
    for host in ["mars", "venus"] {
        backup(&net, &["create", source.to_str().unwrap(), "--host", host]).await;
    }
    let Some(mut mount) = Mount::start(&net, 0, "mnt", &["--host", "venus", "--owner-root"]) else { return };
    let at = mount.at.clone();
    aside(move || {
        let hosts: Vec<_> = fs::read_dir(at.join("hosts")).unwrap().map(|entry| entry.unwrap()).collect();
        assert!(hosts.len() == 1 && hosts[0].file_name() == "venus");
        let file = at.join("snapshots/latest").join(source.strip_prefix("/").unwrap()).join("file");
        assert_eq!(fs::read(&file).unwrap(), b"what is in it");
        assert_eq!(fs::metadata(file).unwrap().uid(), 0);
    })
    .await;
    let at = mount.at.clone();
    let unmounted = aside(move || {
        let umount = Command::new("umount").arg(&at).output();
        umount.is_ok_and(|output| output.status.success())
            || Command::new("fusermount3")
                .arg("-u")
                .arg(&at)
                .output()
                .is_ok_and(|output| output.status.success())
    });
    assert!(unmounted.await);
    assert_eq!(mount.ends().await, Some(0));

    // It can be mounted again there, and SIGTERM ends it too.
    let Some(mut mount) = Mount::start(&net, 0, "mnt", &[]) else { return };
    mount.signal(rustix::process::Signal::TERM);
    assert_eq!(mount.ends().await, Some(0));
    assert!(!mount.is_there());
}

/// The commands of the tour, as they stand there.
#[tokio::test]
async fn the_tour_runs_as_it_stands() {
    let net = Net::start(1).await;
    backup(&net, &["init"]).await;
    // Whether it can be mounted at all.
    let Some(mount) = Mount::start(&net, 0, "mnt", &[]) else { return };
    drop(mount);
    drop(net);
    runs_as_it_stands("mount").await;
}
