//! `chordage config`: what is in a settings file, what is wrong with it, and what follows from it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use chordage_api::types::Status;
use chordage_node::{Config, ConfigError, SettingProblem};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use serde::Serialize;
use serde_json::Value;

use super::daemon::{DaemonArgs, log};
use crate::connect::{self, data_dir};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::name::quoted;
use crate::printer::Printer;
use crate::settings;

/// Look at a daemon's settings, or at what is wrong with them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage config check                       the settings file of the data directory
  chordage config check /etc/chordage.toml    before a daemon gets it
  chordage config show --effective            every setting, and where its value comes from
  chordage config show --effective --json | jq '.settings.quota_bytes'")]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Say whether a settings file is valid, or line by line what is wrong and what to write
    ///
    /// The exit code is 0 if a daemon would start with it, and 2 otherwise.
    Check(FileArgs),
    /// Print what a settings file sets; with --effective every setting with its value
    ///
    /// The output is a settings file itself. There is no secret in it.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
struct FileArgs {
    /// The settings file [default: config.toml in the data directory]
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ShowArgs {
    #[command(flatten)]
    file: FileArgs,
    /// Print every setting with its value, and whether that comes from a flag, the file or the defaults. Flags are
    /// those of the daemon that runs on the data directory, unless a FILE is named
    #[arg(long)]
    effective: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: ConfigArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    match args.action {
        Action::Check(args) => check(args, global, printer),
        Action::Show(args) if args.effective => {
            let effective = match &args.file.file {
                Some(file) => Effective::of_file(file)?,
                None => Effective::of_daemon(global).await?,
            };
            effective.print(printer)?;
            Ok(ExitStatus::Success)
        }
        Action::Show(args) => show(args.file, global, printer),
    }
}

/// The file and its text; `None` if it is the one of the data directory, and not there.
fn read(args: FileArgs, global: &GlobalArgs) -> Result<(PathBuf, Option<String>), CliError> {
    let named = args.file.is_some();
    let file = match args.file {
        Some(file) => file,
        None => data_dir(global.data_dir.as_deref())?.join("config.toml"),
    };
    match std::fs::read_to_string(&file) {
        Ok(text) => Ok((file, Some(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !named => Ok((file, None)),
        Err(error) => Err(CliError::file("read", &file, &error)),
    }
}

#[derive(Serialize)]
struct Checked<'a> {
    file: String,
    valid: bool,
    problems: &'a [SettingProblem],
}

fn check(args: FileArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let (file, text) = read(args, global)?;
    let problems = text.as_deref().map(problems).unwrap_or_default();
    let shown = quoted(&file);
    if printer.is_json() {
        let file = file.to_string_lossy().into_owned();
        printer.json(&Checked { file, valid: problems.is_empty(), problems: &problems })?;
    } else if text.is_none() {
        printer.line(format!("{shown}: valid (it is not there: all settings have their defaults)"))?;
    } else if problems.is_empty() {
        printer.line(format!("{shown}: valid"))?;
    } else {
        for problem in &problems {
            printer.line(format!("{shown}: {problem}"))?;
        }
    }
    Ok(if problems.is_empty() { ExitStatus::Success } else { ExitStatus::Usage })
}

fn show(args: FileArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let (file, text) = read(args, global)?;
    let text = text.unwrap_or_default();
    refuse_problems(&file, &text)?;
    let table: toml::Table = toml::from_str(&text).map_err(|error| unreadable(&error))?;
    if printer.is_json() {
        printer.json(&table)?;
    } else {
        printer.raw(toml::to_string(&table).map_err(|error| unreadable(&error))?.as_bytes())?;
        if table.is_empty() {
            printer.tell(format!("{} sets nothing: all settings have their defaults", quoted(&file)));
        }
    }
    Ok(ExitStatus::Success)
}

/// What is wrong with a file: the daemon's rules, and whether the filter for its log is one.
fn problems(text: &str) -> Vec<SettingProblem> {
    let mut problems = Config::problems(text);
    let filter = toml::from_str::<Config>(text).ok().and_then(|config| config.log);
    if let Some((filter, why)) = filter.and_then(|filter| Some((filter.clone(), log::problem(&filter)?))) {
        let message = format!("log cannot be {filter}: {why}");
        let remedy = Some("write a filter such as \"info,chordage_node=debug\"".to_owned());
        problems.push(SettingProblem { line: None, setting: Some("log".to_owned()), message, remedy });
    }
    problems
}

fn refuse_problems(file: &Path, text: &str) -> Result<(), CliError> {
    let problems = problems(text);
    if problems.is_empty() {
        return Ok(());
    }
    let error = ConfigError::Invalid { path: file.to_owned(), problems };
    Err(CliError::new(ExitStatus::Usage, "config", error)
        .hint("`chordage config check` has a line for each problem"))
}

fn unreadable(error: &dyn std::error::Error) -> CliError {
    CliError::new(ExitStatus::Internal, "internal", error)
}

/// Where a setting has its value from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Source {
    Default,
    File,
    Flag,
}

/// Every setting with its value, and where that comes from.
#[derive(Debug)]
pub(crate) struct Effective {
    file: PathBuf,
    /// The process that runs with them; `None` where none does.
    daemon: Option<u32>,
    /// What makes them uncertain.
    warning: Option<&'static str>,
    /// Every setting as JSON, in its table.
    pub(crate) values: Value,
    /// By their full names; what is not here has its default.
    sources: BTreeMap<String, Source>,
}

#[derive(Serialize)]
struct Setting<'a> {
    value: &'a Value,
    source: Source,
}

impl Effective {
    /// What a daemon has that gets this file and no flags.
    fn of_file(file: &Path) -> Result<Self, CliError> {
        let text = std::fs::read_to_string(file).map_err(|error| CliError::file("read", file, &error))?;
        Effective::new(file.to_owned(), &text, None)
    }

    /// What the daemon of the data directory has, or if there is none, one that is started without flags.
    pub(crate) async fn of_daemon(global: &GlobalArgs) -> Result<Self, CliError> {
        let dir = data_dir(global.data_dir.as_deref())?;
        let here = GlobalArgs { data_dir: Some(dir.clone()), ..GlobalArgs::default() };
        let status = match connect::client(&here) {
            Ok(client) => client.status().await.ok(),
            Err(_) => None,
        };
        let begun = status.as_ref().map(|status| (status, Begun::of(status.identity.pid)));
        let file = match &begun {
            Some((_, Some(begun))) => begun.file(&dir),
            _ => dir.join("config.toml"),
        };
        let text = match std::fs::read_to_string(&file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(CliError::file("read", &file, &error)),
        };
        let Some((status, begun)) = begun else { return Effective::new(file, &text, None) };
        let known = begun.is_some();
        let mut effective = Effective::new(file, &text, begun)?;
        effective.daemon = Some(status.identity.pid);
        if !known {
            effective.warning =
                Some("the flags of the daemon that runs cannot be seen from here, and are left out");
        } else if changed_since(&effective.file, status) {
            effective.warning =
                Some("the file was changed after the daemon had started, which may not have taken it over");
        }
        Ok(effective)
    }

    fn new(file: PathBuf, text: &str, begun: Option<Begun>) -> Result<Self, CliError> {
        refuse_problems(&file, text)?;
        let mut config: Config = toml::from_str(text).map_err(|error| unreadable(&error))?;
        let table: toml::Table = toml::from_str(text).map_err(|error| unreadable(&error))?;
        let mut sources = BTreeMap::new();
        for (key, value) in &table {
            match value {
                toml::Value::Table(inside) => {
                    sources.extend(inside.keys().map(|inner| (format!("{key}.{inner}"), Source::File)));
                }
                _ => drop(sources.insert(key.clone(), Source::File)),
            }
        }
        if let Some(begun) = begun {
            sources.extend(begun.given.into_iter().map(|name| (name.to_owned(), Source::Flag)));
            begun.args.apply(&mut config)?;
        }
        let values = serde_json::to_value(&config).map_err(|error| unreadable(&error))?;
        Ok(Effective { file, daemon: None, warning: None, values, sources })
    }

    fn source(&self, name: &str) -> Source {
        self.sources.get(name).copied().unwrap_or(Source::Default)
    }

    /// As a settings file with comments.
    fn text(&self) -> String {
        let of = match self.daemon {
            Some(pid) => format!("The settings of the daemon that runs as process {pid}"),
            None => "The settings of a daemon that is started without flags; none runs".to_owned(),
        };
        let mut text = format!("# {of}. Its file: {}", quoted(&self.file));
        if let Some(warning) = self.warning {
            text.push_str(&format!("\n# Beware: {warning}."));
        }
        settings::rows(&mut text, &self.values, "", |name| match self.source(name) {
            Source::Default if name.contains("debug_") => None,
            Source::Default => Some(vec!["default".to_owned()]),
            Source::File => Some(vec!["file".to_owned()]),
            Source::Flag => Some(vec![format!("flag {}", settings::flag(name).unwrap_or_default())]),
        });
        text
    }

    /// As JSON: by the full names of the settings.
    pub(crate) fn json(&self) -> Value {
        let named = settings::by_name(&self.values).into_iter().map(|(name, value)| {
            let setting = Setting { value, source: self.source(&name) };
            (name, serde_json::to_value(setting).unwrap_or_default())
        });
        let settings: serde_json::Map<_, _> = named.collect();
        serde_json::json!({
            "file": self.file.to_string_lossy(),
            "daemon_pid": self.daemon,
            "warning": self.warning,
            "settings": settings,
        })
    }

    fn print(&self, printer: &Printer) -> Result<(), CliError> {
        if printer.is_json() { printer.json(&self.json()) } else { printer.line(self.text()) }
    }
}

/// The command line of a daemon.
#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    _global: GlobalArgs,
    #[command(subcommand)]
    command: Started,
}

/// What of this program runs.
#[derive(Debug, Subcommand)]
enum Started {
    Daemon(Box<DaemonArgs>),
}

/// How a process that is a daemon was started.
struct Begun {
    args: Box<DaemonArgs>,
    /// The settings for which there was a flag.
    given: Vec<&'static str>,
    working_dir: PathBuf,
}

impl Begun {
    /// Known where the system shows the arguments of processes, to the user of the daemon.
    fn of(pid: u32) -> Option<Self> {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let words = line.strip_suffix(b"\0")?.split(|byte| *byte == 0);
        let words: Vec<OsString> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
        let matches = Line::command().try_get_matches_from(words).ok()?;
        let (_, daemon) = matches.subcommand().filter(|(name, _)| *name == "daemon")?;
        let given = settings::given_by_flags(daemon);
        let Started::Daemon(args) = Line::from_arg_matches(&matches).ok()?.command;
        let working_dir = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
        Some(Begun { args, given, working_dir })
    }

    fn file(&self, dir: &Path) -> PathBuf {
        // An absolute path replaces what it is joined to.
        self.working_dir.join(self.args.file(dir))
    }
}

/// Whether the file is younger than the daemon.
fn changed_since(file: &Path, status: &Status) -> bool {
    let age =
        std::fs::metadata(file).and_then(|found| found.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_some_and(|age| age.as_secs_f64() < status.membership.uptime_seconds)
}
