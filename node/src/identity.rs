//! The key pair that makes a daemon itself. Its public key's hash is the place on the ring.

use libp2p::identity::{Keypair, ed25519};

use crate::datadir::{DataDir, DataDirError};

/// The daemon's key, made on first use and kept in the data directory.
pub(crate) struct Identity {
    pub(crate) keypair: Keypair,
    pub(crate) public_key: [u8; 32],
    /// There was no key, so that nobody knows this daemon yet.
    pub(crate) is_new: bool,
}

impl Identity {
    pub(crate) fn load(dir: &DataDir) -> Result<Identity, DataDirError> {
        let mut secret = dir.secret("key")?;
        let is_new = secret.is_new;
        let secret = ed25519::SecretKey::try_from_bytes(&mut secret.bytes)
            .map_err(|_| DataDirError::Damaged { path: dir.join("key"), problem: "not an Ed25519 key" })?;
        let pair = ed25519::Keypair::from(secret);
        let public_key = pair.public().to_bytes();
        Ok(Identity { keypair: pair.into(), public_key, is_new })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_stays_itself() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let data = DataDir::open(dir.path()).expect("new");
        let first = Identity::load(&data).expect("made");
        assert_eq!(Identity::load(&data).expect("read").public_key, first.public_key);
    }
}
