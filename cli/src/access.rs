//! Networks where no daemon runs yet: which data directory is meant, and why it has not been let in.

use std::path::{Path, PathBuf};

use chordage_api::types::MayBe;
use chordage_node::DataDirError;
use chordage_node::access::AccessError;

use crate::connect;
use crate::datadir;
use crate::error::{CliError, shell_word};
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::name::shown;

/// Fewest digits of an id that are taken for it: fewer could be those of another too.
const DIGITS_MIN: usize = 8;
/// What is true after every error here.
const NOTHING: &str = "nothing was changed";

/// The data directory that a command works on by itself.
pub(crate) fn dir(global: &GlobalArgs) -> Result<PathBuf, CliError> {
    if global.api.is_some() {
        let message = "this works on a data directory before a daemon runs there, and asks no daemon";
        return Err(CliError::new(ExitStatus::Usage, "usage", message)
            .state(NOTHING)
            .hint("name the directory with --data-dir DIR, without --api"));
    }
    connect::data_dir(global.data_dir.as_deref())
}

/// What starts the daemon that has just become part of a network.
pub(crate) fn next(global: &GlobalArgs, role: MayBe) -> String {
    let mut command = "chordage daemon".to_owned();
    if role == MayBe::Client {
        command.push_str(" --role client");
    }
    if let Some(dir) = &global.data_dir {
        command.push_str(&format!(" --data-dir {}", shell_word(dir)));
    }
    command
}

/// An id of so many digits, or its beginning, as clap reads it. `listed` names the command that shows such ids.
pub(crate) fn id(text: &str, digits: usize, listed: &str) -> Result<String, String> {
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match text.len() {
        length if (DIGITS_MIN..=digits).contains(&length) && is_hex => Ok(text.to_ascii_lowercase()),
        _ => Err(format!(
            "an id is {digits} hexadecimal digits, or at least the first {DIGITS_MIN} of them: see `{listed}`"
        )),
    }
}

/// A role as it is typed.
pub(crate) fn word(role: MayBe) -> &'static str {
    match role {
        MayBe::Member => "member",
        MayBe::Client => "client",
    }
}

/// Why no network was founded or joined.
pub(crate) fn refused(error: &AccessError, dir: &Path) -> CliError {
    let again = "ask whoever invited you for a new one: chordage invite";
    let (status, code, state, hint) = match error {
        AccessError::BadInvite(_) => (
            ExitStatus::BadLink,
            "bad_invite",
            "nothing was asked of anybody, nothing was changed",
            "copy the whole line again, from `chordage-invite:` to its last character",
        ),
        AccessError::BadName(_) => (
            ExitStatus::Usage,
            "bad_network_name",
            "no network was founded, nothing was changed",
            "take a name of 1 to 32 of the characters a-z 0-9 -",
        ),
        AccessError::BadBits(_) => (
            ExitStatus::Usage,
            "bad_id_bits",
            "no network was founded, nothing was changed",
            "take fewer bits",
        ),
        AccessError::Stopped => {
            return CliError::interrupted("no network was founded or joined, nothing was changed");
        }
        AccessError::Belongs { .. } => return belongs(error, dir),
        AccessError::Open { .. } => (
            ExitStatus::Usage,
            "open_network",
            NOTHING,
            "name a directory that is new or empty with --data-dir: what lies in an open network does not come along. \
             `chordage get` what you need from the old one first",
        ),
        AccessError::Expired => (ExitStatus::Unavailable, "invite_expired", NOTHING, again),
        AccessError::Refused(_) => (
            ExitStatus::Unavailable,
            "not_let_in",
            "nothing was changed here, and the invite is as it was",
            "ask whoever invited you what is left of the invite (chordage network show), or for a new one",
        ),
        AccessError::Unreachable(_) => (
            ExitStatus::NoDaemon,
            "inviter_unreachable",
            "nothing was changed here, and the invite is as it was",
            "try again while the daemon that made the invite runs and this machine can reach one of its addresses; if \
             they have changed, ask for a new invite",
        ),
        AccessError::Foreign => (
            ExitStatus::NoDaemon,
            "other_network",
            "nothing was changed here, and nobody has learned the secret of the invite",
            "somebody else has the address of the daemon that made the invite by now: ask for a new one",
        ),
        AccessError::PapersLost(_) => (
            ExitStatus::LocalFile,
            "papers_lost",
            NOTHING,
            "restore this file from a copy, or name an empty directory with --data-dir and join with a new invite",
        ),
        AccessError::Dir(error) => return unusable(error, dir),
        _ => (ExitStatus::Internal, "internal", NOTHING, "see the message"),
    };
    // Some of it are words of strangers.
    CliError::new(status, code, shown(error.to_string().as_bytes())).state(state).hint(hint)
}

fn belongs(error: &AccessError, dir: &Path) -> CliError {
    let hint = format!(
        "see which with `chordage daemon --data-dir {dir}` and `chordage network show --data-dir {dir}`, or name \
         another directory with --data-dir: each belongs to one network",
        dir = shell_word(dir)
    );
    CliError::new(ExitStatus::Usage, "belongs", error).state(NOTHING).hint(hint)
}

fn unusable(error: &DataDirError, dir: &Path) -> CliError {
    let refused = datadir::refused(error, dir, "no network was founded or joined");
    match error {
        DataDirError::Locked { .. } => {
            refused.hint("stop that daemon first, or name another directory with --data-dir")
        }
        _ => refused,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn whoever_was_not_let_in_knows_why_and_what_to_do() {
        let path = PathBuf::from("/dir");
        let network = "home".to_owned();
        let cases = [
            (AccessError::BadInvite("no invite".to_owned()), 5),
            (AccessError::BadName("A B".to_owned()), 2),
            (AccessError::BadBits("too many".to_owned()), 2),
            (AccessError::Belongs { path: path.clone(), network }, 2),
            (AccessError::Open { path: path.clone() }, 2),
            (AccessError::PapersLost(path.clone()), 7),
            (AccessError::Expired, 4),
            (AccessError::Refused("it is used up".to_owned()), 4),
            (AccessError::Unreachable("connection refused".to_owned()), 3),
            (AccessError::Foreign, 3),
            (AccessError::Dir(DataDirError::Locked { path: path.clone(), pid: None }), 9),
            (AccessError::System("no random numbers".to_owned()), 1),
        ];
        for (error, code) in cases {
            let refused = refused(&error, &path);
            assert_eq!(refused.exit_code, code, "{refused:?}");
            assert!(!refused.state.is_empty() && !refused.hint.is_empty(), "{refused:?}");
        }
    }

    #[test]
    fn ids_and_their_beginnings_are_hexadecimal() {
        let id = |text| id(text, 64, "chordage members");
        assert_eq!(id("5F0C9A1E").unwrap(), "5f0c9a1e");
        let whole = "a".repeat(64);
        assert_eq!(id(&whole).unwrap().len(), 64);
        for wrong in ["", "5f0c9a1", "5f0c9a1g", "0x5f0c9a1e", &"a".repeat(65), "\u{e4}\u{e4}\u{e4}\u{e4}"] {
            assert!(id(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_of_strangers_do_not_play_with_the_terminal() {
        let error = refused(&AccessError::Refused("no\x1b[2J".to_owned()), Path::new("/dir"));
        assert!(error.message.contains(r"no\u{1b}[2J"), "{}", error.message);
    }

    #[test]
    fn the_next_step_names_the_directory_that_was_named() {
        let given = GlobalArgs { data_dir: Some("/my dir".into()), ..GlobalArgs::default() };
        assert_eq!(next(&given, MayBe::Member), "chordage daemon --data-dir '/my dir'");
        assert_eq!(next(&GlobalArgs::default(), MayBe::Client), "chordage daemon --role client");
        let api = GlobalArgs { api: Some("/dir".to_owned()), ..GlobalArgs::default() };
        assert_eq!(dir(&api).unwrap_err().exit_code, 2);
    }
}
