//! The service manager that started this daemon and wants to know how it is: systemd, or whoever speaks its protocol
//! (sd_notify(3)).

mod socket;
mod watchdog;

use std::ffi::OsString;
use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use chordage_api::types::{DaemonState, Status};
use chordage_node::NodeHandle;
use tokio::task::JoinSet;

use self::socket::Address;
use self::watchdog::Watchdog;
use crate::printer::Printer;

/// Words that may wait for the manager to read them. Those beyond it are not said: another comes soon.
const WORDS_MAX: usize = 16;
/// The longest status, in characters. systemd ignores a datagram above 4096 bytes, with everything in it.
const STATUS_MAX: usize = 512;
/// How often more time is asked for while the daemon starts or leaves, and how much: three times may be missed.
const EXTEND_EVERY: Duration = Duration::from_secs(10);
const EXTEND_BY: Duration = Duration::from_secs(40);
/// For how long that is done. Design: the index of a large store is rebuilt in less; one that hangs has to end some
/// day.
const EXTEND_LONGEST: Duration = Duration::from_secs(60 * 60);

/// What the manager is told. Nobody waits for it: a thread of its own does the telling.
#[derive(Clone)]
pub(crate) struct Manager {
    /// `None` where nobody wants to know.
    words: Option<SyncSender<Word>>,
    watchdog: Option<Watchdog>,
}

/// One thing to say.
#[derive(Debug, PartialEq, Eq)]
enum Word {
    Starting,
    /// It serves, with its status.
    Ready(String),
    Status(String),
    /// The driver's loop goes round.
    Alive,
    Leaving,
}

impl Word {
    /// As the protocol has it.
    fn text(&self) -> String {
        match self {
            Word::Starting => "STATUS=starts".to_owned(),
            Word::Ready(status) => format!("READY=1\nSTATUS={}", one_line(status)),
            Word::Status(status) => format!("STATUS={}", one_line(status)),
            Word::Alive => "WATCHDOG=1".to_owned(),
            Word::Leaving => "STOPPING=1\nSTATUS=leaves its network".to_owned(),
        }
    }
}

impl Manager {
    /// The one that the environment names.
    pub(crate) fn of_this_process(printer: &Printer) -> io::Result<Manager> {
        let variable = std::env::var_os;
        let watchdog = Watchdog::wanted(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Manager::at(variable("NOTIFY_SOCKET"), watchdog, EXTEND_EVERY, printer)
    }

    fn at(
        socket: Option<OsString>,
        watchdog: Option<Watchdog>,
        extend_every: Duration,
        printer: &Printer,
    ) -> io::Result<Manager> {
        let Some(socket) = socket.filter(|name| !name.is_empty()) else {
            return Ok(Manager { words: None, watchdog: None });
        };
        let address = match Address::of(&socket) {
            Ok(address) => address,
            Err(error) => {
                printer.warn(format!("nothing is told to NOTIFY_SOCKET={}: {error}", socket.display()));
                return Ok(Manager { words: None, watchdog: None });
            }
        };
        let (words, said) = sync_channel(WORDS_MAX);
        let printer = printer.clone();
        let telling = move || tell_all(&said, &address, extend_every, &printer);
        thread::Builder::new().name("manager".to_owned()).spawn(telling)?;
        Ok(Manager { words: Some(words), watchdog })
    }

    /// The daemon opens what it has, which may take long.
    pub(crate) fn starting(&self) {
        self.say(Word::Starting);
    }

    /// The daemon serves.
    pub(crate) fn ready(&self, status: String) {
        self.say(Word::Ready(status));
    }

    /// The daemon leaves, which may take long.
    pub(crate) fn leaving(&self) {
        self.say(Word::Leaving);
    }

    /// Feeds the watchdog, and says so when the daemon is in another state than `said`, until dropped. `standing`: the
    /// status for people.
    pub(crate) fn keep_told(
        &self,
        handle: &NodeHandle,
        said: DaemonState,
        standing: impl Fn(&Status) -> String + Send + 'static,
    ) -> JoinSet<()> {
        let mut telling = JoinSet::new();
        if self.words.is_none() {
            return telling;
        }
        if let Some(watchdog) = self.watchdog {
            let (manager, beats) = (self.clone(), handle.beats());
            telling.spawn(async move { watchdog.feed(beats, || manager.say(Word::Alive)).await });
        }
        telling.spawn(self.clone().follow(handle.clone(), said, standing));
        telling
    }

    async fn follow(self, handle: NodeHandle, mut said: DaemonState, standing: impl Fn(&Status) -> String) {
        let mut beats = handle.beats();
        while beats.changed().await.is_ok() {
            if handle.state() == said {
                continue;
            }
            let Some(status) = handle.status().await else { return };
            said = status.membership.state;
            self.say(Word::Status(standing(&status)));
        }
    }

    fn say(&self, word: Word) {
        if let Some(words) = &self.words {
            let _ = words.try_send(word);
        }
    }
}

/// Tells what there is to tell until nobody has anything to say, and asks for more time while that is needed.
fn tell_all(words: &Receiver<Word>, address: &Address, extend_every: Duration, printer: &Printer) {
    let more = format!("EXTEND_TIMEOUT_USEC={}", EXTEND_BY.as_micros());
    let mut busy_since = None;
    let mut warned = false;
    let mut send = |text: &str| {
        if let Err(error) = address.send(text)
            && !std::mem::replace(&mut warned, true)
        {
            printer.warn(format!("the service manager cannot be told how the daemon is: {error}"));
        }
    };
    loop {
        match words.recv_timeout(extend_every) {
            Ok(word) => {
                send(&word.text());
                match word {
                    Word::Starting | Word::Leaving => busy_since = Some(Instant::now()),
                    Word::Ready(_) => busy_since = None,
                    Word::Status(_) | Word::Alive => {}
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if busy_since.is_some_and(|since: Instant| since.elapsed() < EXTEND_LONGEST) {
            send(&more);
        }
    }
}

/// A status that ends no line of the protocol, and is not too long for it.
fn one_line(status: &str) -> String {
    let shown = |character: char| if character.is_control() { ' ' } else { character };
    status.chars().map(shown).take(STATUS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixDatagram;

    use super::*;

    const EVERY: Duration = Duration::from_millis(20);
    const PATIENCE: Duration = Duration::from_secs(30);

    fn manager(watchdog: Option<Watchdog>) -> (Manager, UnixDatagram, tempfile::TempDir) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let printer = Printer::new(false, true);
        let manager = Manager::at(Some(path.into_os_string()), watchdog, EVERY, &printer).unwrap();
        (manager, socket, dir)
    }

    fn next(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).expect("something is told in time");
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn more_time_is_asked_for_while_the_daemon_starts_or_leaves_and_never_else() {
        let (manager, socket, _dir) = manager(None);
        manager.starting();
        assert_eq!(next(&socket), "STATUS=starts");
        for _ in 0..4 {
            assert_eq!(next(&socket), "EXTEND_TIMEOUT_USEC=40000000");
        }
        manager.ready("serves".to_owned());
        while next(&socket) != "READY=1\nSTATUS=serves" {}
        thread::sleep(10 * EVERY);
        manager.say(Word::Alive);
        assert_eq!(next(&socket), "WATCHDOG=1", "nothing else was said meanwhile");
        manager.leaving();
        assert_eq!(next(&socket), "STOPPING=1\nSTATUS=leaves its network");
        assert_eq!(next(&socket), "EXTEND_TIMEOUT_USEC=40000000");
    }

    #[test]
    fn a_status_is_one_line_and_does_not_cost_the_word_beside_it() {
        let (manager, socket, _dir) = manager(None);
        manager.ready(format!("one\nREADY=0\r{}", "long ".repeat(4096)));
        let told = next(&socket);
        assert!(told.starts_with("READY=1\nSTATUS=one READY=0 long ") && told.len() < 4096, "{told}");
    }

    #[test]
    fn a_manager_that_cannot_be_told_keeps_nobody_from_work() {
        let printer = Printer::new(false, true);
        for name in [None, Some(""), Some("vsock:2:1"), Some("relative")] {
            let manager = Manager::at(name.map(OsString::from), None, EVERY, &printer).unwrap();
            assert!(manager.words.is_none(), "{name:?}");
            manager.ready(String::new());
        }
        // One that never reads: what does not fit is not said.
        let (manager, _socket, _dir) = manager(None);
        for _ in 0..100 * WORDS_MAX {
            manager.say(Word::Alive);
        }
    }
}
