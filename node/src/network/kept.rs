//! What a data directory has of the network that it belongs to, if the network is more than a name.
//!
//! ```text
//!  papers       of a private network, whose first byte is 1
//!  2 │ genesis  of an open one
//! ```

use super::bytes::Malformed;
use super::genesis::{Genesis, Kind};
use super::papers::Papers;

/// What that of an open network begins with.
const OPEN: u8 = 2;

/// See the module's description.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "there is one, for a moment")]
pub(crate) enum Kept {
    Private(Papers),
    Open(Genesis),
}

impl Kept {
    /// What the network is.
    pub(crate) fn genesis(&self) -> &Genesis {
        match self {
            Self::Private(papers) => papers.genesis(),
            Self::Open(genesis) => genesis,
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Private(papers) => papers.encode(),
            Self::Open(genesis) => [&[OPEN], &genesis.encode()[..]].concat(),
        }
    }

    /// Reads what [`Kept::encode`] has written, and checks its signatures as [`Papers::decode`] does.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some((&OPEN, genesis)) = bytes.split_first() else {
            return Ok(Self::Private(Papers::decode(bytes)?));
        };
        let genesis = Genesis::decode(genesis).map_err(|_| Malformed)?;
        match genesis.founding().kind {
            Kind::Open { .. } => Ok(Self::Open(genesis)),
            // In a private network somebody belongs to it by a certificate only.
            Kind::Private => Err(Malformed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{DAY, MEMBER, NOW, founder, genesis, key, open_genesis, pair};
    use super::*;

    #[test]
    fn both_kinds_come_back_and_neither_passes_for_the_other() {
        let open = Kept::Open(open_genesis(1, 9));
        let bytes = open.encode();
        assert_eq!(Kept::decode(&bytes), Ok(open));
        for end in 0..bytes.len() {
            assert_eq!(Kept::decode(&bytes[..end]), Err(Malformed), "{end}");
        }
        let (of, signer) = (genesis(1), pair(1));
        let chain = founder(&of, &signer).issue(&key(4), MEMBER, (NOW, DAY), 1).expect("a network key");
        let private = Kept::Private(Papers::new(of.clone(), chain));
        assert_eq!(Kept::decode(&private.encode()), Ok(private));
        // Nobody leaves out the certificate.
        assert_eq!(Kept::decode(&Kept::Open(of).encode()), Err(Malformed));
        let mut forged = bytes;
        forged[2] ^= 1;
        assert_eq!(Kept::decode(&forged), Err(Malformed));
    }
}
