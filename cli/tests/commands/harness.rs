//! A few daemons, and commands whose standard output, standard error and exit code are checked together.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use chordage_testnet::{Plan, Testnet};

/// The program under test.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_chordage");
/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Daemons in a temporary directory; gone when the test ends, however it ends.
pub(crate) struct Scene {
    /// The network.
    pub(crate) net: Testnet,
    runtime: tokio::runtime::Runtime,
    // Last, so that it is removed when no daemon writes into it any more.
    dir: tempfile::TempDir,
}

impl Scene {
    /// So many daemons that see each other.
    pub(crate) fn with_daemons(nodes: usize) -> Self {
        Scene::with_args(nodes, &[])
    }

    /// The same with further arguments for each.
    pub(crate) fn with_args(nodes: usize, args: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let mut plan = Plan::new(PROGRAM, dir.path().join("net"), nodes);
        plan.daemon_args = args.iter().map(ToString::to_string).collect();
        let net = runtime.block_on(Testnet::start(plan)).unwrap();
        runtime.block_on(net.wait_settled(PATIENCE)).unwrap();
        Scene { net, runtime, dir }
    }

    /// The network's name.
    pub(crate) fn network(&self) -> String {
        let state = std::fs::read(self.net.dir().join("testnet.json")).unwrap();
        let state: serde_json::Value = serde_json::from_slice(&state).unwrap();
        let args = state["daemon_args"].as_array().unwrap();
        let flag = args.iter().position(|arg| arg == "--network").unwrap();
        args[flag + 1].as_str().unwrap().to_owned()
    }

    /// A path in the test's own directory, beside the network.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file there.
    pub(crate) fn file(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// A command in the test's directory that talks to the first daemon.
    pub(crate) fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Run {
        Run::new(args).dir(self.dir.path()).api(&self.net.data_dir(0))
    }

    /// Puts a file and returns its link.
    pub(crate) fn put(&self, path: &Path) -> String {
        self.run(["put", "--quiet"]).arg(path).succeeds().trim().to_owned()
    }

    /// Names in the test's directory, the network's own left out.
    pub(crate) fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<String> = names.filter(|name| name != "net").collect();
        names.sort();
        names
    }

    /// Starts daemons again.
    pub(crate) fn restart(&mut self, nodes: &[usize]) {
        self.runtime.block_on(self.net.restart(nodes)).unwrap();
    }

    /// A command line for the shell, in which `$0` is the program, in the test's directory.
    pub(crate) fn shell(&self, script: &str) -> Run {
        Run::program("sh", ["-c", script, PROGRAM]).dir(self.dir.path()).api(&self.net.data_dir(0))
    }

    /// Runs async code of the library.
    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }
}

/// One command.
pub(crate) struct Run {
    command: Command,
    stdin: Vec<u8>,
    shown: String,
}

impl Run {
    /// The program with arguments and nothing of the caller's environment.
    pub(crate) fn new<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Self {
        Run::program(PROGRAM, args)
    }

    /// The same for somebody whom the modes of files bind, which they do not with root.
    pub(crate) fn bound_by_modes(args: &[&OsStr]) -> Self {
        let lesser = ["--bounding-set", "-dac_override,-dac_read_search", PROGRAM].map(OsStr::new);
        match rustix::process::geteuid().is_root() {
            true => Run::program("setpriv", [&lesser, args].concat()),
            false => Run::new(args),
        }
    }

    pub(crate) fn program<I: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = I>) -> Self {
        let args: Vec<OsString> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let mut command = Command::new(program);
        for variable in [
            "CHORDAGE_API",
            "CHORDAGE_API_TOKEN",
            "CHORDAGE_DATA_DIR",
            "CHORDAGE_LOG",
            "COLUMNS",
            "CHORDAGE_VOLUME",
        ] {
            command.env_remove(variable);
        }
        // The default data directory must not be the developer's own.
        command.env("HOME", nobody_home()).env_remove("XDG_DATA_HOME");
        command.args(&args);
        Run { command, stdin: Vec::new(), shown: format!("{args:?}") }
    }

    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    pub(crate) fn args<I: AsRef<OsStr>>(self, args: impl IntoIterator<Item = I>) -> Self {
        args.into_iter().fold(self, Run::arg)
    }

    pub(crate) fn api(mut self, api: &Path) -> Self {
        self.command.env("CHORDAGE_API", api);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    pub(crate) fn stdin(mut self, bytes: &[u8]) -> Self {
        self.stdin = bytes.to_vec();
        self
    }

    /// Starts it and returns at once.
    pub(crate) fn start(mut self) -> Child {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.spawn().unwrap()
    }

    /// Runs it to its end.
    pub(crate) fn output(self) -> Output {
        let input = self.stdin.clone();
        let shown = self.shown.clone();
        let mut child = self.start();
        let mut stdin = child.stdin.take().unwrap();
        // A command may end without reading its input.
        let feeder = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = end_of(child, &shown);
        feeder.join().unwrap();
        output
    }

    /// Runs it, expects success, and returns standard output as text.
    pub(crate) fn succeeds(self) -> String {
        let shown = self.shown.clone();
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{shown} failed: {}\n{stderr}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Runs it, expects this exit code, nothing on standard output, and every one of these words on standard error.
    pub(crate) fn fails(self, code: i32, words: &[&str]) -> String {
        let shown = self.shown.clone();
        let output = self.output();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{shown}: {stderr}");
        for word in words {
            assert!(stderr.contains(word), "{shown} does not say {word:?}: {stderr}");
        }
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{shown} failed and yet printed a result");
        stderr
    }
}

/// Waits for the end of a command, which has to come.
pub(crate) fn end_of(child: Child, shown: &str) -> Output {
    let pid = rustix::process::Pid::from_child(&child);
    let (done, waiting) = std::sync::mpsc::channel();
    let waiter = std::thread::spawn(move || {
        let output = child.wait_with_output().unwrap();
        let _ = done.send(());
        output
    });
    if waiting.recv_timeout(PATIENCE).is_err() {
        // Not yet waited for, so the id is still this child's.
        let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
        let _ = rustix::process::pidfd_send_signal(pidfd, rustix::process::Signal::KILL);
        let output = waiter.join().unwrap();
        panic!("{shown} hangs; until now it said: {}", String::from_utf8_lossy(&output.stderr));
    }
    waiter.join().unwrap()
}

/// Sends a signal to a child that has not been waited for.
pub(crate) fn signal(child: &Child, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_child(child);
    let pidfd = rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap();
    rustix::process::pidfd_send_signal(pidfd, signal).unwrap();
}

/// Waits until `condition` holds.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what} did not happen within {PATIENCE:?}");
        std::thread::yield_now();
    }
}

/// Whether the output is of a command that was interrupted in good order, not killed.
pub(crate) fn was_interrupted(output: &Output) -> bool {
    output.status.code() == Some(130) && output.status.signal().is_none()
}

/// Bytes that do not compress and differ for different seeds (xorshift64*).
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}

/// A home directory in which there is nothing.
pub(crate) fn nobody_home() -> &'static Path {
    static HOME: OnceLock<tempfile::TempDir> = OnceLock::new();
    HOME.get_or_init(|| tempfile::tempdir().unwrap()).path()
}
