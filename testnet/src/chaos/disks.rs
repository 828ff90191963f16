//! Small disks, so that they can be full. They live in memory, and only within a [seclusion](super::seclusion).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::seclusion::said;
use super::{ChaosError, World};
use crate::network::Testnet;

/// Bytes of a small disk: more than a daemon comes to hold in ten minutes.
const BYTES: u64 = 2 << 30;
/// How long a daemon may take to stop for it.
const STOP_WAIT: Duration = Duration::from_secs(20);

/// Gives every other one of some daemons a small disk: enough that some can be full, and the others have a real one.
pub(super) async fn give(net: &mut Testnet, world: &World, daemons: &[usize]) -> Result<(), ChaosError> {
    let chosen: Vec<usize> = daemons.iter().copied().filter(|index| index % 2 == 1).collect();
    net.stop(&chosen, STOP_WAIT).await?;
    for &index in &chosen {
        let dir = net.data_dir(index);
        mount(&dir).map_err(|error| ChaosError::Damage { path: dir.clone(), error })?;
        world.state().small_disks.insert(index, dir);
    }
    Ok(net.restart(&chosen).await?)
}

/// Puts the data directories back onto the real disk, so that they can be looked at when the seclusion has ended. Their
/// daemons do not run any more.
pub(super) fn take_back<'a>(dirs: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), ChaosError> {
    for dir in dirs {
        unmount(dir).map_err(|error| ChaosError::Damage { path: dir.clone(), error })?;
    }
    Ok(())
}

fn mount(dir: &Path) -> io::Result<()> {
    let aside = dir.with_extension("aside");
    fs::rename(dir, &aside)?;
    fs::create_dir(dir)?;
    let size = format!("size={BYTES},mode=0700");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", &size, "chaos"]).arg(dir))?;
    copy(&aside, dir)?;
    fs::remove_dir_all(aside)
}

fn unmount(dir: &Path) -> io::Result<()> {
    let aside = dir.with_extension("aside");
    fs::create_dir(&aside)?;
    copy(dir, &aside)?;
    run(Command::new("umount").arg(dir))?;
    fs::remove_dir(dir)?;
    fs::rename(aside, dir)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    // Holes stay holes.
    run(Command::new("cp").args(["-a", "--sparse=always"]).arg(from.join(".")).arg(to))
}

fn run(command: &mut Command) -> io::Result<()> {
    said(command).map(|_| ()).map_err(io::Error::other)
}
