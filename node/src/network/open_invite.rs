//! The way into an open network: what the network is, and where somebody of it can be reached. There is no secret in
//! it, and it does not end.
//!
//! ```text
//!  payload  2 │ genesis length │ genesis │ key of a daemon, 32 │ number of addresses: 1 to 8 │ for each: length │ multiaddr
//! ```
//! The line that it makes is written as that of an invite into a private network is (`text`).

use std::fmt;

use libp2p::Multiaddr;

use super::bytes::{Malformed, Reader, put_short};
use super::genesis::{Genesis, GenesisError, Kind};
use super::text::{InviteError, are_addresses, put_addresses, read_addresses, write};

/// What a payload of this kind begins with.
pub(super) const VERSION: u8 = 2;

/// See the module's description. Its `Display` is the text to give away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OpenInvite {
    genesis: Genesis,
    daemon: [u8; 32],
    addresses: Vec<Multiaddr>,
}

impl OpenInvite {
    /// None if the network is a private one, the key lacks the work that the network asks for, or number or length of
    /// addresses are out of their limits.
    pub(crate) fn new(genesis: Genesis, daemon: [u8; 32], addresses: Vec<Multiaddr>) -> Option<Self> {
        let is_open = matches!(genesis.founding().kind, Kind::Open { .. });
        let is_sound = is_open && genesis.work().is_shown_by(&daemon) && are_addresses(&addresses);
        is_sound.then_some(Self { genesis, daemon, addresses })
    }

    /// The network.
    pub(crate) fn genesis(&self) -> &Genesis {
        &self.genesis
    }

    /// The key of a daemon of the network, which has the work.
    pub(crate) fn daemon(&self) -> &[u8; 32] {
        &self.daemon
    }

    /// Where that daemon is, best first; 1 to 8. Only claims, as all addresses.
    pub(crate) fn addresses(&self) -> &[Multiaddr] {
        &self.addresses
    }

    fn payload(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        // At most 143 bytes.
        put_short(&mut bytes, &self.genesis.encode());
        bytes.extend(self.daemon);
        put_addresses(&mut bytes, &self.addresses);
        bytes
    }

    pub(super) fn read(payload: &[u8]) -> Result<Self, InviteError> {
        let mut reader = Reader::new(payload);
        reader.version(VERSION)?;
        let genesis = Genesis::decode(reader.short()?).map_err(|error| match error {
            GenesisError::BadSignature => InviteError::Forged,
            _ => InviteError::Malformed(Malformed),
        })?;
        let (daemon, addresses) = (reader.array()?, read_addresses(&mut reader)?);
        reader.end()?;
        Ok(Self::new(genesis, daemon, addresses).ok_or(Malformed)?)
    }
}

impl fmt::Display for OpenInvite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.payload())
    }
}

#[cfg(test)]
mod tests {
    use chordage_dht::AnyMetric;
    use proptest::prelude::*;

    use super::super::genesis::Founding;
    use super::super::samples::{genesis, key, open_genesis, pair};
    use super::super::text::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, PREFIX, TEXT_MAX, WayIn, text_of};
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn invite() -> OpenInvite {
        let addresses = addresses(&["/ip4/192.0.2.7/tcp/4700", "/dns4/home.example/udp/4700/quic-v1"]);
        OpenInvite::new(open_genesis(1, 0), key(2), addresses).expect("sound")
    }

    /// What becomes of a payload whose checksum is right.
    fn read(payload: &[u8]) -> Result<OpenInvite, InviteError> {
        match text_of(payload).parse()? {
            WayIn::Open(invite) => Ok(invite),
            WayIn::Private(invite) => panic!("another kind: {invite:?}"),
        }
    }

    #[test]
    fn a_line_leads_to_the_same_network_and_mistakes_are_noticed() {
        let text = invite().to_string();
        for same in [text.clone(), text.to_uppercase(), format!(" {text}\n")] {
            assert_eq!(same.parse(), Ok(WayIn::Open(invite())));
        }
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone();
            changed.replace_range(at..=at, if &text[at..=at] == "a" { "b" } else { "a" });
            assert_eq!(changed.parse::<WayIn>(), Err(InviteError::Checksum), "{changed}");
        }
    }

    #[test]
    fn whoever_alters_a_line_and_its_checksum_too_forges_a_signature_in_vain() {
        let payload = invite().payload();
        assert_eq!(read(&payload), Ok(invite()));
        let malformed = Err(InviteError::Malformed(Malformed));
        let name = 2 + 1 + 32 + 1;
        let bits = name + 4 + 1 + 1;
        for at in [name, bits] {
            let mut altered = payload.clone();
            altered[at] ^= 1;
            assert_eq!(read(&altered), Err(InviteError::Forged), "{at}");
        }
        assert_eq!(read(&[&payload[..], &[0]].concat()), malformed);
        assert_eq!(read(&payload[..payload.len() - 1]), malformed);
        assert_eq!(read(&[VERSION]), malformed);
        // A private invite is not an open one because it says so.
        let as_private = text_of(&[&[1], &payload[1..]].concat());
        assert_eq!(as_private.parse::<WayIn>(), Err(InviteError::Malformed(Malformed)));
    }

    #[test]
    fn a_private_network_has_no_open_line_and_a_daemon_without_the_work_gives_none() {
        let addresses = || addresses(&["/ip4/192.0.2.7/tcp/4700"]);
        assert_eq!(OpenInvite::new(genesis(1), key(2), addresses()), None);
        assert_eq!(OpenInvite::new(open_genesis(1, 0), key(2), Vec::new()), None);
        let (mut with, mut without) = (0, 0);
        for seed in 0..64 {
            match OpenInvite::new(open_genesis(1, 2), key(seed), addresses()) {
                Some(_) => with += 1,
                None => without += 1,
            }
        }
        assert!(with > 0 && without > with, "{with} of {} have the work", with + without);
        let lacking = OpenInvite { genesis: open_genesis(1, 32), ..invite() };
        assert_eq!(read(&lacking.payload()), Err(InviteError::Malformed(Malformed)));
    }

    #[test]
    fn the_longest_line_is_read() {
        let name = "a".repeat(ADDRESS_BYTES_MAX - 2 - 3);
        let longest = addresses(&[format!("/dns4/{name}/tcp/1").as_str(); ADDRESSES_MAX]);
        let founding = Founding { name: "n".repeat(32), ..open_genesis(1, 0).founding().clone() };
        let genesis = Genesis::sign(&pair(1), founding).expect("sound");
        let longest = OpenInvite::new(genesis, key(2), longest).expect("within the limits");
        assert!(longest.to_string().len() <= TEXT_MAX);
        assert_eq!(longest.to_string().parse(), Ok(WayIn::Open(longest)));
    }

    proptest! {
        #[test]
        fn a_line_comes_back(name in "[a-z0-9-]{1,32}", ports in prop::collection::vec(any::<u16>(), 1..=8), xor: bool) {
            let addresses = ports.iter().map(|port| format!("/ip6/2001:db8::1/udp/{port}/quic-v1").parse().expect("an address"));
            let metric = if xor { AnyMetric::Xor } else { AnyMetric::Ring };
            let founding = Founding { name, metric, ..open_genesis(1, 0).founding().clone() };
            let genesis = Genesis::sign(&pair(1), founding).expect("sound");
            let invite = OpenInvite::new(genesis, key(2), addresses.collect()).expect("sound");
            prop_assert_eq!(invite.to_string().parse(), Ok(WayIn::Open(invite)));
        }
    }
}
