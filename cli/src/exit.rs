//! How the program ends. The numbers are part of its interface: scripts branch on them.

/// Outcome of the program as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Everything that was asked for is done.
    Success,
    /// Something that should not happen.
    Internal,
    /// The command line or the request is wrong. clap uses the same number.
    Usage,
    /// No daemon to talk to, or it cannot serve yet or any more. Of `join`: the one that made the invite.
    NoDaemon,
    /// The data is not in the network now, the object has no such path, or there is no such name. Or an invite is good
    /// for nothing any more.
    Unavailable,
    /// The link, name or invite is none, damaged, or of the wrong kind.
    BadLink,
    /// Too few nodes, or too few of them acknowledged.
    NotDurable,
    /// A local file or directory, also the data directory of the daemon: missing, in the way, unreadable, disk full. Or
    /// a command whose output was to be stored.
    LocalFile,
    /// A deadline passed.
    Deadline,
    /// The data directory is locked or from a newer version, or a port is in use.
    InUse,
    /// What was asked for is done, but not for everything: some files could not be read or restored, or had been
    /// changed.
    Incomplete,
    /// Of `backup create` alone: the snapshot is made, but some of what it should hold could not be read. It has the
    /// number that restic gives it, on which scripts and units around backups branch.
    IncompleteSnapshot,
    /// Of `backup create` alone: `NoDaemon`, whose number means there that a snapshot was made.
    NoDaemonForBackup,
    /// Ctrl-C, SIGTERM or SIGHUP; the number that shells give to programs ended by SIGINT.
    Interrupted,
}

impl ExitStatus {
    /// The number.
    pub(crate) fn code(self) -> u8 {
        match self {
            ExitStatus::Success => 0,
            ExitStatus::Internal => 1,
            ExitStatus::Usage => 2,
            ExitStatus::NoDaemon | ExitStatus::IncompleteSnapshot => 3,
            ExitStatus::Unavailable => 4,
            ExitStatus::BadLink => 5,
            ExitStatus::NotDurable => 6,
            ExitStatus::LocalFile => 7,
            ExitStatus::Deadline => 8,
            ExitStatus::InUse => 9,
            ExitStatus::Incomplete => 10,
            ExitStatus::NoDaemonForBackup => 11,
            ExitStatus::Interrupted => 130,
        }
    }
}

/// The table for `--help`; `docs/cli.md` has the same.
pub(crate) const EXIT_CODES: &str = "\
Exit codes:
    0  done
    1  internal error
    2  wrong usage or a request that makes no sense (a name of others, or changed by others first)
    3  no daemon to talk to, or it is busy, joining or leaving (of `backup create`: the snapshot is made, but without
       what could not be read; of `join`: nobody of the network answers where the invite says)
    4  the data is not in the network now, no such path in the object, no such name or invite, or an invite has ended
    5  bad link, name or invite (truncated, mistyped, of another version, or it cannot read)
    6  too few nodes, or too few of them stored the data or the name durably
    7  local file problem, also on the daemon's disk (missing, exists, unreadable, disk full)
    8  a deadline passed
    9  data directory locked or written by a newer version, or port in use; or a directory that is followed into already
   10  done, but not for everything: some files could not be read and were left out, or could not be restored as they
       were, or had been changed where they were to come (`follow --once`)
   11  of `backup create`: no daemon to talk to (3 of other commands)
  130  interrupted";

impl From<ExitStatus> for std::process::ExitCode {
    fn from(status: ExitStatus) -> Self {
        status.code().into()
    }
}
