//! Daemons that are replaced one by one by those of the next version, while clients go on.

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use chordage_testnet::{Plan, Testnet, wait_until};
use tokio::process::Command;

use crate::harness::{Net, PATIENCE, PROGRAM, chordage, finish, json_of, random_bytes, shown};

const DAEMONS: usize = 12;
/// Clients that put and get all the time.
const CLIENTS: usize = 3;
const BYTES: usize = 200_000;
const LOG: &str =
    "log = \"warn,chordage_node=info,chordage_node::operations=debug\"\nlog_format = \"json\"\n";
/// No daemon.
const NONE: usize = usize::MAX;

/// What clients and the one who replaces daemons know of each other.
struct Shared {
    daemons: Vec<PathBuf>,
    dir: PathBuf,
    /// The daemon that is being replaced: nobody begins anything there.
    away: AtomicUsize,
    /// How many are at work at each daemon.
    busy: [AtomicUsize; DAEMONS],
    done: AtomicU64,
    is_over: AtomicBool,
}

impl Shared {
    /// Runs a command against a daemon that is there, and stays until it has ended.
    async fn run(&self, number: usize, mut command: Command) -> Output {
        let mut daemon = number % DAEMONS;
        self.busy[daemon].fetch_add(1, Ordering::SeqCst);
        if self.away.load(Ordering::SeqCst) == daemon {
            self.busy[daemon].fetch_sub(1, Ordering::SeqCst);
            // Two in a row are not replaced so quickly.
            daemon = (daemon + DAEMONS / 2) % DAEMONS;
            self.busy[daemon].fetch_add(1, Ordering::SeqCst);
        }
        command.arg("--api").arg(&self.daemons[daemon]);
        let output = finish(command).await;
        self.busy[daemon].fetch_sub(1, Ordering::SeqCst);
        output
    }

    /// Puts something through one daemon and gets it through another, again and again.
    async fn go_on(&self, client: usize) {
        let mut round = client;
        while !self.is_over.load(Ordering::SeqCst) {
            let content = random_bytes(BYTES, round as u64);
            let file = self.dir.join(format!("file-{round}"));
            fs::write(&file, &content).unwrap();
            let mut put = chordage(["put", "--json", "--redundancy", "3/8"]);
            put.arg(&file);
            let output = self.run(round, put).await;
            assert!(output.status.success(), "put {round}: {}", shown(&output));
            let link = json_of(&output)["link"].as_str().unwrap().to_owned();
            let output = self.run(round * 5 + 3, chordage(["cat", &link])).await;
            assert!(output.status.success(), "cat {round}: {}", shown(&output));
            assert!(output.stdout == content, "cat {round} gives other bytes");
            self.done.fetch_add(2, Ordering::SeqCst);
            fs::remove_file(file).unwrap();
            round += CLIENTS;
        }
    }
}

/// CHORDAGE_TEST_OLD_PROGRAM names a program of the version before; without it this one speaks as that did.
#[tokio::test]
async fn daemons_are_replaced_one_by_one_by_the_next_version_and_no_client_notices() {
    let dir = tempfile::tempdir().unwrap();
    let (config, program) = (dir.path().join("settings.toml"), dir.path().join("chordage"));
    let old = std::env::var_os("CHORDAGE_TEST_OLD_PROGRAM");
    match &old {
        Some(old) => {
            fs::write(&config, "").unwrap();
            std::os::unix::fs::symlink(old, &program).unwrap();
        }
        None => {
            fs::write(&config, format!("{LOG}debug_old_wire = true\n")).unwrap();
            std::os::unix::fs::symlink(PROGRAM, &program).unwrap();
        }
    }
    let mut plan = Plan::new(&program, dir.path().join("net"), DAEMONS);
    plan.daemon_args = vec!["--config".to_owned(), config.to_str().unwrap().to_owned()];
    let net = Testnet::start(plan).await.unwrap();
    net.wait_settled(PATIENCE).await.unwrap();
    let mut net = Net::of(net, dir);
    let shared = Arc::new(Shared {
        daemons: (0..DAEMONS).map(|daemon| net.net.data_dir(daemon)).collect(),
        dir: net.path(""),
        away: AtomicUsize::new(NONE),
        busy: Default::default(),
        done: AtomicU64::new(0),
        is_over: AtomicBool::new(false),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| {
            let shared = shared.clone();
            tokio::spawn(async move { shared.go_on(client).await })
        })
        .collect();
    let more = async |than: u64| {
        let done = shared.done.load(Ordering::SeqCst);
        if done > than || clients.iter().any(|client| client.is_finished()) { Ok(()) } else { Err(done) }
    };
    wait_until("clients are at work", PATIENCE, async || more(6).await).await.unwrap();
    if old.is_none() {
        for daemon in 0..DAEMONS {
            let log = fs::read_to_string(net.net.log(daemon)).unwrap();
            assert!(!log.contains("another daemon was answered"), "the version before names no operation");
        }
    }

    fs::write(&config, LOG).unwrap();
    fs::remove_file(&program).unwrap();
    std::os::unix::fs::symlink(PROGRAM, &program).unwrap();
    for daemon in 0..DAEMONS {
        shared.away.store(daemon, Ordering::SeqCst);
        // As whoever replaces it would: first those go who use it.
        let unused = async || match shared.busy[daemon].load(Ordering::SeqCst) {
            0 => Ok(()),
            users => Err(format!("{users} use it")),
        };
        wait_until("nobody uses it", PATIENCE, unused).await.unwrap();
        net.net.restart(&[daemon]).await.unwrap();
        shared.away.store(NONE, Ordering::SeqCst);
        // Old and new ones work together for a while.
        let done = shared.done.load(Ordering::SeqCst);
        wait_until("clients go on", PATIENCE, async || more(done + 2).await).await.unwrap();
    }
    let done = shared.done.load(Ordering::SeqCst);
    wait_until("clients go on with new ones alone", PATIENCE, async || more(done + 6).await).await.unwrap();
    shared.is_over.store(true, Ordering::SeqCst);
    for client in clients {
        client.await.unwrap();
    }
    println!("{} operations, none failed", shared.done.load(Ordering::SeqCst));
    for daemon in 0..DAEMONS {
        let log = fs::read_to_string(net.net.log(daemon)).unwrap();
        assert!(log.contains("another daemon was answered"), "daemon {daemon} speaks the new version");
    }
}
