//! The commands on one screen: what `chordage` and `chordage -h` show. `chordage --help` lists each of them.

/// Commands by what they are for.
pub(crate) const OVERVIEW: &str = "\
Files
  put                     Store a file or directory, and print its link
  get, cat, ls            Get what a link stands for, write it out, list it
  stat, explain           How healthy it is, who holds it, and how safe it is
  keep, keeps, forget     Keep something of others, list what is kept, free it
Backups
  backup                  Snapshots, from any machine back again
  home, recover           Twelve words that bring everything back
  follow, volume          A directory that follows a name; the keys of volumes
Names
  name                    Names that can change, and those of others
  service, topic          Where live services listen; small messages
Network
  daemon                  Run a daemon
  join, invite, network   Networks of people: who is invited belongs to them
  status, doctor          How the daemon is; what is wrong and what to type
  members, peers, superpeers, ring, trace   Who is there, and how keys are found
  config, debug, scrub, drain, restic-user  To run a daemon for long
To try it, and tools
  demo, testnet, sim      Half of the daemons killed; up to a million nodes
  completions, man        For the shell";

/// Flags and examples, below the commands.
pub(crate) const FLAGS_AND_EXAMPLES: &str = "\
Flags of every command: --data-dir DIR or --api ADDR (the daemon to talk to),
  --json, --quiet, --help; chordage --version

Examples:
  chordage demo                      see it all work, on this machine
  chordage daemon                    run a daemon (the others talk to it)
  chordage put holiday.mp4           store a file, print its link
  chordage get chord1r... -o film    get it back, from any daemon of the network
  chordage backup create ~           snapshots of all you have

`chordage COMMAND -h` is a screen about one, `chordage COMMAND --help` all of it;
`chordage --help` lists every command, and the exit codes.";

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::args::Cli;

    /// Lines and columns of a screen on which everybody can read: a terminal of old had half as many lines.
    const LINES: usize = 50;
    const COLUMNS: usize = 80;

    #[test]
    fn the_overview_names_every_command_once() {
        let commands = Cli::described();
        let commands: Vec<&str> = commands
            .get_subcommands()
            .filter(|one| !one.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        let named: Vec<&str> = OVERVIEW
            .lines()
            .filter_map(|line| line.strip_prefix("  "))
            .flat_map(|line| line.split("  ").next().unwrap().split(", "))
            .collect();
        let set: BTreeSet<&str> = named.iter().copied().collect();
        assert_eq!((set, named.len()), (commands.iter().copied().collect(), commands.len()));
    }

    /// A reader does not scroll to learn what there is, and has seen an example.
    #[test]
    fn the_short_help_of_every_command_is_a_screen() {
        let mut larger = Vec::new();
        let mut look_at = |command: &clap::Command, name: String| {
            let help = command.clone().term_width(COLUMNS).render_help().to_string();
            let lines = help.lines().count();
            // Of a usage clap makes one line, and terminals wrap it.
            let wide = |line: &str| line.chars().count() > COLUMNS && !line.starts_with("Usage:");
            if lines > LINES || help.lines().any(wide) {
                larger.push(format!("{name}: {lines} lines"));
            }
        };
        let mut all = Cli::with_overview(COLUMNS);
        all.build();
        look_at(&all, "chordage".to_owned());
        for command in all.get_subcommands().filter(|one| one.get_name() != "help") {
            look_at(command, command.get_name().to_owned());
            for action in command.get_subcommands().filter(|one| one.get_name() != "help") {
                look_at(action, format!("{} {}", command.get_name(), action.get_name()));
            }
        }
        assert!(larger.is_empty(), "more than {LINES} lines of {COLUMNS} columns: {larger:#?}");
    }
}
