//! The one line of text by which somebody comes into a network, whatever stands in it.
//!
//! ```text
//!  chordage-invite:<base32 of  payload │ checksum, 4>
//!  payload  1 │ …  an invite into a private network       2 │ …  the way into an open one
//! ```
//! Lower-case RFC 4648 base32 without padding, as in links; upper case is read too, which makes for smaller QR codes.
//! The checksum is a hash of the payload.

use std::fmt;
use std::str::FromStr;

use data_encoding::BASE32_NOPAD;
use libp2p::Multiaddr;

use super::bytes::{Malformed, Reader, put_short};
use super::invite::{self, Invite};
use super::open_invite::{self, OpenInvite};

pub(super) const PREFIX: &str = "chordage-invite:";
const CHECKSUM_LEN: usize = 4;
/// Domain of the hash (BLAKE3 `derive_key`).
const CHECKSUM_CONTEXT: &str = "chordage 2026 invite checksum";
/// Addresses of a daemon at most, and bytes of one: as many as the overlay tells.
pub(crate) const ADDRESSES_MAX: usize = 8;
pub(crate) const ADDRESS_BYTES_MAX: usize = 128;
/// Longest text that is read, characters: more than all of the above make.
pub(crate) const TEXT_MAX: usize = 2048;

/// Why a text is no invite.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum InviteError {
    #[error("this is not an invite: invites begin with {PREFIX}")]
    NotAnInvite,
    #[error("this invite is mistyped, or a part of it is missing: its checksum does not match")]
    Checksum,
    #[error("this invite needs a newer version of chordage")]
    NewerVersion,
    #[error("this invite cannot be read: {0}")]
    Malformed(#[from] Malformed),
    /// The network's founder did not say that.
    #[error("this invite is forged: what it says of the network is not signed with the network's key")]
    Forged,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum WayIn {
    /// Into a private network, with a secret.
    Private(Invite),
    /// Into an open one, for everybody.
    Open(OpenInvite),
}

impl FromStr for WayIn {
    type Err = InviteError;

    /// Reads it in either case, with or without white space around it.
    fn from_str(text: &str) -> Result<Self, InviteError> {
        let payload = payload_of(text)?;
        match payload.first() {
            Some(&invite::VERSION) => Ok(Self::Private(Invite::read(&payload)?)),
            Some(&open_invite::VERSION) => Ok(Self::Open(OpenInvite::read(&payload)?)),
            Some(version) if *version > open_invite::VERSION => Err(InviteError::NewerVersion),
            _ => Err(Malformed.into()),
        }
    }
}

/// Writes the line of a payload.
pub(super) fn write(f: &mut fmt::Formatter<'_>, mut payload: Vec<u8>) -> fmt::Result {
    payload.extend(checksum(&payload));
    write!(f, "{PREFIX}{}", BASE32_NOPAD.encode(&payload).to_ascii_lowercase())
}

fn payload_of(text: &str) -> Result<Vec<u8>, InviteError> {
    let text = text.trim();
    let begins_so = text.get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX));
    if !begins_so {
        return Err(InviteError::NotAnInvite);
    }
    if text.len() > TEXT_MAX {
        return Err(InviteError::Checksum);
    }
    let base32 = text[PREFIX.len()..].to_ascii_uppercase();
    let bytes = BASE32_NOPAD.decode(base32.as_bytes()).map_err(|_| InviteError::Checksum)?;
    let (payload, told) = bytes.split_last_chunk().ok_or(InviteError::Checksum)?;
    if *told == checksum(payload) { Ok(payload.to_vec()) } else { Err(InviteError::Checksum) }
}

fn checksum(payload: &[u8]) -> [u8; CHECKSUM_LEN] {
    let [a, b, c, d, ..] = blake3::derive_key(CHECKSUM_CONTEXT, payload);
    [a, b, c, d]
}

/// Whether so many addresses can stand in a line, and can be shown.
pub(super) fn are_addresses(addresses: &[Multiaddr]) -> bool {
    let is_address = |address: &Multiaddr| {
        let is_short = (1..=ADDRESS_BYTES_MAX).contains(&address.len());
        is_short && !address.to_string().chars().any(char::is_control)
    };
    (1..=ADDRESSES_MAX).contains(&addresses.len()) && addresses.iter().all(is_address)
}

/// Writes addresses behind their number.
pub(super) fn put_addresses(bytes: &mut Vec<u8>, addresses: &[Multiaddr]) {
    bytes.push(addresses.len() as u8);
    for address in addresses {
        put_short(bytes, address.as_ref());
    }
}

/// Reads what [`put_addresses`] has written. [`are_addresses`] says whether it is sound.
pub(super) fn read_addresses(reader: &mut Reader<'_>) -> Result<Vec<Multiaddr>, Malformed> {
    // A byte says at most 255.
    let count = reader.byte()?;
    let address = |_| Multiaddr::try_from(reader.short()?.to_vec()).map_err(|_| Malformed);
    (0..count).map(address).collect()
}

/// The line of a payload, whatever that is.
#[cfg(test)]
pub(super) fn text_of(payload: &[u8]) -> String {
    let bytes = [payload, &checksum(payload)].concat();
    format!("{PREFIX}{}", BASE32_NOPAD.encode(&bytes).to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_pasted_is_read_or_refused(
            text in ".*", kind in 0..4_u8, payload in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let _ = text.parse::<WayIn>();
            let _ = format!("{PREFIX}{text}").parse::<WayIn>();
            let _ = text_of(&payload).parse::<WayIn>();
            let _ = text_of(&[&[kind], &payload[..]].concat()).parse::<WayIn>();
        }
    }
}
