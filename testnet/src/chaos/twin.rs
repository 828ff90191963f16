//! A copy of a daemon's data directory that runs beside it for a while.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use chordage_node::private;
use tokio::time::sleep;

use super::{ChaosError, World};
use crate::launch::{Launch, Lifetime};
use crate::network::Testnet;

/// How long the copy runs: long enough for others to speak with it, and for both to find out.
const RUNS: Duration = Duration::from_secs(8);

/// Starts a copy of a daemon, and kills it after a while.
pub(super) async fn twin(net: &Testnet, world: &World, index: usize) -> Result<(), ChaosError> {
    let (original, copy) = (net.data_dir(index), net.dir().join("twin"));
    let failed = |error| ChaosError::Damage { path: copy.clone(), error };
    copy_files(&original, &copy).map_err(failed)?;
    let others = net.living().into_iter().filter(|other| *other != index && !net.is_frozen(*other));
    let mut bootstrap = Vec::new();
    for other in others.take(2) {
        bootstrap.extend(
            net.status(other).await.ok().and_then(|status| status.membership.listen.first().cloned()),
        );
    }
    let launch = Launch {
        program: &world.program,
        data_dir: &copy,
        log: &net.dir().join("twin.log"),
        listen: &["/ip4/127.0.0.1/tcp/0".to_owned()],
        client: false,
        zone: None,
        bootstrap: &bootstrap,
        daemon_args: &["--config".to_owned(), world.plan.settings.display().to_string()],
        lifetime: Lifetime::Owned,
    };
    let started = launch.spawn();
    let (mut child, _) =
        started.map_err(|error| ChaosError::Damage { path: error.what, error: error.error })?;
    // A copy that was made while its original wrote may refuse to start: then there is none.
    sleep(RUNS).await;
    let _ = child.kill();
    let _ = child.wait();
    fs::remove_dir_all(&copy).map_err(failed)
}

/// What a start makes anew is left out. Files may vanish while they are copied.
fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    private::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (entry, name) = entry.map(|entry| (entry.path(), entry.file_name()))?;
        let is_new = ["lock", "listen", "api", "api.sock"].iter().any(|left_out| name == *left_out);
        if entry.is_dir() {
            copy_files(&entry, &to.join(name))?;
        } else if !is_new && entry.is_file() {
            match fs::copy(&entry, to.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    Ok(())
}
