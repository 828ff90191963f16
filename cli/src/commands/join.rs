//! `chordage join`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_node::access::{self, Joined};
use clap::Args;
use serde_json::json;

use crate::access::{dir, next, refused, word};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::input::Stdin;
use crate::printer::Printer;

/// Most of what is read as an invite, bytes: twice the longest.
const INVITE_BYTES_MAX: u64 = 4096;
/// After so long somebody wants to know what the program is waiting for.
const SILENCE: Duration = Duration::from_secs(2);

/// Join a private network with an invite
///
/// Asks the daemon that made the invite for a certificate, and writes it into the data directory, on which no daemon may run yet; at most a
/// minute. The directory has to be new or empty: one that was part of an open network cannot become part of a private one. In one that
/// belongs to the network already, the certificate is replaced.
///
/// Arguments can be seen by everybody on this machine while the program runs (ps), and shells remember them. With `-` the invite
/// comes from standard input, where it cannot be seen.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  chordage join chordage-invite:aeaf6xs6...    the line that `chordage invite` printed
  chordage join -                              and paste it
  ssh nas chordage invite --quiet | chordage join -
  chordage daemon                              then: it finds the others by itself")]
pub(crate) struct JoinArgs {
    /// The invite, or - to read it from standard input, where it does not show in the process list
    #[arg(value_name = "INVITE")]
    invite: String,
}

/// Runs the command.
pub(crate) async fn run(
    args: JoinArgs,
    global: &GlobalArgs,
    printer: &Printer,
) -> Result<ExitStatus, CliError> {
    // Before somebody pastes something.
    let dir = dir(global)?;
    let invite = match args.invite.as_str() {
        "-" => on_stdin()?,
        _ => args.invite,
    };
    let joined = join(&dir, &invite, printer).await?;
    if printer.is_json() {
        printer.json(&json!({
            "network": joined.network,
            "fingerprint": joined.fingerprint,
            "role": joined.role,
            "delegate": joined.delegate,
            "not_after": joined.not_after,
            "renewed": joined.renewed,
        }))?;
        return Ok(ExitStatus::Success);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for line in described(&joined, now as i64) {
        printer.fact(line)?;
    }
    if joined.renewed {
        printer.tell("this directory belonged to the network already: only its certificate is new");
    }
    printer.tell(format!("next: {}", next(global, joined.role)));
    Ok(ExitStatus::Success)
}

async fn join(dir: &Path, invite: &str, printer: &Printer) -> Result<Joined, CliError> {
    let mut joining = Box::pin(access::join(dir, invite));
    let joined = match tokio::time::timeout(SILENCE, &mut joining).await {
        Ok(joined) => joined,
        Err(_) => {
            printer.tell("waiting for the daemon that made the invite, for a minute at most");
            joining.await
        }
    };
    joined.map_err(|error| refused(&error, dir))
}

fn described(joined: &Joined, now: i64) -> [String; 2] {
    let rights = if joined.delegate { "; it may let others in, and revoke them" } else { "" };
    let time = human::seconds(joined.not_after.saturating_sub(now).max(0) as f64);
    [
        format!("network    {}, fingerprint {}", joined.network, joined.fingerprint),
        format!(
            "as         {}{rights}. The certificate holds for {time}, and the daemon renews it when half of that is over",
            word(joined.role)
        ),
    ]
}

/// The invite, from standard input: its first line that is not empty.
fn on_stdin() -> Result<String, CliError> {
    if rustix::termios::isatty(rustix::stdio::stdin()) {
        eprintln!("the invite, one line that begins with chordage-invite:");
    }
    let mut input = BufReader::new(Stdin::open()?.take(INVITE_BYTES_MAX));
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = input.read_until(b'\n', &mut line).map_err(|error| {
            let message = format!("cannot read the invite on standard input: {error}");
            CliError::new(ExitStatus::LocalFile, "input", message).state("nothing was changed")
        })?;
        if read == 0 || !line.trim_ascii().is_empty() {
            // What is not UTF-8 is no invite, and is found to be none.
            return Ok(String::from_utf8_lossy(line.trim_ascii()).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use chordage_api::types::MayBe;

    use super::*;

    #[test]
    fn what_was_joined_is_said_with_its_rights_and_its_end() {
        let joined = Joined {
            network: "home".to_owned(),
            fingerprint: "ab".repeat(16),
            role: MayBe::Client,
            delegate: true,
            not_after: 90 * 86_400 + 1000,
            renewed: false,
        };
        let [network, rights] = described(&joined, 1000);
        assert!(network.contains("home, fingerprint abab"), "{network}");
        assert!(rights.contains("client; it may let others in") && rights.contains("90 d 0 h"), "{rights}");
        // A clock that is wrong is no reason to panic.
        let [_, rights] = described(&Joined { delegate: false, ..joined }, i64::MAX / 2);
        assert!(rights.contains("client. The certificate holds for 0 ms"), "{rights}");
    }
}
