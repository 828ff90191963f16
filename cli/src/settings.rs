//! What can stand in a daemon's settings file, for `daemon --help`.

use std::fmt::Write;

use chordage_node::Config;
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
const MEANT: [(&str, &str); 1] = [("listen", "loopback; all of IPv4 with --lan")];

/// Every setting with its default, as it stands in the file. Made from the defaults themselves, so that none is missing; those
/// for tests and experiments are left out.
pub(crate) fn listed() -> String {
    let mut text = String::from(
        "Settings file: config.toml in the data directory (see --data-dir), or what --config names. Flags win over it.\n\
         All that can stand there, with defaults. Units are in the names; what a row begins with # is not set:\n",
    );
    let Ok(Value::Object(settings)) = serde_json::to_value(Config::default()) else { return text };
    let (tables, plain): (Vec<_>, Vec<_>) = settings.iter().partition(|(_, value)| value.is_object());
    for (key, value) in plain.into_iter().filter(|(key, _)| !key.starts_with("debug_")) {
        row(&mut text, key, key, value);
    }
    for (table, settings) in tables {
        let _ = write!(text, "\n  [{table}]");
        for (key, value) in settings.as_object().into_iter().flatten() {
            row(&mut text, &format!("{table}.{key}"), key, value);
        }
    }
    text
}

fn row(text: &mut String, full: &str, key: &str, value: &Value) {
    let setting = if value.is_null() { format!("# {key} =") } else { format!("{key} = {value}") };
    let number = value.as_u64().filter(|number| *number > 0);
    let readable = match number {
        Some(count) if full.ends_with("_bytes") => Some(human::bytes(count)),
        Some(count) if full.contains("bytes_per_second") => Some(format!("{}/s", human::bytes(count))),
        Some(count) if full.ends_with("_seconds") && count >= 60 => Some(human::seconds(count as f64)),
        _ => None,
    };
    let flag = FLAGS.iter().find(|(name, _)| *name == full).map(|(_, flag)| (*flag).to_owned());
    let meant = MEANT.iter().find(|(name, _)| *name == full).map(|(_, meant)| (*meant).to_owned());
    let notes: Vec<String> = readable.into_iter().chain(meant).chain(flag).collect();
    let _ = match notes.as_slice() {
        [] => write!(text, "\n  {setting}"),
        notes => write!(text, "\n  {setting:<40} # {}", notes.join(", ")),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::CommandFactory;

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
        let command = Cli::command();
        let daemon = command.find_subcommand("daemon").unwrap();
        for (name, flag) in FLAGS {
            assert!(daemon.get_arguments().any(|arg| arg.get_long() == flag.strip_prefix("--")), "{flag}");
            let key = name.rsplit('.').next().unwrap();
            assert!(listed().lines().any(|line| line.contains(key) && line.ends_with(flag)), "{name}");
        }
        assert!(daemon.get_after_long_help().unwrap().to_string().contains("quota_bytes"));
    }
}
