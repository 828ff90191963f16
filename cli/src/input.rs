//! Standard input of commands that take `-`, when there is something to read from.

use std::io::{self, Read};
use std::os::fd::BorrowedFd;

use rustix::fs::{FileType, OFlags, Stat};

use crate::error::CliError;
use crate::exit::ExitStatus;

/// Not the standard library's, which takes an input that cannot be read for one that is empty.
#[derive(Debug)]
pub(crate) struct Stdin(BorrowedFd<'static>);

impl Stdin {
    /// Fails when nothing can be read there, which is not the same as reading nothing.
    pub(crate) fn open() -> Result<Self, CliError> {
        let fd = rustix::stdio::stdin();
        let flags = rustix::fs::fcntl_getfl(fd).map_err(|error| cannot(io::Error::from(error)))?;
        let stat = rustix::fs::fstat(fd).map_err(|error| cannot(io::Error::from(error)))?;
        match () {
            () if is_closed(flags, &stat) => Err(cannot("it is closed")),
            () if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
                Err(cannot("it is a directory"))
            }
            () if flags & OFlags::RWMODE == OFlags::WRONLY => Err(cannot("it is open for writing only")),
            () => Ok(Stdin(fd)),
        }
    }
}

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(rustix::io::read(self.0, buffer)?)
    }
}

fn cannot(why: impl std::fmt::Display) -> CliError {
    CliError::new(ExitStatus::LocalFile, "input", format!("cannot read standard input: {why}"))
        .state("nothing was stored or fetched")
        .hint("pipe something into it, or give a name instead of `-`; for no bytes at all, `< /dev/null`")
}

/// Before `main`, the runtime opens /dev/null in place of a standard input that is closed, so that no file gets its
/// number; a read then finds an end, as of an empty file. But it opens it for reading and writing, while the `<
/// /dev/null` of somebody who means no bytes opens it for reading.
fn is_closed(flags: OFlags, stat: &Stat) -> bool {
    let null = rustix::fs::stat("/dev/null");
    let is_null = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice
        && null.is_ok_and(|null| null.st_rdev == stat.st_rdev);
    is_null && flags & OFlags::RWMODE == OFlags::RDWR
}
