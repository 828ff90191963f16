//! The command line: every flag and its help. What commands do is in `commands`.

use std::io;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::commands;
use crate::exit::EXIT_CODES;
use crate::global::GlobalArgs;
use crate::overview::{FLAGS_AND_EXAMPLES, OVERVIEW};
use crate::width;

/// Help is no wider than this: longer lines are hard to read.
const HELP_COLUMNS: usize = 110;

const ABOUT: &str = "Store files in a network of peers, and get them back while enough of the peers live";

const LONG_ABOUT: &str = "\
Store files in a network of peers, and get them back while enough of the peers live.

A file given to any daemon is cut, encrypted and erasure-coded; every piece goes to another daemon. Whoever has the link \
that `put` prints can get the file from any daemon of the network. Whoever has not, sees only ciphertext.";

const EXAMPLES: &str = "\
Examples:
  chordage demo                         twelve daemons, half of them killed, every byte back
  chordage daemon                       run a daemon (the others talk to it)
  chordage put holiday.mp4              store a file, print its link
  chordage put ~/notes                  store a directory
  chordage get chord1r... -o notes      get it back, from any daemon of the network
  chordage cat chord1r... --range 0-99  the first hundred bytes
  chordage ls chord1r...                what a directory link holds
  chordage backup create ~              snapshots of all you have, from any machine back again
  chordage home create                  twelve words that bring all of it back
  chordage network create family        a private network: only who is invited belongs to it
  link=$(chordage put --quiet file)     the link alone goes to standard output";

/// What the user typed.
#[derive(Debug, Parser)]
#[command(
    name = "chordage",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"),
    subcommand_required = true,
    arg_required_else_help = true
)]
pub(crate) struct Cli {
    /// Flags that every command takes.
    #[command(flatten)]
    pub(crate) global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// The command line with all its help: a command of a group that has no examples of its own shows those of the
    /// group that are about it.
    pub(crate) fn described() -> clap::Command {
        let mut command = Self::command();
        let names: Vec<String> = command.get_subcommands().map(|one| one.get_name().to_owned()).collect();
        for name in names {
            command = command.mut_subcommand(name, with_examples);
        }
        command
    }

    /// The same for a terminal of this width, with the overview for its short help: a list of all commands and an
    /// example are more than a screen.
    pub(crate) fn with_overview(columns: usize) -> clap::Command {
        let mut command = Self::described().term_width(columns);
        let (usage, long) = (command.render_usage(), command.render_long_help());
        command
            .help_template("{before-help}")
            .before_help(format!("{ABOUT}\n\n{usage}\n\n{OVERVIEW}\n\n{FLAGS_AND_EXAMPLES}"))
            .before_long_help(long)
    }

    /// What the user typed, or the help that was asked for, or what is wrong with it.
    pub(crate) fn read() -> Result<Self, clap::Error> {
        let mut command = Self::with_overview(width::columns(io::stdout()).min(HELP_COLUMNS));
        let matches = command.try_get_matches_from_mut(std::env::args_os())?;
        Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
    }
}

/// A group of commands, each with examples.
fn with_examples(mut group: clap::Command) -> clap::Command {
    let Some(of_group) = group.get_after_help().map(ToString::to_string) else { return group };
    let actions: Vec<String> = group.get_subcommands().map(|one| one.get_name().to_owned()).collect();
    for action in actions {
        let words = format!("chordage {} {action}", group.get_name());
        let own: Vec<&str> = of_group.lines().filter(|line| is_about(line, &words)).collect();
        if own.is_empty() {
            continue;
        }
        let examples = format!("Examples:\n{}", own.join("\n"));
        group = group.mut_subcommand(action, |action| match action.get_after_help() {
            Some(_) => action,
            None => action.after_help(examples),
        });
    }
    group
}

/// Whether an example has these words.
fn is_about(line: &str, words: &str) -> bool {
    line.match_indices(words)
        .any(|(at, _)| line[at + words.len()..].chars().next().is_none_or(char::is_whitespace))
}

/// What to do. Each command's help is on its arguments, in its own file.
#[derive(Debug, Subcommand)]
#[allow(clippy::large_enum_variant, reason = "there is one value of it in the program's life")]
pub(crate) enum Command {
    Daemon(commands::daemon::DaemonArgs),
    Put(commands::put::PutArgs),
    Get(commands::get::GetArgs),
    Cat(commands::cat::CatArgs),
    Ls(commands::ls::LsArgs),
    Stat(commands::stat::StatArgs),
    Status(commands::status::StatusArgs),
    Doctor(commands::doctor::DoctorArgs),
    Config(commands::config::ConfigArgs),
    Debug(commands::debug::DebugArgs),
    Peers(commands::peers::PeersArgs),
    Members(commands::members::MembersArgs),
    Superpeers(commands::superpeers::SuperpeersArgs),
    Network(commands::network::NetworkArgs),
    Invite(commands::invite::InviteArgs),
    Join(commands::join::JoinArgs),
    Explain(commands::explain::ExplainArgs),
    Keep(commands::keep::KeepArgs),
    Keeps(commands::keeps::KeepsArgs),
    Forget(commands::forget::ForgetArgs),
    Backup(commands::backup::BackupArgs),
    Volume(commands::volume::VolumeArgs),
    Home(commands::home::HomeArgs),
    Recover(commands::recover::RecoverArgs),
    Follow(commands::follow::FollowArgs),
    Name(commands::name::NameArgs),
    Service(commands::service::ServiceArgs),
    Topic(commands::topic::TopicArgs),
    ResticUser(commands::restic_user::ResticUserArgs),
    Scrub(commands::scrub::ScrubArgs),
    Drain(commands::drain::DrainArgs),
    Ring(commands::ring::RingArgs),
    Trace(commands::trace::TraceArgs),
    Testnet(commands::testnet::TestnetArgs),
    Demo(commands::demo::DemoArgs),
    Sim(commands::sim::SimArgs),
    Completions(commands::completions::CompletionsArgs),
    Man(commands::man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::described().debug_assert();
    }

    #[test]
    fn every_command_has_an_example() {
        let mut without = Vec::new();
        let mut look_at = |command: &clap::Command, name: String| {
            let text = command.get_after_help().or(command.get_after_long_help()).map(ToString::to_string);
            if !text.is_some_and(|text| text.contains("Examples:\n") && text.contains(&name)) {
                without.push(name);
            }
        };
        for command in Cli::described().get_subcommands() {
            let name = format!("chordage {}", command.get_name());
            look_at(command, name.clone());
            for action in command.get_subcommands() {
                look_at(action, format!("{name} {}", action.get_name()));
            }
        }
        assert!(without.is_empty(), "no examples: {without:?}");
    }

    #[test]
    fn examples_of_a_group_go_to_the_command_that_they_are_about() {
        assert!(is_about("  chordage name create team", "chordage name create"));
        assert!(is_about("  make | chordage topic publish", "chordage topic publish"));
        assert!(!is_about("  chordage names created", "chordage name create"));
        let help = Cli::described()
            .find_subcommand("topic")
            .and_then(|topic| Some(topic.find_subcommand("publish")?.get_after_help()?.to_string()));
        let help = help.expect("an example");
        assert!(help.contains("make 2>&1") && !help.contains("subscribe"), "{help}");
    }
}
