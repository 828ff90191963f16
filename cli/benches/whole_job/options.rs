//! What to measure.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::Failure;

/// The command line.
pub(crate) struct Options {
    pub(crate) nodes: usize,
    pub(crate) redundancy: String,
    pub(crate) mib: u64,
    pub(crate) runs: usize,
    pub(crate) kill: usize,
    pub(crate) jobs: Vec<Job>,
    pub(crate) path: Option<PathBuf>,
    pub(crate) work: Option<PathBuf>,
    pub(crate) scratch: Option<PathBuf>,
    pub(crate) program: PathBuf,
    pub(crate) against: Vec<Peer>,
    pub(crate) ceiling: bool,
    pub(crate) json: bool,
}

/// One story on a network of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Job {
    /// One large object.
    W1,
    /// A tree of small files.
    W2,
    /// A few bytes out of the middle of one large object.
    Range,
    /// One large object while holders stand still.
    Stall,
}

/// Another program that does the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    Tahoe,
    Restic,
}

impl Job {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Job::W1 => "w1",
            Job::W2 => "w2",
            Job::Range => "range",
            Job::Stall => "stall",
        }
    }
}

impl Peer {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Peer::Tahoe => "tahoe",
            Peer::Restic => "restic",
        }
    }

    pub(crate) fn program(self) -> PathBuf {
        let variable = self.name().to_uppercase();
        std::env::var_os(variable).map_or_else(|| self.name().into(), PathBuf::from)
    }

    /// Why it cannot be run, if it cannot.
    pub(crate) fn installed(self) -> Result<(), String> {
        let program = self.program();
        let mut command = Command::new(&program);
        command.arg(if self == Peer::Tahoe { "--version" } else { "version" });
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(format!("{} ends with {status}", program.display())),
            Err(error) => Err(format!(
                "{} is not installed ({error}); install it or set {}",
                program.display(),
                self.name().to_uppercase()
            )),
        }
    }
}

impl Options {
    pub(crate) fn read() -> Result<Self, Failure> {
        let mut options = Options {
            nodes: 10,
            redundancy: "4/6".into(),
            mib: 256,
            runs: 3,
            kill: 2,
            jobs: Vec::new(),
            path: None,
            work: None,
            scratch: None,
            program: env!("CARGO_BIN_EXE_chordage").into(),
            against: Vec::new(),
            ceiling: true,
            json: false,
        };
        let mut args = std::env::args().skip(1);
        while let Some(name) = args.next() {
            match name.as_str() {
                "--bench" => continue, // cargo adds it
                "--json" => {
                    options.json = true;
                    continue;
                }
                "--no-ceiling" => {
                    options.ceiling = false;
                    continue;
                }
                _ => {}
            }
            let value = args.next().ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--nodes" => options.nodes = value.parse()?,
                "--redundancy" => options.redundancy = value,
                "--mib" => options.mib = value.parse()?,
                "--runs" => options.runs = value.parse::<usize>()?.max(1),
                "--kill" => options.kill = value.parse()?,
                "--path" => options.path = Some(value.into()),
                "--work" => options.work = Some(value.into()),
                "--scratch" => options.scratch = Some(value.into()),
                "--program" => options.program = value.into(),
                "--jobs" => options.jobs = value.split(',').map(job).collect::<Result<_, _>>()?,
                "--against" => options.against = value.split(',').map(peer).collect::<Result<_, _>>()?,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        if options.jobs.is_empty() {
            options.jobs = if options.path.is_some() { vec![Job::W1] } else { vec![Job::W1, Job::W2] };
        }
        Ok(options)
    }

    /// k and n of the code.
    pub(crate) fn code(&self) -> Result<(usize, usize), Failure> {
        let (k, n) = self.redundancy.split_once('/').ok_or("--redundancy is K/N")?;
        Ok((k.parse()?, n.parse()?))
    }
}

fn job(name: &str) -> Result<Job, String> {
    [Job::W1, Job::W2, Job::Range, Job::Stall]
        .into_iter()
        .find(|job| job.name() == name)
        .ok_or_else(|| format!("there is no job {name}: w1, w2, range, stall"))
}

fn peer(name: &str) -> Result<Peer, String> {
    [Peer::Tahoe, Peer::Restic]
        .into_iter()
        .find(|peer| peer.name() == name)
        .ok_or_else(|| format!("there is no peer {name}: tahoe, restic"))
}
