//! The file system as the kernel talks to it. The thread that it is called on only begins: each request is a task of
//! its own, of which a limited number runs, each for a limited time, and which nothing that goes wrong in it gets
//! beyond.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use fuser::{
    Errno, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags, KernelConfig,
    LockOwner, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry,
    ReplyLseek, ReplyOpen, ReplyXattr, Request,
};
use futures::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

use super::inodes::Place;
use super::operations::{Directory, Operations};

/// Requests that are worked on at a time. One more waits, within its time.
const AT_A_TIME: usize = 256;
/// Requests that the kernel has under way for itself, to read ahead.
const BACKGROUND: u16 = 32;
/// Numbers of files are never given to something else.
const GENERATION: Generation = Generation(0);
/// lseek(2): where data begins …
const SEEK_DATA: i32 = 3;
/// … and where a hole does.
const SEEK_HOLE: i32 = 4;

/// See the module's description.
pub(super) struct Mounted {
    pub(super) operations: Arc<Operations>,
    pub(super) runtime: Handle,
    pub(super) deadline: Duration,
    /// Whether the kernel is to decide by modes and access lists who may do what.
    pub(super) checks_permissions: bool,
    slots: Arc<Semaphore>,
    /// Dropped when it is not mounted any more.
    _ended: oneshot::Sender<()>,
}

impl Mounted {
    pub(super) fn new(
        operations: Arc<Operations>,
        runtime: Handle,
        deadline: Duration,
        checks_permissions: bool,
        ended: oneshot::Sender<()>,
    ) -> Self {
        let slots = Arc::new(Semaphore::new(AT_A_TIME));
        Mounted { operations, runtime, deadline, checks_permissions, slots, _ended: ended }
    }

    /// Works on a request in a task of its own and answers from there: with an I/O error when it takes too long or
    /// panics.
    fn serve<T: Send + 'static, W: Future<Output = Result<T, Errno>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Operations>) -> W,
        answer: impl FnOnce(Result<T, Errno>) + Send + 'static,
    ) {
        let (operations, slots, deadline) = (self.operations.clone(), self.slots.clone(), self.deadline);
        let work = Box::pin(work(operations.clone()));
        self.runtime.spawn(async move {
            let limited = async {
                let _slot = slots.acquire().await.map_err(|_| Errno::EIO)?;
                work.await
            };
            let guarded = AssertUnwindSafe(limited).catch_unwind();
            answer(match tokio::time::timeout(deadline, guarded).await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(_)) => {
                    operations.complaints.say("a request failed by a mistake in this program");
                    Err(Errno::EIO)
                }
                Err(_) => {
                    let seconds = deadline.as_secs();
                    operations.complaints.say(&format!("a request was given up after {seconds} s"));
                    Err(Errno::EIO)
                }
            });
        });
    }
}

fn kind(place: &Place) -> FileType {
    match place {
        Place::Above(_) => FileType::Directory,
        Place::Link(_) => FileType::Symlink,
        Place::Inside(inside) => inside.item.kind,
    }
}

/// What a directory has at an offset: itself and the one above it come first.
enum At {
    Itself(usize),
    Entry(Vec<u8>, Place),
    End,
}

fn at(directory: &Directory, offset: u64) -> At {
    match usize::try_from(offset) {
        Ok(position @ 0..=1) => At::Itself(position),
        Ok(position) => match directory.at(position - 2) {
            Some((name, place)) => At::Entry(name, place),
            None => At::End,
        },
        Err(_) => At::End,
    }
}

const DOTS: [&str; 2] = [".", ".."];

fn list(directory: &Directory, mut offset: u64, mut reply: ReplyDirectory) {
    let numbers = directory.numbers();
    loop {
        let is_full = match at(directory, offset) {
            At::Itself(which) => {
                reply.add(INodeNo(numbers[which]), offset + 1, FileType::Directory, DOTS[which])
            }
            At::Entry(name, place) => {
                let name = OsString::from_vec(name);
                reply.add(INodeNo(place.number()), offset + 1, kind(&place), name)
            }
            At::End => break,
        };
        if is_full {
            break;
        }
        offset += 1;
    }
    reply.ok();
}

impl Filesystem for Mounted {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        let mut wanted = vec![
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_CACHE_SYMLINKS,
        ];
        if self.checks_permissions {
            // By the mode alone a group may seem to have a right that only the mask of an access list has.
            wanted.push(InitFlags::FUSE_POSIX_ACL);
        }
        for flag in wanted {
            // Older kernels do without.
            let _ = config.add_capabilities(flag);
        }
        let _ = config.set_max_background(BACKGROUND);
        Ok(())
    }

    fn lookup(&self, _: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let name = name.as_bytes().to_vec();
        let work = |operations: Arc<Operations>| async move { operations.lookup(parent.0, &name).await };
        self.serve(work, |found| match found {
            Ok((valid, attributes)) => reply.entry(&valid, &attributes, GENERATION),
            Err(error) => reply.error(error),
        });
    }

    fn forget(&self, _: &Request, number: INodeNo, times: u64) {
        self.operations.inodes.forget(number.0, times);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        let work = move |operations: Arc<Operations>| async move { operations.getattr(number.0).await };
        self.serve(work, |found| match found {
            Ok((valid, attributes)) => reply.attr(&valid, &attributes),
            Err(error) => reply.error(error),
        });
    }

    fn readlink(&self, _: &Request, number: INodeNo, reply: ReplyData) {
        match self.operations.readlink(number.0) {
            Ok(target) => reply.data(&target),
            Err(error) => reply.error(error),
        }
    }

    fn open(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        match self.operations.open(number.0) {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::FOPEN_KEEP_CACHE),
            Err(error) => reply.error(error),
        }
    }

    fn read(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let work =
            move |operations: Arc<Operations>| async move { operations.read(handle.0, offset, size).await };
        self.serve(work, |read| match read {
            Ok(bytes) => reply.data(&bytes),
            Err(error) => reply.error(error),
        });
    }

    fn release(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        self.operations.files.close(handle.0);
        reply.ok();
    }

    fn opendir(&self, _: &Request, number: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let work = move |operations: Arc<Operations>| async move { operations.opendir(number.0).await };
        self.serve(work, |opened| match opened {
            Ok((handle, true)) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Ok((handle, false)) => {
                let kept = FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR;
                reply.opened(FileHandle(handle), kept);
            }
            Err(error) => reply.error(error),
        });
    }

    fn readdir(&self, _: &Request, _: INodeNo, handle: FileHandle, offset: u64, reply: ReplyDirectory) {
        let work =
            move |operations: Arc<Operations>| async move { operations.directory(handle.0, false).await };
        self.serve(work, move |opened| match opened {
            Ok((directory, _)) => list(&directory, offset, reply),
            Err(error) => reply.error(error),
        });
    }

    fn readdirplus(
        &self,
        _: &Request,
        _: INodeNo,
        handle: FileHandle,
        mut offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let operations = self.operations.clone();
        let work =
            move |operations: Arc<Operations>| async move { operations.directory(handle.0, true).await };
        self.serve(work, move |opened| {
            let (directory, counts) = match opened {
                Ok(opened) => opened,
                Err(error) => return reply.error(error),
            };
            let numbers = directory.numbers();
            loop {
                let (name, number, place) = match at(&directory, offset) {
                    At::Itself(which) => (DOTS[which].into(), numbers[which], Place::Above(Arc::default())),
                    At::Entry(name, place) => (OsString::from_vec(name), place.number(), place),
                    At::End => break,
                };
                let (valid, mut attributes) = operations.stat_in(&directory, &place, counts.as_ref());
                attributes.ino = INodeNo(number);
                // The kernel does not count that it was told of a directory itself and the one above.
                let counts_it = offset >= 2;
                if counts_it && operations.remember(&place).is_err() {
                    offset += 1;
                    continue;
                }
                if reply.add(INodeNo(number), offset + 1, name, &valid, &attributes, GENERATION) {
                    if counts_it {
                        operations.inodes.forget(number, 1);
                    }
                    break;
                }
                offset += 1;
            }
            reply.ok();
        });
    }

    fn releasedir(&self, _: &Request, _: INodeNo, handle: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        self.operations.directories.close(handle.0);
        reply.ok();
    }

    fn getxattr(&self, _: &Request, number: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let name = name.as_bytes().to_vec();
        let work =
            move |operations: Arc<Operations>| async move { operations.getxattr(number.0, &name).await };
        self.serve(work, move |found| give(found, size, reply));
    }

    fn listxattr(&self, _: &Request, number: INodeNo, size: u32, reply: ReplyXattr) {
        let work = move |operations: Arc<Operations>| async move { operations.listxattr(number.0).await };
        self.serve(work, move |found| give(found, size, reply));
    }

    fn lseek(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let (Ok(from), SEEK_DATA | SEEK_HOLE) = (u64::try_from(offset), whence) else {
            return reply.error(Errno::EINVAL);
        };
        let work = move |operations: Arc<Operations>| async move {
            operations.lseek(number.0, from, whence == SEEK_DATA).await
        };
        self.serve(work, |found| match found {
            Ok(offset) => reply.offset(offset.try_into().unwrap_or(i64::MAX)),
            Err(error) => reply.error(error),
        });
    }
}

/// Gives an attribute, or the names of all: into so many bytes, or only how many are needed.
fn give(found: Result<Vec<u8>, Errno>, size: u32, reply: ReplyXattr) {
    match found {
        Ok(bytes) if size == 0 => reply.size(bytes.len().try_into().unwrap_or(u32::MAX)),
        Ok(bytes) if bytes.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(bytes) => reply.data(&bytes),
        Err(error) => reply.error(error),
    }
}
