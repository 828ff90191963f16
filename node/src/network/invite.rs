//! What somebody is given who is to join a private network: one line of text with a secret, and where to go with it.
//!
//! ```text
//!  payload  version 1 │ secret, 16 │ network, 16 │ network key, 32 │ name length │ name │ issuer, 32 │ expires u64
//!           │ number of addresses: 1 to 8 │ for each: length │ multiaddr, at most 128
//! ```
//! How the line is made of it is said in `text`.
//!
//! The secret never travels: who joins proves to know it, to the issuer alone and for its own key alone. Whoever
//! listens, or is dialled instead of the issuer, cannot use what it hears.

use std::fmt;

use data_encoding::HEXLOWER;
use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

use super::bytes::{Malformed, Reader, put_short};
use super::text::{InviteError, are_addresses, put_addresses, read_addresses, write};
use super::{NetworkFingerprint, is_name};

/// What a payload of this kind begins with.
pub(super) const VERSION: u8 = 1;
/// Domains of the hashes (BLAKE3 `derive_key`).
const ID_CONTEXT: &str = "chordage 2026 invite id";
const PROOF_CONTEXT: &str = "chordage 2026 invite proof key";

/// Names an invite without giving away its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct InviteId(pub(crate) [u8; 16]);

impl fmt::Display for InviteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// What of the secret is needed to prove and to check. As secret as that.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProofKey([u8; 32]);

impl fmt::Debug for ProofKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProofKey(..)")
    }
}

/// Shows the issuer that whoever joins has the invite. It is good for these two keys only.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Proof(pub(crate) [u8; 32]);

/// The name of the invite with this secret, and what proves it.
pub(crate) fn keys_of(secret: &[u8; 16]) -> (InviteId, ProofKey) {
    let mut id = [0; 16];
    id.copy_from_slice(&blake3::derive_key(ID_CONTEXT, secret)[..16]);
    (InviteId(id), ProofKey(blake3::derive_key(PROOF_CONTEXT, secret)))
}

impl ProofKey {
    fn hash(&self, joiner: &[u8; 32], issuer: &[u8; 32], id: InviteId) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        hasher.update(joiner).update(issuer).update(&id.0);
        hasher.finalize()
    }

    /// Whether the proof is right, in a time that does not depend on where it is wrong.
    pub(super) fn is_proved(
        &self,
        proof: &Proof,
        joiner: &[u8; 32],
        issuer: &[u8; 32],
        id: InviteId,
    ) -> bool {
        // Hashes are compared in constant time.
        self.hash(joiner, issuer, id) == blake3::Hash::from_bytes(proof.0)
    }
}

/// What an invite says besides its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Invitation {
    /// Which network: its genesis has to have this fingerprint.
    pub(crate) network: NetworkFingerprint,
    /// Its newest key.
    pub(crate) network_key: [u8; 32],
    /// What to call it.
    pub(crate) name: String,
    /// The key of the daemon that redeems the invite.
    pub(crate) issuer: [u8; 32],
    /// Where that daemon is, best first; 1 to 8. Only claims, as all addresses.
    pub(crate) addresses: Vec<Multiaddr>,
    /// Seconds since 1970. The issuer decides by its own clock.
    pub(crate) expires: u64,
}

/// A way into a private network for whoever has it. Its `Display` is the text to give away.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Invite {
    secret: [u8; 16],
    invitation: Invitation,
}

impl Invite {
    /// `secret`: random, and never used before. None if the name, or number or length of addresses are out of their
    /// limits.
    pub(crate) fn new(secret: [u8; 16], invitation: Invitation) -> Option<Self> {
        let is_sound = is_name(&invitation.name) && are_addresses(&invitation.addresses);
        is_sound.then_some(Self { secret, invitation })
    }

    /// What it says besides the secret.
    pub(crate) fn invitation(&self) -> &Invitation {
        &self.invitation
    }

    /// By what the issuer knows it.
    pub(crate) fn id(&self) -> InviteId {
        keys_of(&self.secret).0
    }

    /// Shows its issuer that a daemon with this key has it.
    pub(crate) fn prove(&self, joiner: &[u8; 32]) -> Proof {
        let (id, key) = keys_of(&self.secret);
        Proof(*key.hash(joiner, &self.invitation.issuer, id).as_bytes())
    }

    fn payload(&self) -> Vec<u8> {
        let Invitation { network, network_key, name, issuer, addresses, expires } = &self.invitation;
        let mut bytes = vec![VERSION];
        bytes.extend(self.secret);
        bytes.extend(network.0);
        bytes.extend(network_key);
        put_short(&mut bytes, name.as_bytes());
        bytes.extend(issuer);
        bytes.extend(expires.to_be_bytes());
        put_addresses(&mut bytes, addresses);
        bytes
    }

    pub(super) fn read(payload: &[u8]) -> Result<Self, InviteError> {
        let mut reader = Reader::new(payload);
        reader.version(VERSION)?;
        let secret = reader.array()?;
        let network = reader.network()?;
        let network_key = reader.array()?;
        let name = reader.text()?;
        let issuer = reader.array()?;
        let expires = reader.number()?;
        let addresses = read_addresses(&mut reader)?;
        reader.end()?;
        let invitation = Invitation { network, network_key, name, issuer, addresses, expires };
        Ok(Self::new(secret, invitation).ok_or(Malformed)?)
    }
}

impl fmt::Display for Invite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, self.payload())
    }
}

impl fmt::Debug for Invite {
    /// Never the secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invite").field("invitation", &self.invitation).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{NOW, genesis, key};
    use super::super::text::{ADDRESS_BYTES_MAX, ADDRESSES_MAX, PREFIX, TEXT_MAX, WayIn, text_of};
    use super::*;

    const SECRET: [u8; 16] = [0x5e; 16];

    fn addresses(texts: &[&str]) -> Vec<Multiaddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    fn invitation() -> Invitation {
        Invitation {
            network: genesis(1).fingerprint(),
            network_key: key(1),
            name: "ours".to_owned(),
            issuer: key(2),
            addresses: addresses(&["/ip4/192.0.2.7/tcp/4700", "/dns4/home.example/udp/4700/quic-v1"]),
            expires: NOW,
        }
    }

    fn invite() -> Invite {
        Invite::new(SECRET, invitation()).expect("sound")
    }

    #[test]
    fn a_text_leads_to_the_same_invite_and_mistakes_are_told_apart() {
        let text = invite().to_string();
        assert_eq!(
            text.len(),
            PREFIX.len() + ((1 + 16 + 16 + 32 + 5 + 32 + 8 + 1 + 9 + 21 + 4) * 8_usize).div_ceil(5)
        );
        for same in [text.clone(), text.to_uppercase(), format!(" {text}\n")] {
            assert_eq!(same.parse(), Ok(WayIn::Private(invite())));
        }
        for foreign in [
            "",
            "chord1r",
            "chordage-invite",
            "https://example.org",
            "\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}\u{e4}",
        ] {
            assert_eq!(foreign.parse::<WayIn>(), Err(InviteError::NotAnInvite), "{foreign}");
        }
        let long = format!("{text}{}", "a".repeat(TEXT_MAX));
        for mistyped in [PREFIX, &text[..text.len() - 1], &format!("{text}a"), &format!("{text}="), &long] {
            assert_eq!(mistyped.parse::<WayIn>(), Err(InviteError::Checksum), "{mistyped}");
        }
        for at in PREFIX.len()..text.len() {
            let mut changed = text.clone();
            changed.replace_range(at..=at, if &text[at..=at] == "a" { "b" } else { "a" });
            assert_eq!(changed.parse::<WayIn>(), Err(InviteError::Checksum), "{changed}");
        }
    }

    #[test]
    fn what_this_version_does_not_understand_is_refused() {
        let parse = |payload: &[u8]| text_of(payload).parse::<WayIn>().map(|_| ());
        let payload = invite().payload();
        assert_eq!(parse(&payload), Ok(()));
        let malformed = Err(InviteError::Malformed(Malformed));
        assert_eq!(parse(&[&[2], &payload[1..]].concat()), malformed, "it is no line of an open network");
        assert_eq!(parse(&[&[3], &payload[1..]].concat()), Err(InviteError::NewerVersion));
        assert_eq!(parse(&[&[0], &payload[1..]].concat()), malformed);
        assert_eq!(parse(&[&payload[..], &[0]].concat()), malformed);
        assert_eq!(parse(&payload[..payload.len() - 1]), malformed);
        assert_eq!(parse(&[]), malformed);
        let with = |change: fn(&mut Invitation)| {
            let mut invite = invite();
            change(&mut invite.invitation);
            assert_eq!(Invite::new(SECRET, invite.invitation.clone()), None);
            parse(&invite.payload())
        };
        assert_eq!(with(|invitation| invitation.addresses.clear()), malformed);
        assert_eq!(
            with(|invitation| invitation.addresses = vec![invitation.addresses[0].clone(); 9]),
            malformed
        );
        assert_eq!(with(|invitation| invitation.addresses[0] = Multiaddr::empty()), malformed);
        assert_eq!(with(|invitation| invitation.name = "No".to_owned()), malformed);
        let bell = |invitation: &mut Invitation| invitation.addresses = addresses(&["/dns4/a\u{7}/tcp/1"]);
        assert_eq!(with(bell), malformed);
        let long = |invitation: &mut Invitation| {
            let name = "a".repeat(ADDRESS_BYTES_MAX);
            invitation.addresses = addresses(&[&format!("/dns4/{name}/tcp/1")]);
        };
        assert_eq!(with(long), malformed);
    }

    #[test]
    fn the_longest_invite_is_read() {
        let name = "a".repeat(ADDRESS_BYTES_MAX - 2 - 3);
        let longest = Invitation {
            name: "n".repeat(32),
            addresses: addresses(&[format!("/dns4/{name}/tcp/1").as_str(); ADDRESSES_MAX]),
            ..invitation()
        };
        assert_eq!(longest.addresses[0].len(), ADDRESS_BYTES_MAX);
        let longest = Invite::new(SECRET, longest).expect("within the limits");
        assert_eq!(longest.to_string().parse(), Ok(WayIn::Private(longest)));
    }

    #[test]
    fn the_secret_is_shown_in_the_text_only() {
        let shown = format!("{:?} {:?} {:?}", invite(), keys_of(&SECRET), invite().id());
        assert!(!shown.contains("5e") && !shown.contains("94, 94"), "{shown}");
        let (id, key) = keys_of(&SECRET);
        assert_ne!(id.0, key.0[..16]);
        assert_ne!(id.0, SECRET);
    }

    #[test]
    fn a_proof_is_good_for_one_joiner_one_issuer_and_one_invite() {
        let proof = invite().prove(&key(3));
        let (id, proof_key) = keys_of(&SECRET);
        let (other_id, other_key) = keys_of(&[0; 16]);
        assert!(proof_key.is_proved(&proof, &key(3), &key(2), id));
        assert!(!proof_key.is_proved(&proof, &key(4), &key(2), id));
        assert!(!proof_key.is_proved(&proof, &key(3), &key(4), id));
        assert!(!proof_key.is_proved(&proof, &key(3), &key(2), other_id));
        assert!(!other_key.is_proved(&proof, &key(3), &key(2), id));
    }

    proptest! {
        #[test]
        fn an_invite_comes_back_and_nothing_else_passes_for_it(
            secret: [u8; 16], name in "[a-z0-9-]{1,32}", ports in prop::collection::vec(any::<u16>(), 1..=8), expires: u64,
            at: prop::sample::Index, other in "[a-z2-7]",
        ) {
            let addresses = ports.iter().map(|port| format!("/ip6/2001:db8::1/udp/{port}/quic-v1").parse().expect("an address"));
            let addresses = addresses.collect();
            let invite = Invite::new(secret, Invitation { name, addresses, expires, ..invitation() }).expect("sound");
            let text = invite.to_string();
            prop_assert_eq!(text.parse(), Ok(WayIn::Private(invite)));
            let at = PREFIX.len() + at.index(text.len() - PREFIX.len());
            prop_assert!(text[..at].parse::<WayIn>().is_err());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &other);
            prop_assert!(changed == text || changed.parse::<WayIn>().is_err());
        }
    }
}
