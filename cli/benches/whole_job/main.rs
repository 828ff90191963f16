//! The main job as a user runs it: real daemons, the `chordage` program, files on disk; peers beside it on request.
//!
//! ```text
//! cargo bench -p chordage-cli --bench whole_job -- [--nodes 10] [--redundancy 4/6] [--runs 3] [--kill 2] [--jobs w1,w2]
//!     [--mib 256 | --path FILE-OR-DIRECTORY | --work DIRECTORY] [--against tahoe,restic] [--program CHORDAGE] [--json]
//! ```
//!
//! Every run starts a network of its own for each job. Job `w1` puts one object (`--mib` MiB of random bytes, or what
//! `--path` names), puts it again, gets it, kills `--kill` daemons and gets it once more. Job `w2` puts a tree of 5,000
//! files, puts it again, puts it with 2 % of the files changed, and gets the first one. The workloads are generated
//! from a seed, or taken from a directory with `w1.bin`, `w2` and `w3`. Job `range` reads 100 bytes from the middle of
//! an object, and job `stall` reads while one holder after the other stands still; they run only when named.
//!
//! Peers do the same jobs in the same run, where they can: restic with a repository in a local directory, Tahoe-LAFS
//! (`w1` only: its trees take minutes) with a grid of as many storage nodes and the same code. `TAHOE` and `RESTIC`
//! name their programs where they are not on the path.
//!
//! Printed are medians: seconds of wall time, MB/s of user data, CPU seconds per GiB of client and servers, peak
//! resident sets, bytes on disk and on the wire, and syncs of the stores. Then the ceiling: what this machine could
//! do if hashing, cutting, sealing, coding, the wire and the disk, each measured alone in the same run, were all there
//! is. Times on a shared machine drift: compare figures of one run only.

mod ceiling;
mod meter;
mod options;
mod ours;
mod report;
mod restic;
mod stages;
mod tahoe;
mod wire;
mod workload;

use std::process::ExitCode;

use options::{Job, Options, Peer};
use workload::Workload;

/// Why the benchmark ended early.
pub(crate) type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: {error}");
            return ExitCode::FAILURE;
        }
    };
    match Options::read().and_then(|options| runtime.block_on(run(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> Result<(), Failure> {
    let scratch = match &options.scratch {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let work = Workload::prepare(options, scratch.path())?;
    let mut measured = Vec::new();
    let mut peers = Vec::new();
    for peer in &options.against {
        match peer.installed() {
            Ok(()) => peers.push(*peer),
            Err(why) => eprintln!("{} is left out: {why}", peer.name()),
        }
    }
    let stages = if options.ceiling { Some(stages::measure(options, scratch.path())?) } else { None };
    let mut grid = None;
    for number in 0..options.runs {
        for job in &options.jobs {
            let dir = scratch.path().join(format!("run-{number}"));
            measured.extend(ours::run(options, *job, &work, &dir).await?);
            std::fs::remove_dir_all(&dir)?;
            for peer in &peers {
                match (peer, job) {
                    (Peer::Restic, Job::W1 | Job::W2) => {
                        measured.extend(restic::run(*job, &work, &scratch.path().join("restic"))?);
                    }
                    (Peer::Tahoe, Job::W1) => {
                        if grid.is_none() {
                            grid = Some(tahoe::Grid::create(options, &scratch.path().join("tahoe"))?);
                        }
                        if let Some(grid) = &mut grid {
                            measured.extend(grid.run(options, &work).await?);
                        }
                    }
                    _ => {}
                }
            }
            if !options.json {
                eprintln!("run {} of {}, job {} done", number + 1, options.runs, job.name());
            }
        }
    }
    report::print(options, &measured, stages.as_ref());
    Ok(())
}
