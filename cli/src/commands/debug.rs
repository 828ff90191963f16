//! `chordage debug`: what to show somebody who is to find out why a daemon does not do what it should.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use chordage_api::client::Client;
use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::{Value, json};

use super::config::Effective;
use crate::bundle::{Scrubber, facts};
use crate::connect::{self, data_dir};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::name::quoted;
use crate::printer::Printer;

/// How much of the end of a log is taken.
const LOG_BYTES: u64 = 1 << 20;
/// What is never in a bundle.
const LEFT_OUT: &str =
    "keys, tokens, links, phrases, names of files, petnames, the names of the network and of zones";
/// What is not in one unless it is asked for.
const ADDRESSES: &str = "addresses (each is a word such as ip4-1 instead; --with-addresses has them)";

/// Gather what is needed to find out why a daemon does not do what it should
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage debug bundle                                  a file in this directory, to be attached to a report
  chordage debug bundle -o bundle.tar.zst --log daemon.log
  tar --zstd -xOf bundle.tar.zst chordage-debug/status.json | jq .")]
pub(crate) struct DebugArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Write a file with the daemon's status, members, peers, checks, counters and settings, and what the system gives
    /// it
    ///
    /// No keys, tokens, links, names or phrases are in it, and addresses only if that is wanted. It says what is in it.
    /// Without a daemon that answers it has the rest.
    Bundle(BundleArgs),
}

#[derive(Debug, Args)]
struct BundleArgs {
    /// The file to write, which must not be there [default: chordage-debug-TIME.tar.zst]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take the last mebibyte of this log, with names and addresses replaced as far as they can be told; look through
    /// it before others see it
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Leave addresses as they are: those of this daemon and of others
    #[arg(long)]
    with_addresses: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: DebugArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let Action::Bundle(args) = args.action;
    let log = args.log.as_deref().map(end_of).transpose()?;
    let mut bundle = Bundle::new(args.with_addresses);
    let mut pid = None;
    match gather(&mut bundle, global).await {
        Ok(found) => pid = Some(found),
        Err(error) => {
            printer.warn(format!(
                "no daemon answers, so that only what can be known without it is there: {}",
                error.message
            ));
            bundle.text("daemon.txt", &error.message);
        }
    }
    match Effective::of_daemon(global).await {
        Ok(effective) => {
            for name in ["network", "zone"] {
                bundle.scrubber.hide(effective.values[name].as_str().unwrap_or_default());
            }
            bundle.json("settings.json", effective.json());
        }
        Err(error) => bundle.text("settings.txt", &error.message),
    }
    bundle.json("system.json", facts(&data_dir(global.data_dir.as_deref())?, pid));
    bundle.json("version.json", json!({ "command": env!("CARGO_PKG_VERSION") }));
    if let Some(log) = log {
        bundle.text("log.txt", &log);
    }
    let file = args.output.unwrap_or_else(|| {
        let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
        PathBuf::from(format!("chordage-debug-{now}.tar.zst"))
    });
    let left_out = match args.with_addresses {
        true => LEFT_OUT.to_owned(),
        false => format!("{LEFT_OUT}; {ADDRESSES}"),
    };
    bundle.text_as_it_is("LEFT_OUT.txt", format!("Left out: {left_out}.\n"));
    write_new(&file, &bundle.files)
        .map_err(|error| CliError::file("write", &file, &error).state("no bundle was made"))?;
    tell(&file, &bundle, &left_out, printer)
}

#[derive(Serialize)]
struct Told<'a> {
    file: String,
    files: Vec<(&'a str, usize)>,
    left_out: &'a str,
}

fn tell(file: &Path, bundle: &Bundle, left_out: &str, printer: &Printer) -> Result<ExitStatus, CliError> {
    let files: Vec<_> = bundle.files.iter().map(|(name, content)| (*name, content.len())).collect();
    if printer.is_json() {
        printer.json(&Told { file: file.to_string_lossy().into_owned(), files, left_out })?;
        return Ok(ExitStatus::Success);
    }
    for (name, bytes) in files {
        printer.line(format!("{name:<14}  {}", human::bytes(bytes as u64)))?;
    }
    printer.tell(format!("all of it is in {}", quoted(file)));
    printer.tell(format!("left out: {left_out}"));
    Ok(ExitStatus::Success)
}

/// What is to be written, scrubbed.
struct Bundle {
    scrubber: Scrubber,
    files: Vec<(&'static str, String)>,
}

impl Bundle {
    fn new(with_addresses: bool) -> Self {
        Bundle { scrubber: Scrubber::new(with_addresses), files: Vec::new() }
    }

    fn json(&mut self, name: &'static str, mut value: Value) {
        self.scrubber.value(&mut value);
        self.files.push((name, format!("{value:#}\n")));
    }

    fn text(&mut self, name: &'static str, text: &str) {
        let text = self.scrubber.text(text);
        self.text_as_it_is(name, text);
    }

    fn text_as_it_is(&mut self, name: &'static str, text: String) {
        self.files.push((name, text));
    }
}

/// What the daemon says, and its process. What it does not answer is left out, as long as it answers the first
/// question.
async fn gather(bundle: &mut Bundle, global: &GlobalArgs) -> Result<u32, CliError> {
    let client = connect::client(global)?;
    let status = client.status().await?;
    bundle.scrubber.know(status.identity.id.to_string());
    bundle.scrubber.know(status.identity.peer_id.clone());
    // Before anything is written: what is a name is to be known everywhere.
    let (members, peers) = (client.members().await, client.peers().await);
    for member in members.iter().flatten() {
        bundle.scrubber.know(member.id.to_string());
        bundle.scrubber.know(member.peer_id.clone());
        member.zone.iter().for_each(|zone| bundle.scrubber.hide(zone));
    }
    for peer in peers.iter().flatten() {
        bundle.scrubber.know(peer.id.to_string());
        bundle.scrubber.know(peer.peer_id.clone());
    }
    hide_names(&mut bundle.scrubber, &client).await?;
    bundle.json("status.json", value(&status));
    for (name, answer) in [
        ("members.json", members.map(|members| value(&members))),
        ("peers.json", peers.map(|peers| value(&peers))),
        ("doctor.json", client.diagnosis().await.map(|diagnosis| value(&diagnosis))),
    ] {
        let answer = answer.unwrap_or_else(|error| json!({ "no_answer": error.to_string() }));
        bundle.json(name, answer);
    }
    if let Ok((_, metrics)) = client.metrics(None).await {
        let metrics = bundle.scrubber.unquoted(&String::from_utf8_lossy(&metrics));
        bundle.text_as_it_is("metrics.txt", metrics);
    }
    Ok(status.identity.pid)
}

fn value<T: Serialize>(value: &T) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

/// Names that the user chose. A daemon that does not tell them all may say them elsewhere, so that nothing is made of
/// it then.
async fn hide_names(scrubber: &mut Scrubber, client: &Client) -> Result<(), CliError> {
    scrubber.hide(&client.network().await?.network);
    for name in client.names().await? {
        scrubber.hide(&name.petname);
    }
    for volume in client.volumes().await? {
        scrubber.hide(&volume.petname);
    }
    for service in client.services().await? {
        scrubber.hide(&service.name);
    }
    let mut after = None;
    loop {
        let kept = client.keeps(after.as_deref()).await?;
        kept.iter().flat_map(|object| &object.names).for_each(|name| scrubber.hide(name));
        match kept.last() {
            Some(last) => after = Some(last.verify_link.clone()),
            None => return Ok(()),
        }
    }
}

/// The end of a log, from the beginning of a line.
fn end_of(path: &Path) -> Result<String, CliError> {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES)))?;
        let mut bytes = Vec::new();
        file.take(LOG_BYTES).read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(match text.split_once('\n') {
            Some((_, rest)) if length > LOG_BYTES => rest.to_owned(),
            _ => text,
        })
    };
    read().map_err(|error| CliError::file("read", path, &error).state("no bundle was made"))
}

/// A new archive, for the user alone.
fn write_new(path: &Path, files: &[(&str, String)]) -> io::Result<()> {
    let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
    let written = write_archive(file, files);
    if written.is_err() {
        // Half of one is of no use to anybody.
        let _ = std::fs::remove_file(path);
    }
    written
}

fn write_archive(file: File, files: &[(&str, String)]) -> io::Result<()> {
    let mut archive = tar::Builder::new(zstd::Encoder::new(file, 0)?);
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o600);
        archive.append_data(&mut header, format!("chordage-debug/{name}"), content.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}
