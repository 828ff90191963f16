//! What a daemon's settings are: those of its file, and the flags that win over them.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use chordage_node::{Config, ConfigError};

use super::{DaemonArgs, log};
use crate::error::CliError;
use crate::exit::ExitStatus;

impl DaemonArgs {
    /// The settings file, for a daemon on this data directory.
    pub(crate) fn file(&self, dir: &Path) -> PathBuf {
        self.config.clone().unwrap_or_else(|| dir.join("config.toml"))
    }

    /// Has the flags win over the settings.
    pub(crate) fn apply(self, config: &mut Config) -> Result<(), CliError> {
        if !self.listen.is_empty() {
            config.listen = parse_all("--listen", &self.listen)?;
        }
        if !self.announce.is_empty() {
            config.announce = parse_all("--announce", &self.announce)?;
        }
        if !self.bootstrap.is_empty() {
            config.bootstrap = parse_all("--bootstrap", &self.bootstrap)?;
        }
        if let Some(zone) = self.zone {
            config.zone = Some(parse("--zone", &zone)?);
        }
        if let Some(metric) = self.metric {
            config.metric = parse("--metric", &metric)?;
        }
        config.lan.enabled |= self.lan;
        config.restic.append_only |= self.restic_append_only;
        instead(&mut config.overlay.role, self.role);
        instead(&mut config.network, self.network);
        instead(&mut config.quota_bytes, self.quota);
        instead(&mut config.webdav.volume, self.webdav_volume);
        also(&mut config.api_listen, self.api_listen);
        also(&mut config.dns.listen, self.dns);
        also(&mut config.restic.listen, self.restic);
        also(&mut config.restic.users, self.restic_users);
        also(&mut config.webdav.listen, self.webdav);
        also(&mut config.webdav.users, self.webdav_users);
        also(&mut config.gateway.listen, self.gateway);
        also(&mut config.gateway.users, self.gateway_users);
        Ok(())
    }
}

fn instead<T>(setting: &mut T, flag: Option<T>) {
    if let Some(flag) = flag {
        *setting = flag;
    }
}

fn also<T>(setting: &mut Option<T>, flag: Option<T>) {
    if flag.is_some() {
        *setting = flag;
    }
}

/// The settings of a daemon with these flags, or what is wrong with them.
pub(super) fn settings(args: DaemonArgs, dir: &Path) -> Result<Config, CliError> {
    let path = args.file(dir);
    if args.config.is_some()
        && let Err(error) = std::fs::metadata(&path)
    {
        // The default file may be missing; one that was named may not.
        return Err(CliError::file("read", &path, &error).state("no daemon was started"));
    }
    let mut config = Config::load(&path).map_err(|error| bad_config(&error, None))?;
    args.apply(&mut config)?;
    config.check().map_err(|error| bad_config(&error, Some(&path)))?;
    if let Some((filter, why)) = config.log.as_ref().and_then(|filter| Some((filter, log::problem(filter)?)))
    {
        let message = format!("{}: log cannot be {filter}: {why}", path.display());
        return Err(CliError::new(ExitStatus::Usage, "config", message)
            .state("no daemon was started")
            .hint("write a filter such as log = \"info,chordage_node=debug\""));
    }
    Ok(config)
}

fn parse_all<T: FromStr<Err: Display>>(flag: &str, texts: &[String]) -> Result<Vec<T>, CliError> {
    texts.iter().map(|text| parse(flag, text)).collect()
}

fn parse<T: FromStr<Err: Display>>(flag: &str, text: &str) -> Result<T, CliError> {
    text.parse().map_err(|error| {
        CliError::new(ExitStatus::Usage, "usage", format!("{flag} {text}: {error}"))
            .state("no daemon was started")
            .hint(match flag {
                "--metric" | "--zone" => "chordage daemon --help says what can be given",
                _ => "addresses look like /ip4/192.0.2.7/tcp/4700 or /ip4/192.0.2.7/udp/4700/quic-v1",
            })
    })
}

/// The error for people. `file`: the settings file, which may have what a rule refuses.
pub(super) fn bad_config(error: &ConfigError, file: Option<&Path>) -> CliError {
    let status = match error {
        ConfigError::Read { .. } => ExitStatus::LocalFile,
        ConfigError::Invalid { .. } | ConfigError::Value { .. } | ConfigError::Address { .. } => {
            ExitStatus::Usage
        }
    };
    let there = file.and_then(|path| Some((path, std::fs::read_to_string(path).ok()?)));
    let problems = there.map(|(path, text)| (path, Config::problems(&text))).filter(|(_, problems)| {
        // A flag may have the value that is refused.
        problems.iter().any(|problem| problem.setting.as_deref() == error.setting())
    });
    let error = match problems {
        Some((path, problems)) => {
            CliError::new(status, "config", ConfigError::Invalid { path: path.to_owned(), problems })
        }
        None => CliError::new(status, "config", error),
    };
    error.state("no daemon was started").hint("`chordage config check` shows all that is wrong with a settings file, and `chordage daemon --help` what can stand there")
}
