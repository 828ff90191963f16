//! `chordage ls`.

use std::ffi::OsString;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;

use chordage_api::types::{EntryForm, EntryInfo, ObjectForm};
use clap::Args;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::link;
use crate::name::shown;
use crate::printer::Printer;

/// List what a directory link holds
#[derive(Debug, Args)]
#[command(after_help = "\
Names are shown with control characters, characters that turn the direction of writing, and bytes that are not UTF-8 escaped as
in \\n, \\u{202e} and \\xFF, and with a backslash doubled. With --null they are as they are.
With --json, one object per line. Paths and targets that are not UTF-8 have their bytes in `path_hex` and `target_hex`.

Examples:
  chordage ls chord1r...
  chordage ls chord1r... photos/2024 --long
  chordage ls -r0 LINK | xargs -0 -n1 echo
  chordage ls -r --json LINK | jq -r 'select(.kind == \"file\") | .path'")]
pub(crate) struct LsArgs {
    /// The link, or - to read it from standard input
    #[arg(value_name = "LINK")]
    link: String,
    /// Directory or file inside the object
    #[arg(value_name = "PATH")]
    path: Option<OsString>,
    /// List everything below, not only one level
    #[arg(short, long)]
    recursive: bool,
    /// Show mode, size and time (UTC) too
    #[arg(short, long)]
    long: bool,
    /// End each name with a NUL instead of a line break, and escape nothing in it
    #[arg(short = '0', long, conflicts_with = "long")]
    null: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: LsArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    let link = link::parse_read(&link::argument(&args.link)?)?;
    let path = args.path.as_ref().map(|path| path.as_bytes());
    let client = connect::client(global)?;
    let mut entries = client.entries(&link.to_string(), path, args.recursive).await?;
    let mut any = false;
    while let Some(entry) = entries.entry().await? {
        any = true;
        if printer.is_json() {
            printer.json(&entry)?;
        } else if args.null {
            printer.raw(&[entry.path_bytes(), vec![0]].concat())?;
        } else {
            printer.line(row(&entry, args.long))?;
        }
    }
    if !any && printer.tells() {
        let stat = client.stat(&link.to_string(), false).await?;
        printer.tell(match stat.kind {
            ObjectForm::File => {
                format!("the link stands for a file of {}, which has no name", human::bytes(stat.bytes))
            }
            _ => "the directory is empty".to_owned(),
        });
    }
    Ok(ExitStatus::Success)
}

fn row(entry: &EntryInfo, long: bool) -> String {
    let mut name = shown(&entry.path_bytes());
    if entry.kind == EntryForm::Dir {
        name.push('/');
    }
    if !long {
        return name;
    }
    if let Some(target) = entry.target_bytes() {
        let _ = write!(name, " -> {}", shown(&target));
    }
    let size = if entry.kind == EntryForm::File { human::bytes(entry.bytes) } else { "-".to_owned() };
    format!("{} {size:>9}  {}  {name}", mode(entry), date(entry.mtime_seconds))
}

/// `drwxr-xr-x`.
fn mode(entry: &EntryInfo) -> String {
    let kind = match entry.kind {
        EntryForm::Dir => 'd',
        EntryForm::Symlink => 'l',
        _ => '-',
    };
    let bits = "rwxrwxrwx".chars().enumerate();
    let rights = bits.map(|(place, letter)| if entry.mode >> (8 - place) & 1 == 1 { letter } else { '-' });
    std::iter::once(kind).chain(rights).collect()
}

/// Seconds since 1970 as a date in UTC; days to a civil date by the method of Howard Hinnant's `civil_from_days`.
fn date(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 { month_shifted + 3 } else { month_shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", rest / 3600, rest % 3600 / 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_civil() {
        assert_eq!(date(0), "1970-01-01 00:00 UTC");
        assert_eq!(date(-1), "1969-12-31 23:59 UTC");
        assert_eq!(date(951_782_400), "2000-02-29 00:00 UTC");
        assert_eq!(date(4_102_444_799), "2099-12-31 23:59 UTC");
    }

    #[test]
    fn a_row_cannot_play_with_the_terminal() {
        let entry = EntryInfo {
            path: "a\x1b[2J\nb\u{fffd}".into(),
            path_hex: Some("611b5b324a0a62ff".into()),
            kind: EntryForm::Symlink,
            bytes: 0,
            mode: 0o777,
            mtime_seconds: 0,
            mtime_nanos: 0,
            target: Some("c\r".into()),
            target_hex: None,
            content: None,
        };
        assert_eq!(row(&entry, false), r"a\u{1b}[2J\nb\xFF");
        assert_eq!(
            row(&entry, true),
            r"lrwxrwxrwx         -  1970-01-01 00:00 UTC  a\u{1b}[2J\nb\xFF -> c\r"
        );
    }
}
