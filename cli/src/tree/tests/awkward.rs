//! A tree of everything that is hard to keep.

use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};

use super::is_root;

/// Length of the sparse file.
pub(super) const SPARSE_BYTES: u64 = 10 << 30;

/// Makes it in `root`, an empty directory.
pub(super) fn tree(root: &Path) {
    files(root);
    names(root);
    links(root);
    special(root);
    attributes(root);
    modes(root);
    times(root);
}

fn files(root: &Path) {
    fs::create_dir_all(root.join("files/empty")).unwrap();
    fs::write(root.join("files/content"), b"content").unwrap();
    fs::write(root.join("files/no bytes"), b"").unwrap();
    let large: Vec<u8> = (0..5 << 20).map(|at| (at % 251) as u8).collect();
    fs::write(root.join("files/large"), large).unwrap();
    fs::write(root.join("files/zeros"), vec![0; 300_000]).unwrap();
    let sparse = File::create(root.join("files/sparse")).unwrap();
    sparse.set_len(SPARSE_BYTES).unwrap();
    for (offset, length) in [(1 << 20, 100_000), (5 << 30, 1), (SPARSE_BYTES - 70_000, 70_000)] {
        sparse.write_all_at(&vec![7; length], offset).unwrap();
    }
    File::create(root.join("files/hole")).unwrap().set_len(1 << 30).unwrap();
    let ends_in_a_hole = File::create(root.join("files/ends in a hole")).unwrap();
    ends_in_a_hole.write_all_at(b"begin", 0).unwrap();
    ends_in_a_hole.set_len(1 << 20).unwrap();
}

fn names(root: &Path) {
    let dir = root.join("names");
    fs::create_dir(&dir).unwrap();
    for name in [
        &b"not \xff\xfe utf-8"[..],
        b"line\nend",
        b"key=value",
        b"\x01\x7f control",
        b" spaces ",
        b"-dash",
        b"%3D",
        b"...",
        &[b'n'; 255],
        "\u{65e5}\u{672c}".as_bytes(),
    ] {
        fs::write(dir.join(OsStr::from_bytes(name)), name).unwrap();
    }
    fs::create_dir(dir.join(OsStr::from_bytes(b"dir \xff=\n"))).unwrap();
    fs::write(dir.join(OsStr::from_bytes(b"dir \xff=\n/file")), b"x").unwrap();
    // The whole path, from the root of the file system, is 4,000 bytes long.
    let mut deep = fs::canonicalize(&dir).unwrap();
    while deep.as_os_str().len() + 202 < 4000 {
        deep.push("d".repeat(200));
    }
    deep.push("e".repeat((4000 - deep.as_os_str().len() - 3).min(200)));
    fs::create_dir_all(&deep).unwrap();
    deep.push("f".repeat(4000 - deep.as_os_str().len() - 1));
    assert_eq!(deep.as_os_str().len(), 4000);
    fs::write(deep, b"deep").unwrap();
}

fn links(root: &Path) {
    fs::create_dir_all(root.join("links/z")).unwrap();
    fs::create_dir_all(root.join("a links")).unwrap();
    symlink("../somewhere/else", root.join("links/dangling")).unwrap();
    symlink(OsStr::from_bytes(b"not \xff\n utf-8"), root.join("links/odd")).unwrap();
    symlink("l".repeat(4095), root.join("links/long")).unwrap();
    fs::write(root.join("links/original"), b"several names").unwrap();
    for name in ["a links/first", "links/another", "links/z/last"] {
        fs::hard_link(root.join("links/original"), root.join(name)).unwrap();
    }
    fs::hard_link(root.join("links/dangling"), root.join("links/z/dangling")).unwrap();
    fs::hard_link(root.join("files/sparse"), root.join("links/sparse")).unwrap();
}

fn special(root: &Path) {
    let make = |name: &str, kind, device| {
        rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o640), device).unwrap();
    };
    make("fifo", FileType::Fifo, 0);
    fs::hard_link(root.join("fifo"), root.join("links/fifo")).unwrap();
    drop(UnixListener::bind(root.join("socket")).unwrap());
    if is_root() {
        make("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        make("block", FileType::BlockDevice, rustix::fs::makedev(259, 1_000_000));
        let give = |name: &str, uid, gid| {
            let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
            rustix::fs::chownat(CWD, root.join(name), owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        };
        give("files/content", 12_345, 54_321);
        give("files/large", 3_000_000_000, 4_000_000_000);
        give("links/odd", 65_534, 65_534);
        give("fifo", 1, 1);
        give("null", 2, 3);
        give("names", 1000, 1000);
    }
}

/// An ACL as Linux has it: for the owner, a user, the group, the mask and others.
pub(super) fn acl(uid: u32) -> Vec<u8> {
    let mut acl = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 5, uid), (4, 4, u32::MAX), (0x10, 5, u32::MAX), (0x20, 0, u32::MAX)]
    {
        acl.extend_from_slice(&tag.to_le_bytes());
        acl.extend_from_slice(&permissions.to_le_bytes());
        acl.extend_from_slice(&id.to_le_bytes());
    }
    acl
}

/// As far as the file system takes them.
fn attributes(root: &Path) {
    let set = |path: &str, name: &[u8], value: &[u8]| {
        let answer = rustix::fs::lsetxattr(root.join(path), name, value, XattrFlags::empty());
        if let Err(error) = answer {
            eprintln!("not tested: {} of {path}: {error}", name.escape_ascii());
        }
    };
    fs::create_dir(root.join("acl")).unwrap();
    fs::write(root.join("acl/file"), b"").unwrap();
    set("files/content", b"user.comment", b"value");
    set("files/content", b"user.empty", b"");
    set("files/content", b"user.key=with%signs%3D\xff", b"line\nend\0=\xff");
    set("files/sparse", b"user.large", &[b'v'; 1000]);
    set("files", b"user.dir", b"of a directory");
    set("acl", b"system.posix_acl_default", &acl(4711));
    set("acl", b"system.posix_acl_access", &acl(4712));
    set("acl/file", b"system.posix_acl_access", &acl(4713));
    if is_root() {
        set("links/dangling", b"trusted.of a symlink", b"x");
        set("fifo", b"trusted.of a pipe", b"x");
        set("files/large", b"security.odd", b"x");
        // A capability: cap_net_raw, effective.
        let capability = [1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        set("files/large", b"security.capability", &capability);
    }
}

/// A directory of many, for those who have the time.
pub(super) fn many(root: &Path) {
    fs::create_dir(root.join("many")).unwrap();
    for number in 0..10_000 {
        fs::write(root.join(format!("many/{number}")), if number % 10 == 0 { "some" } else { "" }).unwrap();
    }
    File::open(root.join("many")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
}

fn modes(root: &Path) {
    let set = |path: &str, mode| {
        fs::set_permissions(root.join(path), Permissions::from_mode(mode)).unwrap();
    };
    fs::create_dir_all(root.join("modes/sticky")).unwrap();
    fs::create_dir_all(root.join("modes/closed/inside")).unwrap();
    fs::create_dir_all(root.join("modes/read-only")).unwrap();
    fs::write(root.join("modes/closed/original"), b"behind closed doors").unwrap();
    fs::hard_link(root.join("modes/closed/original"), root.join("modes/open")).unwrap();
    for (name, mode) in [("all", 0o7777), ("set-user-id", 0o4755), ("set-group-id", 0o2711), ("one", 0o400)] {
        fs::write(root.join("modes").join(name), b"").unwrap();
        set(&format!("modes/{name}"), mode);
    }
    set("modes/sticky", 0o3777);
    set("modes/read-only", 0o555);
    // Nobody but root could read what is in a directory with less.
    set("modes/closed", if is_root() { 0o000 } else { 0o500 });
}

fn times(root: &Path) {
    let set = |path: &str, seconds, nanos| {
        let times = Timestamps {
            last_access: Timespec { tv_sec: 1, tv_nsec: 0 },
            last_modification: Timespec { tv_sec: seconds, tv_nsec: nanos },
        };
        rustix::fs::utimensat(CWD, root.join(path), &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    };
    set("files/content", -1, 0);
    set("files/no bytes", -1, 999_999_999);
    set("files/large", -2_000_000_000, 1);
    set("files/zeros", 0, 0);
    set("files/sparse", 1_600_000_000, 123_456_789);
    set("files/empty", 1_000_000_000, 999_999_999);
    set("links/dangling", -5, 1);
    set("fifo", 4_000_000_000, 1);
    set("links", 7, 7);
    set("names", -3, 3);
    set("modes", 2, 0);
    set("files", -100, 100);
    set("acl", 3, 0);
    set("", 42, 42);
}

/// Makes it removable for whoever is not root.
pub(super) fn open_up(root: &Path) {
    for dir in ["modes/closed", "modes/read-only"] {
        let _ = fs::set_permissions(root.join(dir), Permissions::from_mode(0o755));
    }
}
