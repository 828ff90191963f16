//! Processes named so that they cannot be mistaken for others.
//!
//! A process id alone is a bad name: the kernel hands it out again. Together with the time at which the
//! process started (`starttime` in proc(5), clock ticks since boot) it is unique for as long as the machine
//! runs. Signals go through a pidfd that is opened first and checked afterwards, so the check and the
//! signal always concern the same process (pidfd_open(2)).

use std::fs;
use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// How often a vanishing process is looked at.
const POLL: Duration = Duration::from_millis(5);

/// A process, for good: its id and when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// The kernel's number for it.
    pub pid: u32,
    /// When it started, in clock ticks since the machine did.
    pub start_ticks: u64,
}

/// What a process is doing, as far as a network of daemons cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It runs or could run.
    Running,
    /// It was stopped by SIGSTOP (or a debugger).
    Frozen,
    /// It is gone: it ended (even if nobody has collected its exit status), or its id names another process.
    Gone,
}

/// Why a signal was not sent.
#[derive(Debug, thiserror::Error)]
pub enum SignalError {
    /// The process is no more. Nothing was sent; a process that took over the id was left alone.
    #[error("process {0} is gone")]
    Gone(u32),
    /// The kernel refused. Nothing was sent.
    #[error("cannot signal process {0}: {1}")]
    Refused(u32, io::Error),
}

impl ProcessId {
    /// Names the process that has this id now; `None` when there is none.
    pub fn of(pid: u32) -> Option<Self> {
        read_stat(pid).map(|stat| Self { pid, start_ticks: stat.start_ticks })
    }

    /// What the process is doing now.
    pub fn activity(self) -> Activity {
        match read_stat(self.pid) {
            Some(stat) if stat.start_ticks == self.start_ticks => match stat.state {
                // A first thread that has ended shows as a zombie while others still wait for the disk, with all files
                // open and locked.
                b'Z' if stat.threads > 1 => Activity::Running,
                b'Z' | b'X' | b'x' => Activity::Gone,
                b'T' | b't' => Activity::Frozen,
                _ => Activity::Running,
            },
            _ => Activity::Gone,
        }
    }

    /// Whether it has ended (or its id now names another process).
    pub fn is_gone(self) -> bool {
        self.activity() == Activity::Gone
    }

    /// Resident memory in bytes; `None` when the process is gone.
    pub fn rss_bytes(self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).ok()?;
        let rss_bytes = rss_of_status(&status)?;
        // Read before it was checked, so the figure belongs to a process that was ours a moment later too.
        (!self.is_gone()).then_some(rss_bytes)
    }

    /// Sends a signal to exactly this process.
    pub fn signal(self, signal: Signal) -> Result<(), SignalError> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).ok_or(SignalError::Gone(self.pid))?;
        let refused = |error: rustix::io::Errno| match error {
            rustix::io::Errno::SRCH => SignalError::Gone(self.pid),
            other => SignalError::Refused(self.pid, other.into()),
        };
        let handle = pidfd_open(pid, PidfdFlags::empty()).map_err(refused)?;
        // The handle cannot move to another process; what is true of the id now is true of the handle.
        if self.is_gone() {
            return Err(SignalError::Gone(self.pid));
        }
        pidfd_send_signal(&handle, signal).map_err(refused)
    }

    /// Waits until the process is gone. Returns whether it went within the time given.
    pub fn wait_gone(self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        while !self.is_gone() {
            if Instant::now() >= deadline {
                return false;
            }
            std::thread::sleep(POLL);
        }
        true
    }
}

struct Stat {
    state: u8,
    threads: u32,
    start_ticks: u64,
}

fn read_stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The command name stands in parentheses and may itself hold spaces and parentheses, so fields are
/// counted from the last one (proc(5): state is field 3, num_threads field 20, starttime field 22).
fn parse_stat(line: &[u8]) -> Option<Stat> {
    let name_end = line.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&line[name_end + 1..]).ok()?;
    let mut fields = rest.split_ascii_whitespace();
    let state = *fields.next()?.as_bytes().first()?;
    let threads = fields.nth(16)?.parse().ok()?;
    let start_ticks = fields.nth(1)?.parse().ok()?;
    Some(Stat { state, threads, start_ticks })
}

fn rss_of_status(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command, Stdio};

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep is everywhere")
    }

    #[test]
    fn a_signal_reaches_the_process_and_a_zombie_counts_as_gone() {
        let mut child = sleeper();
        let process = ProcessId::of(child.id()).expect("it runs");
        assert_eq!(process.activity(), Activity::Running);
        assert!(process.rss_bytes().is_some_and(|bytes| bytes > 0));
        process.signal(Signal::STOP).expect("freeze");
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.activity() != Activity::Frozen {
            assert!(Instant::now() < deadline, "never froze");
            std::thread::yield_now();
        }
        process.signal(Signal::KILL).expect("kill");
        // Nobody has waited for the child yet: it is a zombie, and gone all the same.
        assert!(process.wait_gone(Duration::from_secs(10)));
        assert!(matches!(process.signal(Signal::KILL), Err(SignalError::Gone(_))));
        child.wait().expect("collect the exit status");
    }

    #[test]
    fn a_process_that_took_over_the_id_is_left_alone() {
        let mut child = sleeper();
        let now = ProcessId::of(child.id()).expect("it runs");
        let before = ProcessId { start_ticks: now.start_ticks - 1, ..now };
        assert!(before.is_gone());
        assert!(matches!(before.signal(Signal::KILL), Err(SignalError::Gone(_))));
        assert_eq!(now.activity(), Activity::Running);
        child.kill().expect("kill");
        child.wait().expect("collect the exit status");
    }

    #[test]
    fn odd_command_names_do_not_shift_the_fields() {
        let line = b"42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 777 20";
        let stat = parse_stat(line).expect("parses");
        assert_eq!((stat.state, stat.threads, stat.start_ticks), (b'S', 17, 777));
        assert!(parse_stat(b"").is_none());
        assert!(parse_stat(b"42 (x) S 1 2").is_none());
    }

    #[test]
    fn ids_that_cannot_be_processes_are_gone() {
        for pid in [0, u32::MAX] {
            assert!(ProcessId { pid, start_ticks: 0 }.is_gone());
            assert!(ProcessId { pid, start_ticks: 0 }.signal(Signal::KILL).is_err());
        }
    }
}
