//! Another network key in place of the one that there is, and how everybody hears of it.

use libp2p::identity::ed25519;

use super::{Access, KEY_FILE, PAPERS_FILE, now, secret_pair};
use crate::datadir::{DataDir, DataDirError};
use crate::network::papers::Papers;
use crate::network::succession::{OVERLAP_MAX, Succession, SuccessionError};

/// A network key that does not count yet. It is on disk before anybody hears of it, and takes the place of the one
/// before then.
const NEXT_KEY_FILE: &str = "network.key.next";
/// Shortest time for which the key before counts on, seconds: in it daemons have to be given certificates under the new
/// one.
pub(crate) const OVERLAP_MIN: u64 = 3600;

/// Why there is no new network key. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewKeyError {
    /// Only the newest key says what follows it.
    #[error("this daemon does not have the network's key: the founder's has it")]
    MayNot,
    /// Daemons that are away have to find one of two.
    #[error("the key before this one still counts for {} days: two count at a time, and no more", .seconds.div_ceil(24 * 3600))]
    TooSoon {
        /// How long it does.
        seconds: u64,
    },
    /// See [`OVERLAP_MIN`] and [`OVERLAP_MAX`].
    #[error("the old key counts on for an hour at least, and for {} days at most", OVERLAP_MAX / (24 * 3600))]
    Overlap,
    /// There have been as many as there can be.
    #[error(transparent)]
    Succession(#[from] SuccessionError),
    #[error(transparent)]
    Dir(#[from] DataDirError),
}

/// The network key that a data directory has, if it is the newest one. A crash may have come between the papers and the
/// key.
pub(super) fn newest_key(dir: &DataDir, papers: &Papers) -> Result<Option<ed25519::Keypair>, DataDirError> {
    let is_newest = |pair: &ed25519::Keypair| papers.trusted().newest() == Some(&pair.public().to_bytes());
    let kept = |name| dir.read(name)?.map(|_| secret_pair(dir, name)).transpose();
    if let Some(next) = kept(NEXT_KEY_FILE)?.filter(is_newest) {
        put_in_place(dir, &next)?;
        return Ok(Some(next));
    }
    Ok(kept(KEY_FILE)?.filter(is_newest))
}

/// The next key is the key from now on; the one before is gone.
fn put_in_place(dir: &DataDir, next: &ed25519::Keypair) -> Result<(), DataDirError> {
    let mut secret = [0; 32];
    secret.copy_from_slice(next.secret().as_ref());
    dir.set_secret(KEY_FILE, &secret)?;
    dir.remove(NEXT_KEY_FILE);
    Ok(())
}

impl Access {
    /// Makes a new network key, with which the old one says that it follows; that counts for so many seconds more.
    /// Waits for the disk.
    pub(crate) fn new_key(&self, overlap: u64) -> Result<(), NewKeyError> {
        if !(OVERLAP_MIN..=OVERLAP_MAX).contains(&overlap) {
            return Err(NewKeyError::Overlap);
        }
        let now = now();
        let mut state = self.state();
        let old = state.founder.as_ref().ok_or(NewKeyError::MayNot)?;
        if let Some(until) =
            state.papers.trusted().older().map(|(_, until)| until).filter(|until| *until > now)
        {
            return Err(NewKeyError::TooSoon { seconds: until - now });
        }
        let dir = &self.inner.dir;
        let next = secret_pair(dir, NEXT_KEY_FILE)?;
        let network = state.papers.network();
        let ends = now.saturating_add(overlap);
        let succession = Succession::sign(network, old, next.public().to_bytes(), (now, ends));
        let mut papers = state.papers.clone();
        papers.succeed(&succession.ok_or(NewKeyError::Overlap)?)?;
        dir.write(PAPERS_FILE, &papers.encode())?;
        state.papers = papers;
        if let Err(error) = put_in_place(dir, &next) {
            tracing::warn!(%error, "the new network key stays in {NEXT_KEY_FILE} until the next start");
        }
        state.founder = Some(next);
        tracing::info!("the network has a new key");
        self.inner.changed.notify_one();
        Ok(())
    }

    /// Takes in how others say that the network's keys have followed each other. Waits for the disk if that is news.
    pub(super) fn succeed(&self, successions: &[Succession]) -> Result<(), SuccessionError> {
        let mut state = self.state();
        let mut outcome = Ok(());
        let mut news = false;
        for succession in successions {
            match state.papers.succeed(succession) {
                Ok(is_news) => news |= is_news,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        if news {
            tracing::info!("the network has a new key");
            self.inner.changed.notify_one();
            if let Err(error) = self.inner.dir.write(PAPERS_FILE, &state.papers.encode()) {
                tracing::warn!(%error, "the new network key cannot be written down; it counts until the next start");
            }
        }
        outcome
    }
}
