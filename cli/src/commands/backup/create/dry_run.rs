//! What would be backed up.

use std::io::{self, Write};
use std::sync::PoisonError;

use chordage_api::types::PutQuery;
use chordage_node::archive::Detail;
use serde::Serialize;

use super::super::Context;
use super::{Sources, source_error};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::human;
use crate::interrupt::Interrupt;
use crate::sending::{DaemonMemory, Teller};
use crate::tree::pack::{PackError, Packed, pack_paths};

/// With `--json`.
#[derive(Serialize)]
struct Plan {
    dry_run: bool,
    /// Regular files, each once however many names it has.
    files: u64,
    dirs: u64,
    /// Symbolic links, pipes and devices.
    others: u64,
    /// Content of files, without holes.
    bytes: u64,
    /// What would be sent to the daemon, which has a part of it perhaps: content of files that have changed, and
    /// metadata of all.
    read_bytes: u64,
    unchanged_files: u64,
    excluded: u64,
    unreadable: u64,
    unreadable_paths: Vec<String>,
}

/// Takes everything and counts it.
struct Counter(u64);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads everything and stores nothing.
pub(super) async fn run(
    sources: Sources,
    query: PutQuery,
    context: &Context<'_>,
    interrupt: &mut Interrupt,
) -> Result<ExitStatus, CliError> {
    let Context { client, printer, .. } = context;
    let progress = printer.progress("reading", sources.size);
    let teller = Teller::new(printer, progress.clone());
    let left_out = teller.left_out.clone();
    let mut memory = DaemonMemory::new(client, &query);
    let Sources { paths, selection, .. } = sources;
    let reading = tokio::task::spawn_blocking(move || {
        let mut counter = Counter(0);
        let packed = pack_paths(&paths, &selection, Detail::Full, &mut counter, &teller, &mut memory)?;
        Ok::<(Packed, u64), PackError>((packed, counter.0))
    });
    let read = tokio::select! {
        read = reading => read.map_err(|error| CliError::new(ExitStatus::Internal, "internal", error)),
        () = interrupt.wait() => Err(CliError::interrupted("nothing was backed up: this was a dry run")),
    };
    progress.clear();
    let (packed, read_bytes) = read?.map_err(|error| source_error(&error).state("nothing was backed up"))?;
    let left_out = std::mem::take(&mut *left_out.lock().unwrap_or_else(PoisonError::into_inner));
    let complete = left_out.unreadable == 0 && left_out.without_attributes == 0;
    let plan = Plan {
        dry_run: true,
        files: packed.files,
        dirs: packed.dirs,
        others: packed.symlinks + packed.fifos + packed.devices,
        bytes: packed.bytes,
        read_bytes,
        unchanged_files: packed.unchanged,
        excluded: left_out.excluded,
        unreadable: left_out.unreadable,
        unreadable_paths: left_out.named.iter().map(|path| path.to_string_lossy().into_owned()).collect(),
    };
    if printer.is_json() {
        printer.json(&plan)?;
    } else {
        printer.line(format!(
            "would back up {} in {} and {}; {} unchanged; {} would go to the daemon",
            human::bytes(plan.bytes),
            human::count(plan.files, "file", "files"),
            human::count(plan.dirs, "directory", "directories"),
            human::count(plan.unchanged_files, "file is", "files are"),
            human::bytes(plan.read_bytes)
        ))?;
        left_out.describe().into_iter().for_each(|line| printer.warn(line));
        printer.tell("nothing was backed up: this was a dry run");
    }
    Ok(if complete { ExitStatus::Success } else { ExitStatus::IncompleteSnapshot })
}
