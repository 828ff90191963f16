//! `chordage invite`.

use std::io;
use std::time::Duration;

use chordage_api::types::{InviteWanted, MayBe};
use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::access::{id, word};
use crate::charset::Charset;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::printer::Printer;
use crate::{connect, human, qr, width};

/// The longest time for which an invite is good.
const LONGEST: Duration = Duration::from_secs(24 * 3600);
/// Most who can join with one invite.
const USES_MAX: i64 = 1000;
/// Digits of the id of an invite.
const DIGITS: usize = 32;

/// Print an invite into the network of the daemon: who has it can join
///
/// In a private network the invite is one line of text, alone on standard output; on a terminal it is shown as a QR
/// code too. It has the addresses of this daemon, the key of the network, and a secret: send it the way you would send
/// a password. Whoever has it can join until it ends, is used up, or is withdrawn (--withdraw); who joined can be
/// revoked (chordage network revoke). The daemon that made it has to run, and to be reachable, when somebody joins with
/// it.
///
/// Invites are made by the daemon that founded the network, and by those that were let in with --delegate.
///
/// In an open network (chordage network create --open) the line has no secret: it says what the network is and where
/// this daemon is, it is good for everybody and for ever, and every daemon prints one. There --uses, --expires, --role
/// and --delegate are refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage invite                              for one daemon, within a day
  chordage invite --expires 15m                while you are on the phone
  chordage invite --uses 5 --expires 2h        five machines of a workshop
  chordage invite --role client                for a laptop behind NAT
  chordage invite --delegate                   for somebody who may invite too
  chordage invite --quiet | ssh laptop chordage join -
  chordage network show                        which invites are still good, and their ids
  chordage invite --withdraw 5f0c9a1e          take one back: it went to the wrong person")]
pub(crate) struct InviteArgs {
    /// How many may join with it, at most 1000 [default: 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=USES_MAX))]
    uses: Option<u16>,
    /// For how long it is good, at most 24h [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = expiry)]
    expires: Option<Duration>,
    /// What those who join may be: members hold what others store, clients only store and fetch [default: member]
    #[arg(long, value_name = "ROLE", value_parser = roles())]
    role: Option<MayBe>,
    /// Those who join may let others in, and revoke them. Only the daemon that founded the network makes such invites
    #[arg(long)]
    delegate: bool,
    /// Make no invite, but withdraw the one with this id, or at least these first 8 digits of it: nobody joins with it
    /// any more
    #[arg(long, value_name = "ID", value_parser = invite_id, conflicts_with_all = ["uses", "expires", "role", "delegate"])]
    withdraw: Option<String>,
}

/// Runs the command.
pub(crate) async fn run(
    args: InviteArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    if let Some(id) = &args.withdraw {
        return withdraw(id, global, printer).await;
    }
    let wanted = InviteWanted {
        uses: args.uses,
        seconds: args.expires.map(|time| time.as_secs()),
        role: args.role,
        delegate: args.delegate,
    };
    let made = connect::client(global)?.invite(&wanted).await?;
    // Nobody has an invite with a secret if it cannot be printed.
    let lost = |error: CliError| match made.info {
        Some(_) => error
            .state("an invite was made that nobody has: nobody can join with it, and it ends by itself")
            .hint("make another, and look where it prints to"),
        None => error,
    };
    match printer.is_json() {
        true => printer.json(&made).map_err(lost)?,
        false => printer.line(&made.invite).map_err(lost)?,
    }
    if printer.shows_progress()
        && let Some(code) = qr::drawn(&made.invite, width::columns(io::stderr()), Charset::of_locale())
    {
        printer.tell(code);
    }
    match made.info {
        Some(_) => printer.warn(warning(&wanted)),
        None => printer.tell("this line is no secret: it is good for everybody, and for ever"),
    }
    printer.tell("next: `chordage join INVITE` on the other machine, then `chordage daemon` there");
    Ok(ExitStatus::Success)
}

async fn withdraw(id: &str, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let withdrawn = connect::client(global)?.withdraw_invite(id).await?;
    match printer.is_json() {
        true => printer.json(&withdrawn)?,
        false => printer.line(format!("withdrawn {}", withdrawn.id))?,
    }
    printer.tell("nobody can join with this invite any more");
    if withdrawn.used > 0 {
        let joined = human::count(u64::from(withdrawn.used), "daemon has", "daemons have");
        printer.tell(format!(
            "{joined} joined with it before, and can be revoked: see `chordage network members`"
        ));
    }
    Ok(ExitStatus::Success)
}

/// What whoever has the invite can do with it.
fn warning(wanted: &InviteWanted) -> String {
    let who = match wanted.uses.unwrap_or(1) {
        1 => "whoever has this line first can join the network with it".to_owned(),
        uses => format!("whoever has this line can join the network with it, the first {uses} of them"),
    };
    let rights = if wanted.delegate { ", let others in, and revoke them" } else { "" };
    let role = word(wanted.role.unwrap_or(MayBe::Member));
    let time = human::seconds(wanted.seconds.unwrap_or(LONGEST.as_secs()) as f64);
    format!("{who}, as a {role}{rights}. It ends in {time}: until then treat it like a password")
}

/// What somebody may be, as clap reads and completes it.
fn roles() -> impl TypedValueParser<Value = MayBe> {
    PossibleValuesParser::new(["member", "client"])
        .map(|word| if word == "client" { MayBe::Client } else { MayBe::Member })
}

/// An id of an invite, or its beginning, as clap reads it.
fn invite_id(text: &str) -> Result<String, String> {
    id(text, DIGITS, "chordage network show")
}

fn expiry(text: &str) -> Result<Duration, String> {
    let time = human::parse_duration(text)?;
    match time {
        time if time > LONGEST => {
            Err("an invite is good for 24h at most: make another when it is needed".to_owned())
        }
        time if time.as_secs() == 0 => Err("an invite is good for a second at least".to_owned()),
        time => Ok(time),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: InviteArgs,
    }

    fn parsed(args: &[&str]) -> Option<InviteArgs> {
        Line::try_parse_from([&["invite"], args].concat()).ok().map(|line| line.args)
    }

    #[test]
    fn an_invite_is_for_one_member_and_one_day_unless_told_otherwise() {
        let args = parsed(&[]).unwrap();
        assert_eq!((args.uses, args.expires, args.role, args.delegate), (None, None, None, false));
        let text = warning(&InviteWanted::default());
        assert!(
            text.contains("first can join") && text.contains("as a member. It ends in 1 d 0 h"),
            "{text}"
        );
        let args = parsed(&["--uses", "1000", "--expires", "90s", "--role", "client", "--delegate"]).unwrap();
        let expires = Some(Duration::from_secs(90));
        assert_eq!((args.uses, args.expires), (Some(1000), expires));
        assert_eq!((args.role, args.delegate), (Some(MayBe::Client), true));
    }

    #[test]
    fn what_no_invite_can_be_is_refused_before_anybody_is_asked() {
        for wrong in [
            ["--uses", "0"],
            ["--uses", "1001"],
            ["--uses", "many"],
            ["--expires", "25h"],
            ["--expires", "2d"],
            ["--expires", "10ms"],
            ["--expires", "24"],
            ["--role", "Member"],
            ["--role", "founder"],
        ] {
            assert!(parsed(&wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn to_withdraw_is_not_to_make() {
        let args = parsed(&["--withdraw", "5F0C9A1E"]).unwrap();
        assert_eq!(args.withdraw.as_deref(), Some("5f0c9a1e"));
        assert!(parsed(&["--withdraw", &"a".repeat(33)]).is_none());
        for with in [&["--uses", "2"][..], &["--expires", "1h"], &["--role", "client"], &["--delegate"]] {
            assert!(parsed(&[&["--withdraw", "5f0c9a1e"], with].concat()).is_none(), "{with:?}");
        }
    }

    #[test]
    fn the_warning_says_who_may_do_what() {
        let seconds = Some(3600);
        let wanted = InviteWanted { uses: Some(3), seconds, role: Some(MayBe::Client), delegate: true };
        let text = warning(&wanted);
        assert!(text.contains("the first 3") && text.contains("as a client, let others in"), "{text}");
        assert!(text.contains("It ends in 1 h 0 min"), "{text}");
    }
}
