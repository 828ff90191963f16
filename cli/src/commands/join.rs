//! `chordage join`.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use chordage_api::types::MayBe;
use chordage_node::access::{self, Joined, JoinedAs, Trying};
use clap::Args;
use serde_json::json;

use crate::access::{dir, next, refused, word};
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;
use crate::human;
use crate::input::Stdin;
use crate::interrupt::Interrupt;
use crate::printer::Printer;
use crate::trying::watched;

/// Most of what is read as an invite, bytes: twice the longest.
const INVITE_BYTES_MAX: u64 = 4096;
/// After so long somebody wants to know what the program is waiting for.
const SILENCE: Duration = Duration::from_secs(2);

/// Join a network with an invite
///
/// For a private network it asks the daemon that made the invite for a certificate, and writes it into the data
/// directory, on which no daemon may run yet; at most a minute. The directory has to be new or empty: one that was part
/// of an open network cannot become part of a private one. In one that belongs to the network already, the certificate
/// is replaced.
///
/// For an open network nobody is asked. Keys for the daemon are tried on all cores until one has the work that the
/// network asks for, which may take seconds or hours, as its founder wanted it (the terminal shows how long on
/// average). Ctrl-C ends that, and leaves nothing behind.
///
/// Arguments can be seen by everybody on this machine while the program runs (ps), and shells remember them. With `-`
/// the invite comes from standard input, where it cannot be seen.
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
        printer.json(&in_json(&joined))?;
        return Ok(ExitStatus::Success);
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    for line in described(&joined, now as i64) {
        printer.fact(line)?;
    }
    if joined.renewed {
        printer.tell(match joined.by {
            JoinedAs::Certified { .. } => {
                "this directory belonged to the network already: only its certificate is new"
            }
            JoinedAs::Worked { .. } => {
                "this directory belonged to the network already: only the addresses are new"
            }
        });
    }
    let role = match joined.by {
        JoinedAs::Certified { role, .. } => role,
        JoinedAs::Worked { .. } => MayBe::Member,
    };
    printer.tell(format!("next: {}", next(global, role)));
    Ok(ExitStatus::Success)
}

async fn join(dir: &Path, invite: &str, printer: &Printer) -> Result<Joined, CliError> {
    let trying = Arc::new(Trying::default());
    let patient = async {
        let mut joining = Box::pin(access::join(dir, invite, &trying));
        match tokio::time::timeout(SILENCE, &mut joining).await {
            Ok(joined) => joined,
            Err(_) => {
                printer.tell(match trying.tried() {
                    0 => "waiting for the daemon that made the invite, for a minute at most",
                    _ => "trying keys until one has the work that the network asks for",
                });
                joining.await
            }
        }
    };
    let joined = watched(patient, &trying, printer, Interrupt::listen()?).await;
    joined.map_err(|error| refused(&error, dir))
}

fn in_json(joined: &Joined) -> serde_json::Value {
    let mut said = json!({
        "network": joined.network,
        "fingerprint": joined.fingerprint,
        "renewed": joined.renewed,
    });
    let more = match joined.by {
        JoinedAs::Certified { role, delegate, not_after } => {
            json!({ "kind": "private", "role": role, "delegate": delegate, "not_after": not_after })
        }
        JoinedAs::Worked { id_bits } => json!({ "kind": "open", "id_bits": id_bits }),
    };
    if let (Some(said), serde_json::Value::Object(more)) = (said.as_object_mut(), more) {
        said.extend(more);
    }
    said
}

fn described(joined: &Joined, now: i64) -> [String; 2] {
    let by = match joined.by {
        JoinedAs::Certified { role, delegate, not_after } => {
            let rights = if delegate { "; it may let others in, and revoke them" } else { "" };
            let time = human::seconds(not_after.saturating_sub(now).max(0) as f64);
            format!(
                "as         {}{rights}. The certificate holds for {time}, and the daemon renews it when half of that is over",
                word(role)
            )
        }
        JoinedAs::Worked { id_bits: 0 } => "open       anybody may join, and see who is in it".to_owned(),
        JoinedAs::Worked { id_bits } => format!(
            "open       anybody may join, and see who is in it. The key of this daemon has the {id_bits} bits of work that are asked \
             for: whoever loses it has to work again"
        ),
    };
    [format!("network    {}, fingerprint {}", joined.network, joined.fingerprint), by]
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
    use super::*;

    #[test]
    fn what_was_joined_is_said_with_its_rights_and_its_end() {
        let certified =
            |delegate| JoinedAs::Certified { role: MayBe::Client, delegate, not_after: 90 * 86_400 + 1000 };
        let joined = Joined {
            network: "home".to_owned(),
            fingerprint: "ab".repeat(16),
            by: certified(true),
            renewed: false,
        };
        let [network, rights] = described(&joined, 1000);
        assert!(network.contains("home, fingerprint abab"), "{network}");
        assert!(rights.contains("client; it may let others in") && rights.contains("90 d 0 h"), "{rights}");
        assert_eq!(in_json(&joined)["not_after"], 90 * 86_400 + 1000);
        // A clock that is wrong is no reason to panic.
        let [_, rights] = described(&Joined { by: certified(false), ..joined.clone() }, i64::MAX / 2);
        assert!(rights.contains("client. The certificate holds for 0 ms"), "{rights}");
        let open = Joined { by: JoinedAs::Worked { id_bits: 18 }, ..joined };
        let [_, work] = described(&open, 0);
        assert!(work.contains("anybody may join") && work.contains("18 bits of work"), "{work}");
        let said = in_json(&open);
        assert_eq!(
            (&said["kind"], &said["id_bits"], &said["role"]),
            (&"open".into(), &18.into(), &json!(null))
        );
    }
}
