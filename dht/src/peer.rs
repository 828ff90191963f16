//! What nodes know of each other.

use alloc::{boxed::Box, sync::Arc, vec::Vec};
use core::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::{
    id::NodeId,
    params::{ADDRESS_BYTES_MAX, ADDRESSES_MAX},
    zone::Zone,
};

/// A peer as tables and messages hold it. Shared: in a simulation all nodes point to one record per peer.
pub type Peer = Arc<PeerInfo>;

/// Where a peer can be dialled: bytes that mean something to the transport only, at most 128 of them.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Box<[u8]>);

/// Why an address or a peer record was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// The address has more than 128 bytes.
    #[error("an address has at most {ADDRESS_BYTES_MAX} bytes")]
    AddressTooLong,
    /// The record has more than 8 addresses.
    #[error("a peer has at most {ADDRESSES_MAX} addresses")]
    TooManyAddresses,
}

impl Address {
    /// An address from the transport's bytes.
    pub fn new(bytes: &[u8]) -> Result<Self, PeerError> {
        if bytes.len() > ADDRESS_BYTES_MAX { Err(PeerError::AddressTooLong) } else { Ok(Self(bytes.into())) }
    }

    /// The transport's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({} bytes)", self.0.len())
    }
}

impl Serialize for Address {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl<'de> de::Visitor<'de> for Bytes {
            type Value = Address;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {ADDRESS_BYTES_MAX} bytes")
            }
            fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Address, E> {
                Address::new(bytes).map_err(E::custom)
            }
            fn visit_seq<A: de::SeqAccess<'de>>(self, mut seq: A) -> Result<Address, A::Error> {
                let mut bytes = Vec::new();
                while let Some(byte) = seq.next_element()? {
                    if bytes.len() == ADDRESS_BYTES_MAX {
                        return Err(de::Error::custom(PeerError::AddressTooLong));
                    }
                    bytes.push(byte);
                }
                Ok(Address(bytes.into()))
            }
        }
        deserializer.deserialize_bytes(Bytes)
    }
}

/// A node's record: who it is and where it can be reached.
///
/// The id is always derived from the public key, so a record cannot claim another's place. Addresses are only claims:
/// a node believes them after it has spoken with the peer there. Of two records of one peer the higher `seq` wins.
///
/// A record without addresses describes a node that only asks (a client). It is never put into a table and never
/// named to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerInfo {
    id: NodeId,
    public_key: [u8; 32],
    addrs: Box<[Address]>,
    seq: u64,
    zone: Option<Zone>,
}

impl PeerInfo {
    /// A record. Pick `seq` so that it grows with every change, also across restarts: a clock that is set back would
    /// not do.
    pub fn new(public_key: [u8; 32], addrs: Vec<Address>, seq: u64) -> Result<Self, PeerError> {
        if addrs.len() > ADDRESSES_MAX {
            return Err(PeerError::TooManyAddresses);
        }
        Ok(Self {
            id: NodeId::from_public_key(&public_key),
            public_key,
            addrs: addrs.into(),
            seq,
            zone: None,
        })
    }

    /// The same peer in the failure domain that its operator names.
    #[must_use]
    pub fn in_zone(self, zone: Option<Zone>) -> Self {
        Self { zone, ..self }
    }

    /// The same peer at other addresses.
    pub fn with_addresses(&self, addrs: Vec<Address>, seq: u64) -> Result<Self, PeerError> {
        if addrs.len() > ADDRESSES_MAX {
            return Err(PeerError::TooManyAddresses);
        }
        Ok(Self { addrs: addrs.into(), seq, ..self.clone() })
    }

    /// Its place in the network.
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The same, without a copy.
    #[inline]
    pub(crate) fn id_ref(&self) -> &NodeId {
        &self.id
    }

    /// The key the transport authenticates it by.
    pub fn public_key(&self) -> &[u8; 32] {
        &self.public_key
    }

    /// Where it says it can be reached, best first.
    pub fn addrs(&self) -> &[Address] {
        &self.addrs
    }

    /// The version of this record.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What it says that it fails together with.
    pub fn zone(&self) -> Option<&Zone> {
        self.zone.as_ref()
    }

    /// Whether it can be dialled at all.
    pub fn is_reachable(&self) -> bool {
        !self.addrs.is_empty()
    }
}

/// What a peer has in common with others in the same place: an attacker gets many addresses in one subnet or at one
/// provider far more cheaply than many places. 0 means that no limit applies (loopback, private networks, unknown).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetGroup {
    /// A tag of the subnet: /24 of IPv4, /48 of IPv6.
    pub subnet: u32,
    /// A tag of the provider: the autonomous system, or /16 of IPv4 and /32 of IPv6 where that is not known.
    pub site: u32,
}

/// Finds the group of a peer from its addresses, which only the transport can read.
pub type Grouping = fn(&PeerInfo) -> NetGroup;

/// What crosses the wire; the id is left out because it follows from the key.
#[derive(Serialize)]
struct Record<'a> {
    public_key: &'a [u8; 32],
    seq: u64,
    addrs: &'a [Address],
    zone: Option<&'a Zone>,
}

#[derive(Deserialize)]
struct OwnedRecord {
    public_key: [u8; 32],
    seq: u64,
    addrs: Vec<Address>,
    zone: Option<Zone>,
}

impl Serialize for PeerInfo {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { public_key, seq, addrs, zone, .. } = self;
        Record { public_key, seq: *seq, addrs, zone: zone.as_ref() }.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for PeerInfo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let record = OwnedRecord::deserialize(deserializer)?;
        let peer = PeerInfo::new(record.public_key, record.addrs, record.seq).map_err(de::Error::custom)?;
        Ok(peer.in_zone(record.zone))
    }
}
