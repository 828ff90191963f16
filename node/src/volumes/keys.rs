//! The keys of a volume: all of them come from one secret, or, for readers, from its name and its read key.

use chordage_api::volume::Capability;
use chordage_dht::{Namespace, RecordName};
use chordage_storage::ConvergenceSecret;
use libp2p::identity::ed25519;

/// Domains of the hashes (BLAKE3 `derive_key`).
const WRITE_CONTEXT: &str = "chordage 2026 volume write key";
const READ_CONTEXT: &str = "chordage 2026 volume read key";
const HEAD_CONTEXT: &str = "chordage 2026 volume head key";
const CONTENT_CONTEXT: &str = "chordage 2026 volume convergence secret";

/// What a volume is called everywhere: its public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct VolumeId(pub(crate) [u8; 32]);

impl std::fmt::Display for VolumeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&chordage_api::hex(&self.0))
    }
}

/// See the module's description.
#[derive(Clone)]
pub(crate) struct VolumeKeys {
    id: VolumeId,
    read_key: [u8; 32],
    secret: Option<[u8; 32]>,
    pair: Option<ed25519::Keypair>,
}

impl VolumeKeys {
    /// Those that a capability has. `None` if no key pair comes from it.
    pub(super) fn of(capability: &Capability) -> Option<Self> {
        match capability {
            Capability::Write { secret } => {
                let mut seed = blake3::derive_key(WRITE_CONTEXT, secret);
                let pair = ed25519::Keypair::from(ed25519::SecretKey::try_from_bytes(&mut seed).ok()?);
                let read_key = blake3::derive_key(READ_CONTEXT, secret);
                let id = VolumeId(pair.public().to_bytes());
                Some(Self { id, read_key, secret: Some(*secret), pair: Some(pair) })
            }
            Capability::Read { volume, read_key } => {
                Some(Self { id: VolumeId(*volume), read_key: *read_key, secret: None, pair: None })
            }
        }
    }

    /// What it is called everywhere.
    pub(super) fn id(&self) -> VolumeId {
        self.id
    }

    /// Signs what the volume says; only who may write has it.
    pub(super) fn pair(&self) -> Option<&ed25519::Keypair> {
        self.pair.as_ref()
    }

    /// What lets others read it.
    pub(super) fn reading(&self) -> Capability {
        Capability::Read { volume: self.id.0, read_key: self.read_key }
    }

    /// What lets others write to it, if it may be written to from here.
    pub(super) fn writing(&self) -> Option<Capability> {
        self.secret.map(|secret| Capability::Write { secret })
    }

    /// Opens the head.
    pub(super) fn head_key(&self) -> [u8; 32] {
        blake3::derive_key(HEAD_CONTEXT, &self.read_key)
    }

    /// Whoever writes to the volume seals equal data alike, so that it is stored once whatever machine it comes from.
    pub(super) fn convergence(&self) -> ConvergenceSecret {
        ConvergenceSecret::new(blake3::derive_key(CONTENT_CONTEXT, &self.read_key))
    }

    /// The record in which it says where its map begins.
    pub(super) fn head_record(&self) -> RecordName {
        RecordName::without_salt(Namespace::VOLUMES, self.id.0)
    }
}
