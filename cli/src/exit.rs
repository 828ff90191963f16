//! How the program ends. The numbers are part of its interface: scripts branch on them.

/// Outcome of the program as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum ExitStatus {
    /// Everything that was asked for is done.
    Success = 0,
    /// Something that should not happen.
    Internal = 1,
    /// The command line or the request is wrong. clap uses the same number.
    Usage = 2,
    /// No daemon to talk to, or it cannot serve yet or any more.
    NoDaemon = 3,
    /// The data is not in the network now, the object has no such path, or there is no such name.
    Unavailable = 4,
    /// The link or name is none, damaged, or of the wrong kind.
    BadLink = 5,
    /// Too few nodes, or too few of them acknowledged.
    NotDurable = 6,
    /// A local file or directory, also the data directory of the daemon: missing, in the way, unreadable, disk full. Or a
    /// command whose output was to be stored.
    LocalFile = 7,
    /// A deadline passed.
    Deadline = 8,
    /// The data directory is locked or from a newer version, or a port is in use.
    InUse = 9,
    /// What was asked for is done, but not for everything: some files could not be read.
    Incomplete = 10,
    /// Ctrl-C, SIGTERM or SIGHUP; the number that shells give to programs ended by SIGINT.
    Interrupted = 130,
}

/// The table for `--help`; `docs/cli.md` has the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  internal error
    2  wrong usage or a request that makes no sense (a name of others, or changed by others first)
    3  no daemon to talk to, or it is busy, joining or leaving
    4  the data is not in the network now, no such path in the object, or no such name
    5  bad link or name (truncated, mistyped, of another version, or it cannot read)
    6  too few nodes, or too few of them stored the data or the name durably
    7  local file problem, also on the daemon's disk (missing, exists, unreadable, disk full)
    8  a deadline passed
    9  data directory locked or written by a newer version, or port in use
   10  done, but not for everything: some files could not be read and were left out
  130  interrupted";

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        (status as u8).into()
    }
}
