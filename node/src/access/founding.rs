//! Founding a private network in a data directory, before a daemon runs on it.

use std::path::{Path, PathBuf};

use super::{AccessError, KEY_FILE, PAPERS_FILE, now, own_key, secret_pair, serial};
use crate::datadir::DataDir;
use crate::driver::PEERS_FILE;
use crate::network::certificate::{DELEGATE_VALIDITY_MAX, Issuer, Rights, Role};
use crate::network::genesis::{Founding, Genesis, GenesisError, Kind};
use crate::network::is_name;
use crate::network::papers::Papers;

/// A network that was founded.
#[derive(Clone, Debug)]
pub struct Founded {
    /// Its name.
    pub network: String,
    /// Its key, 64 hexadecimal digits.
    pub key: String,
    /// Names it among all of the same name, 32 hexadecimal digits.
    pub fingerprint: String,
    /// Where its secret key lies.
    pub dir: PathBuf,
}

/// Founds a private network: makes its key in the data directory `dir`, and the certificate of the daemon there.
pub fn found(dir: &Path, name: &str) -> Result<Founded, AccessError> {
    if !is_name(name) {
        return Err(AccessError::BadName(GenesisError::Name.to_string()));
    }
    let dir = DataDir::open(dir)?;
    check_free(&dir)?;
    let founder = secret_pair(&dir, KEY_FILE)?;
    let created = now();
    let founding = Founding {
        name: name.to_owned(),
        metric: chordage_dht::AnyMetric::Ring,
        kind: Kind::Private,
        redundancy: None,
        created,
    };
    let genesis =
        Genesis::sign(&founder, founding).map_err(|error| AccessError::BadName(error.to_string()))?;
    let issuer = Issuer { network: genesis.fingerprint(), pair: &founder, proof: None };
    let rights = Rights { role: Role::Member, delegate: true };
    let own = own_key(&dir)?.public_key;
    let chain = issuer
        .issue(&own, rights, (created, DELEGATE_VALIDITY_MAX), serial()?)
        .map_err(|error| AccessError::System(error.to_string()))?;
    let founded = Founded {
        network: name.to_owned(),
        key: hex(genesis.key()),
        fingerprint: hex(&genesis.fingerprint().0),
        dir: dir.path().to_owned(),
    };
    dir.write(PAPERS_FILE, &Papers::new(genesis, chain).encode())?;
    Ok(founded)
}

/// Only what has been part of no network becomes part of a private one: what it holds for others would be nobody's there.
pub(super) fn check_free(dir: &DataDir) -> Result<(), AccessError> {
    let path = || dir.path().to_owned();
    if let Some(bytes) = dir.read(PAPERS_FILE)? {
        let papers = Papers::decode(&bytes).ok();
        let network = papers.map_or("?".to_owned(), |papers| papers.genesis().founding().name.clone());
        return Err(AccessError::Belongs { path: path(), network });
    }
    if dir.read(PEERS_FILE)?.is_some_and(|peers| !peers.is_empty()) || dir.join("shards").exists() {
        return Err(AccessError::Open { path: path() });
    }
    Ok(())
}

/// As text.
pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}
