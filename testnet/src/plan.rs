//! What network to start.

use std::path::PathBuf;
use std::time::Duration;

use crate::launch::Lifetime;

/// What network to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The `chordage` program.
    pub program: PathBuf,
    /// Where daemons, logs and `testnet.json` live.
    pub dir: PathBuf,
    /// How many daemons.
    pub nodes: usize,
    /// Further arguments for every daemon, such as `--metric xor`.
    pub daemon_args: Vec<String>,
    /// Into how many failure domains the daemons are put, in turn; 0: into none.
    pub zones: usize,
    /// Where each daemon listens. Port 0 lets the system choose, so that networks never collide.
    pub listen: Vec<String>,
    /// Whether the daemons may go on when this process ends.
    pub lifetime: Lifetime,
    /// How many daemons may be starting at a time. More than the machine has cores only makes each slower.
    pub starting_max: usize,
    /// How long one daemon may take from its start until it has joined.
    pub start_wait: Duration,
}

impl Plan {
    /// A plan with the usual settings: TCP and QUIC on loopback, tied to this process.
    pub fn new(program: impl Into<PathBuf>, dir: impl Into<PathBuf>, nodes: usize) -> Self {
        let cores = std::thread::available_parallelism().map_or(2, |cores| cores.get());
        Self {
            program: program.into(),
            dir: dir.into(),
            nodes,
            daemon_args: Vec::new(),
            zones: 0,
            listen: vec!["/ip4/127.0.0.1/tcp/0".into(), "/ip4/127.0.0.1/udp/0/quic-v1".into()],
            lifetime: Lifetime::Owned,
            starting_max: 2 * cores,
            start_wait: Duration::from_secs(60),
        }
    }
}
