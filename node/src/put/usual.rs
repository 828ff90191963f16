//! The redundancy that puts got here by default. A daemon that has just started may take its network for smaller than
//! it is, and nobody should have less than before without a word.

use std::sync::{Arc, Mutex, PoisonError};

use chordage_storage::Redundancy;

use crate::datadir::DataDir;

/// The file in the data directory.
const FILE: &str = "redundancy";

/// The highest that was chosen for a put by this daemon.
pub(crate) struct Usual {
    dir: Arc<DataDir>,
    highest: Mutex<Option<Redundancy>>,
}

impl Usual {
    /// What earlier runs wrote down. A file that cannot be read says nothing.
    pub(crate) fn load(dir: Arc<DataDir>) -> Usual {
        let bytes = dir.read(FILE).ok().flatten().unwrap_or_default();
        let highest = String::from_utf8_lossy(&bytes).trim().parse().ok();
        Usual { dir, highest: Mutex::new(highest) }
    }

    /// A put has got `chosen` by default; what puts got here before, if that was more.
    pub(crate) fn chosen(&self, chosen: Redundancy) -> Option<Redundancy> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        match *highest {
            Some(before) if before.n() > chosen.n() => Some(before),
            Some(before) if before == chosen => None,
            _ => {
                *highest = Some(chosen);
                if let Err(error) = self.dir.write(FILE, format!("{chosen}\n").as_bytes()) {
                    tracing::warn!(%error, "the redundancy of this put cannot be remembered");
                }
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn less_than_before_is_noticed_also_by_the_next_run() {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let dir = Arc::new(DataDir::open(temporary.path()).expect("new"));
        let of = |nodes| Redundancy::for_network(nodes);
        let usual = Usual::load(dir.clone());
        assert_eq!([1, 12, 12].map(|nodes| usual.chosen(of(nodes))), [None; 3]);
        let usual = Usual::load(dir);
        assert_eq!(usual.chosen(of(8)), Some(of(12)));
        assert_eq!(usual.chosen(of(12)), None);
        assert_eq!(usual.chosen(of(40)), None);
        assert_eq!(usual.chosen(of(12)), Some(of(40)));
    }
}
