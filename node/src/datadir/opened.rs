//! Which files the last start left behind, so that the next one notices when one of them is gone.
//!
//! A file that is not there looks the same in a new data directory and in one that lost it. So every start writes down
//! the names of what it has opened: `opened` has one a line.

use std::collections::BTreeSet;
use std::fs;

use super::DataDir;

const OPENED_FILE: &str = "opened";

/// The files that a daemon cannot lose in silence.
const FILES: [&str; 12] = [
    "key",
    "secret",
    "shards/format",
    "claims/claims.redb",
    "keeps/keeps.redb",
    "catalog/catalog.redb",
    "holders.redb",
    "records/records.redb",
    "names/names.redb",
    "network",
    "services/services.redb",
    "volumes/volumes.redb",
];

impl DataDir {
    /// The files that the last start had, and that are gone or empty now. Ask before they are opened and made anew.
    pub(crate) fn lost(&self) -> BTreeSet<&'static str> {
        // Who cannot read it does not know what there was.
        let text = self.read(OPENED_FILE).ok().flatten().unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let before: BTreeSet<&str> = text.lines().collect();
        FILES.into_iter().filter(|name| before.contains(name) && !self.has(name)).collect()
    }

    /// Writes down which files there are now.
    pub(crate) fn remember_opened(&self) {
        let there: String =
            FILES.into_iter().filter(|name| self.has(name)).map(|name| format!("{name}\n")).collect();
        if self.read(OPENED_FILE).ok().flatten().is_some_and(|known| known == there.as_bytes()) {
            return;
        }
        if let Err(error) = self.write(OPENED_FILE, there.as_bytes()) {
            tracing::warn!(%error, "cannot write down which files there are; the next start may not miss one");
        }
    }

    fn has(&self, name: &str) -> bool {
        // One that cannot be looked at is there: whoever opens it will say what is wrong.
        fs::metadata(self.join(name))
            .map_or_else(|error| error.kind() != std::io::ErrorKind::NotFound, |file| file.len() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_directory_has_lost_nothing_and_a_file_that_was_there_is_missed() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = DataDir::open(dir.path()).expect("new");
        assert!(data.lost().is_empty(), "it is new");
        for name in ["key", "secret", "holders.redb"] {
            fs::write(data.join(name), b"something").expect("writable");
        }
        assert!(data.lost().is_empty(), "nobody has started on it yet");
        data.remember_opened();
        assert!(data.lost().is_empty(), "all of it is there");
        fs::remove_file(data.join("secret")).expect("there");
        fs::write(data.join("holders.redb"), b"").expect("writable");
        assert_eq!(data.lost(), BTreeSet::from(["secret", "holders.redb"]));
        data.remember_opened();
        assert!(data.lost().is_empty(), "it is told once");
    }
}
