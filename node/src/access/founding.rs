//! Founding a network in a data directory, before a daemon runs on it.

use std::path::{Path, PathBuf};

use libp2p::identity::ed25519;

use super::trying::{find, pair_of};
use super::{AccessError, KEY_FILE, PAPERS_FILE, Trying, now, own_key, secret_pair, serial};
use crate::datadir::DataDir;
use crate::driver::PEERS_FILE;
use crate::network::certificate::{DELEGATE_VALIDITY_MAX, Issuer, Rights, Role};
use crate::network::genesis::{self, Founding, Genesis, GenesisError, Kind};
use crate::network::is_name;
use crate::network::kept::Kept;
use crate::network::papers::Papers;
use crate::network::work::IdWork;

/// Most bits of work that an open network may ask of ids.
pub const ID_BITS_MAX: u8 = genesis::ID_BITS_MAX;
/// What it asks for unless told otherwise. Measured: a core tries some 39,000 keys a second, so that this takes it 14
/// seconds.
pub const ID_BITS_DEFAULT: u8 = 19;

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
    check_name(name)?;
    let dir = DataDir::open(dir)?;
    check_free(&dir)?;
    let founder = secret_pair(&dir, KEY_FILE)?;
    let genesis = sign(&founder, name, Kind::Private)?;
    let issuer = Issuer { network: genesis.fingerprint(), pair: &founder, proof: None };
    let rights = Rights { role: Role::Member, delegate: true };
    let own = own_key(&dir)?.public_key;
    let chain = issuer
        .issue(&own, rights, (genesis.founding().created, DELEGATE_VALIDITY_MAX), serial()?)
        .map_err(|error| AccessError::System(error.to_string()))?;
    keep(&dir, &Kept::Private(Papers::new(genesis, chain)))
}

/// Founds an open network that asks for `id_bits` bits of work: makes its key, and finds one for the daemon of the data
/// directory `dir` on all cores. Nothing is written before that is found.
pub fn found_open(dir: &Path, name: &str, id_bits: u8, trying: &Trying) -> Result<Founded, AccessError> {
    check_name(name)?;
    if id_bits > ID_BITS_MAX {
        return Err(AccessError::BadBits(GenesisError::IdBits.to_string()));
    }
    let (dir, own) = worked(dir, IdWork::of(id_bits), trying)?;
    let genesis = sign(&secret_pair(&dir, KEY_FILE)?, name, Kind::Open { id_bits })?;
    dir.set_secret("key", &own)?;
    keep(&dir, &Kept::Open(genesis))
}

/// A data directory that is part of no network yet, and the secret half of a key for its daemon that shows the work.
/// One that is not there is made only after that key was found.
pub(super) fn worked(path: &Path, work: IdWork, trying: &Trying) -> Result<(DataDir, [u8; 32]), AccessError> {
    let open = || {
        let dir = DataDir::open(path)?;
        check_free(&dir)?;
        Ok::<_, AccessError>(dir)
    };
    let dir = if path.exists() { Some(open()?) } else { None };
    let own = match &dir {
        Some(dir) if dir.read("key")?.is_some() => Some(dir.secret("key")?.bytes),
        _ => None,
    };
    let is_sound =
        |secret: &[u8; 32]| pair_of(secret).is_some_and(|pair| work.is_shown_by(&pair.public().to_bytes()));
    let own = match own.filter(is_sound) {
        Some(own) => own,
        None => find(work, trying)?,
    };
    Ok((dir.map_or_else(open, Ok)?, own))
}

fn check_name(name: &str) -> Result<(), AccessError> {
    if is_name(name) { Ok(()) } else { Err(AccessError::BadName(GenesisError::Name.to_string())) }
}

fn sign(founder: &ed25519::Keypair, name: &str, kind: Kind) -> Result<Genesis, AccessError> {
    let metric = chordage_dht::AnyMetric::Ring;
    let founding = Founding { name: name.to_owned(), metric, kind, redundancy: None, created: now() };
    Genesis::sign(founder, founding).map_err(|error| AccessError::BadName(error.to_string()))
}

/// From now on the data directory belongs to the network.
fn keep(dir: &DataDir, kept: &Kept) -> Result<Founded, AccessError> {
    let genesis = kept.genesis();
    let founded = Founded {
        network: genesis.founding().name.clone(),
        key: hex(genesis.key()),
        fingerprint: hex(&genesis.fingerprint().0),
        dir: dir.path().to_owned(),
    };
    dir.write(PAPERS_FILE, &kept.encode())?;
    Ok(founded)
}

/// Only what has been part of no network becomes part of another one: what it holds for others would be nobody's there.
pub(super) fn check_free(dir: &DataDir) -> Result<(), AccessError> {
    let path = || dir.path().to_owned();
    if let Some(bytes) = dir.read(PAPERS_FILE)? {
        let kept = Kept::decode(&bytes).ok();
        let network = kept.map_or("?".to_owned(), |kept| kept.genesis().founding().name.clone());
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
