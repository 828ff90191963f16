//! What can stand in a daemon's settings file, for `daemon --help`.

use std::collections::BTreeMap;
use std::fmt::Write;

use chordage_node::Config;
use clap::ArgMatches;
use clap::parser::ValueSource;
use serde_json::Value;

use crate::human;

/// Settings that have a flag, by their names in the file.
const FLAGS: [(&str, &str); 19] = [
    ("listen", "--listen"),
    ("announce", "--announce"),
    ("bootstrap", "--bootstrap"),
    ("overlay.role", "--role"),
    ("zone", "--zone"),
    ("network", "--network"),
    ("metric", "--metric"),
    ("quota_bytes", "--quota"),
    ("api_listen", "--api-listen"),
    ("dns.listen", "--dns"),
    ("lan.enabled", "--lan"),
    ("restic.listen", "--restic"),
    ("restic.users", "--restic-users"),
    ("restic.append_only", "--restic-append-only"),
    ("webdav.listen", "--webdav"),
    ("webdav.users", "--webdav-users"),
    ("webdav.volume", "--webdav-volume"),
    ("gateway.listen", "--gateway"),
    ("gateway.users", "--gateway-users"),
];
/// What a setting is where its default does not say so.
const MEANT: [(&str, &str); 3] = [
    ("listen", "loopback; all of IPv4 with --lan"),
    ("log", "a filter such as info; CHORDAGE_LOG wins"),
    ("log_format", "text, or json for programs"),
];

/// Every setting with its default, as it stands in the file. Made from the defaults themselves, so that none is
/// missing; those for tests and experiments are left out.
pub(crate) fn listed() -> String {
    let mut text = String::from(
        "Settings file: config.toml in the data directory (see --data-dir), or what --config names. Flags win over it.\n\
         All that can stand there, with defaults. Units are in the names; what a row begins with # is not set:\n",
    );
    let defaults = serde_json::to_value(Config::default()).unwrap_or_default();
    rows(&mut text, &defaults, "  ", |name| {
        let flag = || flag(name).map(str::to_owned);
        (!name.starts_with("debug_"))
            .then(|| meant(name).map(str::to_owned).into_iter().chain(flag()).collect())
    });
    text
}

/// Every setting by its full name, such as `repair.enabled`.
pub(crate) fn by_name(settings: &Value) -> BTreeMap<String, &Value> {
    let mut all = BTreeMap::new();
    for (key, value) in settings.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(inside) => {
                all.extend(inside.iter().map(|(inner, value)| (format!("{key}.{inner}"), value)));
            }
            None => drop(all.insert(key.clone(), value)),
        }
    }
    all
}

/// The flag for a setting, if there is one.
pub(crate) fn flag(name: &str) -> Option<&'static str> {
    FLAGS.iter().find(|(setting, _)| *setting == name).map(|(_, flag)| *flag)
}

/// The settings for which there is a flag on this command line of `daemon`.
pub(crate) fn given_by_flags(daemon: &ArgMatches) -> Vec<&'static str> {
    let is_given = |flag: &str| {
        let id = flag.trim_start_matches('-').replace('-', "_");
        daemon.value_source(&id) == Some(ValueSource::CommandLine)
    };
    FLAGS.iter().filter(|(_, flag)| is_given(flag)).map(|(setting, _)| *setting).collect()
}

fn meant(name: &str) -> Option<&'static str> {
    MEANT.iter().find(|(setting, _)| *setting == name).map(|(_, meant)| *meant)
}

/// Appends settings as they stand in the file. `notes` says by its full name what is said of a setting, or that it is
/// left out.
pub(crate) fn rows(
    text: &mut String,
    settings: &Value,
    indent: &str,
    notes: impl Fn(&str) -> Option<Vec<String>>,
) {
    let all: Vec<_> = settings.as_object().into_iter().flatten().collect();
    let (tables, plain): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, value)| value.is_object());
    for (key, value) in plain {
        row(text, indent, key, value, key, &notes);
    }
    for (table, settings) in tables {
        let _ = write!(text, "\n{indent}[{table}]");
        for (key, value) in settings.as_object().into_iter().flatten() {
            row(text, indent, key, value, &format!("{table}.{key}"), &notes);
        }
    }
}

fn row(
    text: &mut String,
    indent: &str,
    key: &str,
    value: &Value,
    full: &str,
    notes: &impl Fn(&str) -> Option<Vec<String>>,
) {
    let Some(notes) = notes(full) else { return };
    let setting = if value.is_null() { format!("# {key} =") } else { format!("{key} = {value}") };
    let number = value.as_u64().filter(|number| *number > 0);
    let readable = match number {
        Some(count) if full.ends_with("_bytes") => Some(human::bytes(count)),
        Some(count) if full.contains("bytes_per_second") => Some(format!("{}/s", human::bytes(count))),
        Some(count) if full.ends_with("_seconds") && count >= 60 => Some(human::seconds(count as f64)),
        _ => None,
    };
    let notes: Vec<String> = readable.into_iter().chain(notes).collect();
    let _ = match notes.as_slice() {
        [] => write!(text, "\n{indent}{setting}"),
        notes => write!(text, "\n{indent}{setting:<40} # {}", notes.join(", ")),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_list_is_a_settings_file_with_the_defaults() {
        let text = listed();
        let file: String =
            text.lines().skip_while(|line| !line.is_empty()).map(|line| format!("{line}\n")).collect();
        assert_eq!(toml::from_str::<Config>(&file).unwrap(), Config::default(), "{file}");
        for words in [
            "quota_bytes = 107374182400",
            "# 100 GiB, --quota",
            "# zone =",
            "[repair]",
            "lost_seconds = 86400",
        ] {
            assert!(file.contains(words), "{words} in {file}");
        }
    }

    #[test]
    fn flags_stand_beside_their_settings() {
        let command = Cli::described();
        let daemon = command.find_subcommand("daemon").unwrap();
        for (name, flag) in FLAGS {
            assert!(daemon.get_arguments().any(|arg| arg.get_long() == flag.strip_prefix("--")), "{flag}");
            let key = name.rsplit('.').next().unwrap();
            assert!(listed().lines().any(|line| line.contains(key) && line.ends_with(flag)), "{name}");
        }
        assert!(daemon.get_after_long_help().unwrap().to_string().contains("quota_bytes"));
    }
}
