//! `chordage network`.

mod create;
mod new_key;

use std::time::{SystemTime, UNIX_EPOCH};

use chordage_api::types::{
    CertificateInfo, DelegateInfo, InviteInfo, NetworkInfo, NetworkKind, RevocationInfo, RevocationWanted,
};
use clap::{Args, Subcommand};

use self::create::CreateArgs;
use self::new_key::NewKeyArgs;
use super::members::{self, MembersArgs};
use crate::access::{id, word};
use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::name::shown;
use crate::printer::Printer;

/// Digits of a whole id.
const DIGITS: usize = 64;
/// Longest reason, bytes.
const REASON_MAX: usize = 120;

/// Found a network, see what it is and who is in it; in a private one, say who does not belong to it any more
///
/// In a private network only those who were invited are talked to. Whoever founds it has its key, and signs a
/// certificate for each daemon that joins with an invite. Certificates end after three months, and daemons renew them
/// by themselves. Whoever should not belong to it any more is revoked, and everybody hangs up on that daemon.
///
/// In an open network (create --open) anybody may take part whose daemon has a key that took some work to find. Without
/// either a daemon belongs to a network that is nothing but a name: whoever knows that and an address can join.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage network create family               1. found it, where no daemon has run yet
  chordage daemon --listen /ip4/0.0.0.0/tcp/4700
  chordage invite                              2. a line: send it like a password
  chordage join -                              3. elsewhere: paste it, then
  chordage daemon
  chordage network show                        which network this is
  chordage network members                     everybody in it
  chordage network revoke 5f0c9a1e --reason \"laptop stolen\"
  chordage network create square --open        one that anybody may join")]
pub(crate) struct NetworkArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Create(CreateArgs),
    /// Say which network the daemon belongs to and why, which invites are good, and who was revoked
    #[command(after_help = "\
Examples:
  chordage network show
  chordage network show --json | jq -r .certificate.not_after    seconds since 1970
  chordage network show --json | jq -r '.invites[].id'           what `invite --withdraw` takes")]
    Show,
    /// List who is in the network: the same as `chordage members`
    #[command(after_help = "\
Examples:
  chordage network members
  chordage network members --json | jq -r '.[].id'               what `network revoke` takes")]
    Members(MembersArgs),
    Revoke(RevokeArgs),
    /// Ask for a new certificate now
    ///
    /// A daemon does that by itself when half of the time of its certificate is over, and then each day until somebody
    /// answers. It needs somebody who may sign: the daemon that founded the network, or one that was invited with
    /// --delegate.
    #[command(after_help = "\
Examples:
  chordage network renew                       before a journey of some months")]
    Renew,
    NewKey(NewKeyArgs),
}

/// Take back what a daemon was given: it does not belong to the network any more
///
/// Everybody who is reached by this hangs up on that daemon within seconds, talks to it no more, and treats its shards
/// as lost after a while. Whoever is away learns it on coming back. There is no way back for that daemon, also with a
/// new invite: its key is revoked for good. The founder's daemon and delegates can do this.
///
/// With a delegate everything that it has signed is void: whoever it has let in, or whose certificate it has renewed
/// last, is hung up on too, and joins again with a new invite. So it takes --yes; without it the command says how many
/// that are, and does nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage network members                     shows the ids
  chordage network revoke 5f0c9a1e --reason \"laptop stolen\"")]
struct RevokeArgs {
    /// Id of the daemon as `chordage network members` shows it, or at least the first 8 digits of it
    #[arg(value_name = "ID", value_parser = subject)]
    id: String,
    /// Why, in at most 120 bytes: everybody in the network can read it
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Also if it is a delegate, with which everything is void that it has signed
    #[arg(long)]
    yes: bool,
}

/// Runs the command.
pub(crate) async fn run(
    args: NetworkArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    match args.action {
        Action::Create(args) => create::run(args, global, printer).await,
        Action::Show => show(global, printer).await,
        Action::Members(args) => members::run(args, global, printer).await,
        Action::Revoke(args) => revoke(args, global, printer).await,
        Action::Renew => renew(global, printer).await,
        Action::NewKey(args) => new_key::run(args, global, printer).await,
    }
}

async fn show(global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let info = connect::client(global)?.network().await?;
    if printer.is_json() {
        printer.json(&info)?;
        return Ok(ExitStatus::Success);
    }
    for line in described(&info, now()) {
        printer.fact(line)?;
    }
    let invites = info.founder || info.certificate.as_ref().is_some_and(|certificate| certificate.delegate);
    match info.kind {
        NetworkKind::Private if invites => printer.tell("next: `chordage invite` lets another daemon in"),
        NetworkKind::Private => {}
        NetworkKind::Open => printer.tell("next: `chordage invite` prints the line with which anybody can join"),
        NetworkKind::Named => printer.tell(
            "a private one needs a data directory of its own: chordage network create NAME --data-dir OTHER_DIR",
        ),
    }
    Ok(ExitStatus::Success)
}

async fn revoke(args: RevokeArgs, global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let wanted = RevocationWanted { subject: args.id, reason: args.reason };
    let client = connect::client(global)?;
    let delegates = client.network().await?.delegates;
    let delegate = delegates.into_iter().find(|delegate| delegate.id.starts_with(&wanted.subject));
    if let Some(delegate) = delegate.as_ref().filter(|_| !args.yes) {
        return Err(unconfirmed(delegate));
    }
    let info = client.revoke(&wanted).await?;
    if printer.is_json() {
        printer.json(&info)?;
        return Ok(ExitStatus::Success);
    }
    let revoked = info.revoked.iter().filter(|revoked| revoked.subject.starts_with(&wanted.subject));
    for revocation in revoked {
        printer.line(format!("revoked {}", revocation.subject))?;
    }
    printer.tell(
        "everybody in the network is told, and hangs up on that daemon: see `chordage network members`",
    );
    if delegate.is_some() {
        printer.tell(
            "whoever it has let in can join again with a new invite, as the same daemon: chordage invite",
        );
    }
    printer.tell(
        "invites that are still good let others in, also whoever has that daemon: `chordage network show` lists them, \
         `chordage invite --withdraw ID` withdraws one",
    );
    Ok(ExitStatus::Success)
}

/// What is lost with a delegate.
fn unconfirmed(DelegateInfo { id, signed }: &DelegateInfo) -> CliError {
    let id = human::short(id);
    let known = match signed {
        0 => "none of them is known here".to_owned(),
        signed => format!("{} known here", human::count(*signed, "is", "are")),
    };
    let message = format!(
        "{id} may let others in: every certificate that it has signed is void with its own, and {known}"
    );
    CliError::new(ExitStatus::Usage, "not_confirmed", message).state("nobody was revoked, nothing was changed").hint(
        format!(
            "daemons whose certificates it has signed join again with a new invite; to revoke it: chordage network \
             revoke {id} --yes --reason TEXT"
        ),
    )
}

async fn renew(global: &GlobalArgs, printer: &Printer) -> Result<ExitStatus, CliError> {
    let info = connect::client(global)?.renew_certificate().await?;
    if printer.is_json() {
        printer.json(&info)?;
    } else if let Some(certificate) = &info.certificate {
        printer.fact(held(certificate, now()))?;
    }
    Ok(ExitStatus::Success)
}

fn described(info: &NetworkInfo, now: i64) -> Vec<String> {
    let about = match (info.kind, info.id_bits.unwrap_or(0)) {
        (NetworkKind::Private, _) => "private: only those with a certificate belong to it".to_owned(),
        (NetworkKind::Open, 0) => "open: anybody can join, and ids cost no work".to_owned(),
        (NetworkKind::Open, bits) => format!("open: anybody can join whose key has {bits} bits of work"),
        (NetworkKind::Named, _) => "open: whoever knows its name and an address can join".to_owned(),
    };
    let mut lines = vec![
        format!("network    {}, {about}", shown(info.network.as_bytes())),
        format!("known as   {}: no other network has this fingerprint", info.fingerprint),
    ];
    if let Some(key) = &info.key {
        let whose = match (info.founder, info.kind) {
            (true, NetworkKind::Private) => "this daemon founded the network, and signs with it",
            (true, _) => "this daemon founded the network, and has signed with it what that is",
            (false, NetworkKind::Private) => "its founder signs with it",
            (false, _) => "its founder has signed with it what the network is",
        };
        lines.push(format!("key        {key}: {whose}"));
    }
    if let Some(before) = &info.key_before {
        let counts = match before.until.saturating_sub(now) {
            left if left > 0 => format!("counts for {} more", human::seconds(left as f64)),
            left => format!("ended {} ago", human::seconds(left.unsigned_abs() as f64)),
        };
        lines.push(format!("before     {}: the key before that {counts}", before.key));
    }
    match &info.certificate {
        Some(certificate) => lines.push(held(certificate, now)),
        None if info.private => {
            lines.push(
                "problem    this daemon has no certificate: it does not belong to the network".to_owned(),
            );
        }
        None => {}
    }
    lines.push(format!(
        "members    about {}",
        human::count(info.members, "daemon holds what is stored", "daemons hold what is stored")
    ));
    lines.extend(info.delegates.iter().map(delegated));
    lines.extend(info.invites.iter().map(|invite| open_invite(invite, now)));
    lines.extend(info.revoked.iter().map(|revocation| revoked(revocation, now)));
    lines
}

/// Why the daemon belongs to the network.
fn held(certificate: &CertificateInfo, now: i64) -> String {
    let rights = if certificate.delegate { "; it may let others in, and revoke them" } else { "" };
    let holds = match certificate.not_after.saturating_sub(now) {
        left if left > 0 => format!("holds for {} more", human::seconds(left as f64)),
        left => format!("ended {} ago", human::seconds(left.unsigned_abs() as f64)),
    };
    format!("as         {}{rights}. Certificate {} {holds}", word(certificate.role), certificate.serial)
}

fn delegated(DelegateInfo { id, signed }: &DelegateInfo) -> String {
    let signed = human::count(*signed, "certificate that is", "certificates that are");
    format!("delegate   {}  may let others in, and has signed {signed} known here", human::short(id))
}

fn open_invite(invite: &InviteInfo, now: i64) -> String {
    let rights = if invite.delegate { ", may let others in" } else { "" };
    format!(
        "invite     {}  {} of {} used, {}{rights}, ends in {}",
        human::short(&invite.id),
        invite.used,
        invite.uses,
        word(invite.role),
        human::seconds(invite.expires.saturating_sub(now).max(0) as f64)
    )
}

/// The reason is what somebody wrote.
fn revoked(revocation: &RevocationInfo, now: i64) -> String {
    let ago = human::seconds(now.saturating_sub(revocation.at).max(0) as f64);
    let reason = shown(revocation.reason.as_bytes());
    format!("revoked    {}  {ago} ago: {reason}", human::short(&revocation.subject))
}

/// Seconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() as i64
}

/// An id of a daemon, or its beginning, as clap reads it.
fn subject(text: &str) -> Result<String, String> {
    id(text, DIGITS, "chordage network members")
}

/// Why somebody is revoked, as clap reads it.
fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("a reason is not empty: others want to know why".to_owned()),
        text if text.len() > REASON_MAX => Err(format!("a reason has at most {REASON_MAX} bytes")),
        text if text.chars().any(char::is_control) => Err("a reason is one line of text".to_owned()),
        text => Ok(text.to_owned()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use chordage_api::types::{MayBe, NetworkKeyBefore};

    use super::*;

    fn info() -> NetworkInfo {
        NetworkInfo {
            network: "home".to_owned(),
            private: true,
            kind: NetworkKind::Private,
            id_bits: None,
            fingerprint: "ab".repeat(16),
            key: Some("cd".repeat(32)),
            key_before: Some(NetworkKeyBefore { key: "78".repeat(32), until: 7_320 }),
            founder: false,
            certificate: Some(CertificateInfo {
                subject: "ef".repeat(32),
                role: MayBe::Member,
                delegate: true,
                not_before: 0,
                not_after: 86_400,
                serial: "12".repeat(8),
            }),
            members: 1,
            revoked: vec![RevocationInfo {
                subject: "01".repeat(32),
                reason: "stolen\x1b[2J".to_owned(),
                at: 60,
            }],
            delegates: vec![DelegateInfo { id: "56".repeat(32), signed: 2 }],
            seq: 1,
            invites: vec![InviteInfo {
                id: "34".repeat(16),
                expires: 3720,
                uses: 3,
                used: 1,
                role: MayBe::Client,
                delegate: false,
            }],
        }
    }

    #[test]
    fn a_reason_is_a_short_line() {
        assert_eq!(reason(" laptop stolen ").unwrap(), "laptop stolen");
        assert!(reason(&"x".repeat(120)).is_ok());
        for wrong in ["", "  ", "two\nlines", "\x1b[2J", &"x".repeat(121)] {
            assert!(reason(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_network_is_shown_with_who_may_what_and_for_how_long() {
        let text = described(&info(), 120).join("\n");
        for words in [
            "network    home, private: only those with a certificate",
            "its founder signs with it",
            ": the key before that counts for 2 h 0 min more",
            "as         member; it may let others in, and revoke them. Certificate 1212121212121212 holds for",
            "members    about 1 daemon holds what is stored",
            "delegate   5656565656565656  may let others in, and has signed 2 certificates that are known here",
            "invite     3434343434343434  1 of 3 used, client, ends in 1 h 0 min",
            r"revoked    0101010101010101  1 min 0 s ago: stolen\u{1b}[2J",
        ] {
            assert!(text.contains(words), "{words} in {text}");
        }
        let ended = described(&info(), 2 * 86_400).join("\n");
        assert!(ended.contains("ended 1 d 0 h ago") && ended.contains("ends in 0 ms"), "{ended}");
        let text = described(&NetworkInfo { founder: true, certificate: None, ..info() }, 120).join("\n");
        assert!(text.contains("this daemon founded the network"), "{text}");
        assert!(text.contains("problem    this daemon has no certificate"), "{text}");
    }

    #[test]
    fn what_is_void_with_a_delegate_is_said_before_it_is() {
        for (signed, words) in [(0, "none of them is known"), (1, "1 is known here"), (4, "4 are known here")]
        {
            let error = unconfirmed(&DelegateInfo { id: "56".repeat(32), signed });
            assert_eq!((error.exit_code, error.code.as_str()), (2, "not_confirmed"));
            assert!(error.message.contains("5656565656565656 may let others in"), "{}", error.message);
            assert!(error.message.contains("void with its own") && error.message.contains(words));
            assert!(error.state.contains("nobody was revoked") && error.hint.contains("--yes"));
        }
    }

    #[test]
    fn an_open_network_has_no_certificates_and_says_what_it_asks_for() {
        let named = NetworkInfo {
            private: false,
            kind: NetworkKind::Named,
            key: None,
            key_before: None,
            certificate: None,
            ..info()
        };
        let text = described(&named, 120).join("\n");
        assert!(text.contains("open: whoever knows its name") && !text.contains("problem"), "{text}");
        let open = NetworkInfo { kind: NetworkKind::Open, id_bits: Some(18), key: info().key, ..named };
        let text = described(&open, 120).join("\n");
        assert!(text.contains("whose key has 18 bits of work") && !text.contains("problem"), "{text}");
        assert!(text.contains("its founder has signed with it what the network is"), "{text}");
        let text = described(&NetworkInfo { id_bits: Some(0), founder: true, ..open }, 120).join("\n");
        assert!(text.contains("ids cost no work") && text.contains("this daemon founded"), "{text}");
    }
}
