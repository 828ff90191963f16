//! What was damaged or lost when the daemon started, for the log and for `status`.

use std::collections::BTreeSet;

use chordage_api::types::{FoundAtStart, StartState, StartedWith};
use chordage_storage::Recovered;

/// Files that a sentence names.
const NAMED_MAX: usize = 3;

/// Collects what a start finds, and says it in the log.
#[derive(Debug, Default)]
pub(crate) struct Found {
    lost: BTreeSet<&'static str>,
    all: Vec<FoundAtStart>,
}

impl Found {
    /// Begins with the files that the last start had and that are gone.
    pub(crate) fn new(lost: BTreeSet<&'static str>) -> Self {
        Self { lost, all: Vec::new() }
    }

    /// Says of a file that was just opened whether it had been lost, or was `damaged` and replaced.
    pub(crate) fn opened(&mut self, name: &'static str, damaged: bool) {
        let state = match (damaged, self.lost.contains(name)) {
            (true, _) => StartState::Damaged,
            (false, true) => StartState::Missing,
            (false, false) => return,
        };
        let (what, consequence) = match name {
            "key" => (
                StartedWith::Key,
                "The daemon made a new key and is a new one to all others. To be the old one again, stop it and \
                 restore the file from a copy",
            ),
            "secret" => (
                StartedWith::Secret,
                "The daemon made a new secret. All links still read, but puts share nothing with earlier ones until \
                 the file is restored from a copy",
            ),
            "shards/format" => (
                StartedWith::Shards,
                "The daemon began an empty store of shards. Others make again what they lost, as long as they have \
                 enough shards; if a disk is not mounted, stop the daemon and mount it",
            ),
            "claims/claims.redb" => (
                StartedWith::Claims,
                "The daemon began an empty book of claims. It keeps every shard it holds for a while, in which those \
                 who want them renew their claims",
            ),
            "keeps/keeps.redb" => (
                StartedWith::Keeps,
                "The daemon began an empty book of kept objects. It asks the other daemons what they keep for it, and \
                 keeps that as recovered, without knowing of which objects it is: `chordage keeps` shows it. Run \
                 `chordage keep LINK` for each object that is still wanted, or stop the daemon and restore the file \
                 from a copy",
            ),
            "catalog/catalog.redb" => (
                StartedWith::Catalog,
                "The daemon began an empty catalog of earlier puts. Nothing is lost, but the next put sends again \
                 what it would have known to be stored",
            ),
            "records/records.redb" => (
                StartedWith::Records,
                "The daemon began an empty book of signed records. It fetches those that it is to keep for others from \
                 its neighbours",
            ),
            "names/names.redb" => (
                StartedWith::Names,
                "The daemon began an empty keyring. What was published under its names stays readable, but nobody can \
                 change it until the file is restored from a copy",
            ),
            "services/services.redb" => (
                StartedWith::Services,
                "The daemon began an empty book of services and registers none of those that it did: register them again \
                 with `chordage service register`",
            ),
            "volumes/volumes.redb" => (
                StartedWith::Volumes,
                "The daemon began an empty book of volumes and opens none of those that it did: take them in again with \
                 `chordage volume import`. What they keep stays in the network",
            ),
            _ => (
                StartedWith::Ledger,
                "The daemon began an empty ledger of other holders. It learns again who they are, and waits anew \
                 before it takes a holder for lost",
            ),
        };
        let was = match state {
            StartState::Missing => "was there at the last start and is gone or empty",
            StartState::Damaged => "was damaged",
        };
        self.say(what, state, format!("{name} {was}. {consequence}."));
    }

    /// Says what the store of shards had to make again, and what it lost.
    pub(crate) fn recovered(&mut self, recovered: &Recovered) {
        if recovered.index_rebuilt {
            let message = "shards/index.redb was damaged or missing. It was made again from the segments, and no \
                           shard that they hold is lost.";
            self.say(StartedWith::Index, StartState::Damaged, message.to_owned());
        }
        let (missing, short) = (&recovered.missing, &recovered.short);
        if missing.is_empty() && short.is_empty() {
            return;
        }
        let mut parts = Vec::new();
        for (files, state) in [(missing, "missing"), (short, "shorter than the index says")] {
            if !files.is_empty() {
                let named = files.iter().take(NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
                let more = if files.len() > NAMED_MAX { ", ..." } else { "" };
                parts.push(format!("{} of its files are {state} ({named}{more})", files.len()));
            }
        }
        let state = if missing.is_empty() { StartState::Damaged } else { StartState::Missing };
        let message = format!(
            "The store of shards has lost {} of its shards: {}. They are no longer counted as held, and repair makes \
             them again from the shards of others. Check the disk.",
            recovered.shards,
            parts.join(", ")
        );
        self.say(StartedWith::Segments, state, message);
    }

    /// All of it, in the order in which it was found.
    pub(crate) fn into_all(self) -> Vec<FoundAtStart> {
        self.all
    }

    fn say(&mut self, what: StartedWith, state: StartState, message: String) {
        tracing::warn!("{message}");
        self.all.push(FoundAtStart { what, state, message });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_lost_or_damaged_is_said() {
        let mut found = Found::new(BTreeSet::from(["keeps/keeps.redb"]));
        found.opened("claims/claims.redb", false);
        found.opened("keeps/keeps.redb", false);
        found.opened("holders.redb", true);
        found.recovered(&Recovered::default());
        let said: Vec<_> = found.into_all().into_iter().map(|found| (found.what, found.state)).collect();
        let expected =
            [(StartedWith::Keeps, StartState::Missing), (StartedWith::Ledger, StartState::Damaged)];
        assert_eq!(said, expected);
    }

    #[test]
    fn lost_segments_are_named_up_to_a_bound() {
        let mut found = Found::default();
        let missing = (0..9).map(|segment| format!("segment-{segment}")).collect();
        found.recovered(&Recovered { missing, shards: 40, ..Recovered::default() });
        let [said] = &found.into_all()[..] else { panic!("one thing was found") };
        assert_eq!((said.what, said.state), (StartedWith::Segments, StartState::Missing));
        assert!(
            said.message.contains("lost 40 of its shards: 9 of its files are missing (segment-0, segment-1,")
        );
        assert!(!said.message.contains("segment-3"));
    }
}
