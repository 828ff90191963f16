//! restic with a repository in a local directory: one machine, no network, no redundancy.

use std::path::Path;
use std::process::Command;

use crate::Failure;
use crate::meter::{Step, disk_use, expect_same, timed};
use crate::options::{Job, Peer};
use crate::workload::{Workload, bytes_of};

const SYSTEM: &str = "restic";

/// Runs one job with a new repository in `dir`, which is removed afterwards.
pub(crate) fn run(job: Job, work: &Workload, dir: &Path) -> Result<Vec<Step>, Failure> {
    std::fs::create_dir(dir)?;
    let restic = Restic { dir };
    timed(&mut restic.command("init"))?;
    let mut steps = Vec::new();
    let object = if job == Job::W1 { &work.w1 } else { &work.w2 };
    let job = job.name();
    let mut backup = |step, object: &Path| -> Result<(), Failure> {
        let cost = timed(restic.command("backup").arg(object))?;
        let stored = disk_use(&dir.join("repository")) as f64;
        steps
            .push(Step::new(SYSTEM, job, step, bytes_of(object)).with_cost(&cost).with("disk_bytes", stored));
        Ok(())
    };
    backup("put", object)?;
    backup("put again", object)?;
    if job == Job::W2.name() {
        backup("put changed", &work.w3)?;
    }
    let out = dir.join("out");
    let cost =
        timed(restic.command("restore").arg("latest").arg("--path").arg(object).arg("--target").arg(&out))?;
    // It restores whole paths.
    expect_same(object, &out.join(object.strip_prefix("/").unwrap_or(object)))?;
    steps.push(Step::new(SYSTEM, job, "get", bytes_of(object)).with_cost(&cost));
    std::fs::remove_dir_all(dir)?;
    Ok(steps)
}

struct Restic<'a> {
    dir: &'a Path,
}

impl Restic<'_> {
    fn command(&self, action: &str) -> Command {
        let mut command = Command::new(Peer::Restic.program());
        command
            .env("RESTIC_PASSWORD", "benchmark")
            .arg("--repo")
            .arg(self.dir.join("repository"))
            .arg("--cache-dir")
            .arg(self.dir.join("cache"))
            .args(["--quiet", action]);
        command
    }
}
