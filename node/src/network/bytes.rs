//! What the formats of this room have in common: fixed layouts with numbers in big endian, of which each meaning has
//! one encoding; and signatures that say what they are for.

use chordage_dht::Signature;
use libp2p::identity::ed25519;

use super::NetworkFingerprint;

/// Bytes that are not what they should be: too short, too long, out of the limits, or of another version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is damaged, or made by a newer version of chordage")]
pub(crate) struct Malformed;

/// Reads a layout from its beginning.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    pub(super) fn slice(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (slice, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(slice)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    /// A byte that can only be this one.
    pub(super) fn version(&mut self, version: u8) -> Result<(), Malformed> {
        if self.byte()? == version { Ok(()) } else { Err(Malformed) }
    }

    /// 0 or 1.
    pub(super) fn flag(&mut self) -> Result<bool, Malformed> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn network(&mut self) -> Result<NetworkFingerprint, Malformed> {
        Ok(NetworkFingerprint(self.array()?))
    }

    pub(super) fn signature(&mut self) -> Result<Signature, Malformed> {
        Ok(Signature(self.array()?))
    }

    /// Bytes behind their length, which is one byte.
    pub(super) fn short(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.byte()?;
        self.slice(len.into())
    }

    /// A text behind its length.
    pub(super) fn text(&mut self) -> Result<String, Malformed> {
        let text = core::str::from_utf8(self.short()?).map_err(|_| Malformed)?;
        Ok(text.to_owned())
    }

    /// All that is left.
    pub(super) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.0)
    }

    /// Nothing may be left.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

/// Writes bytes behind their length. The limits of all that is written like this are below 256.
pub(super) fn put_short(bytes: &mut Vec<u8>, short: &[u8]) {
    bytes.push(short.len() as u8);
    bytes.extend_from_slice(short);
}

fn with_context(context: &str, statement: &[u8]) -> Vec<u8> {
    [context.as_bytes(), &[0], statement].concat()
}

/// Signs a statement. The context says what it is, so that a signature for one thing is never one for another.
pub(super) fn sign(pair: &ed25519::Keypair, context: &str, statement: &[u8]) -> Signature {
    // Ed25519 signatures have 64 bytes.
    Signature(pair.sign(&with_context(context, statement)).try_into().unwrap_or([0; 64]))
}

/// Whether the key has signed the statement.
pub(super) fn has_signed(key: &[u8; 32], context: &str, statement: &[u8], signature: &Signature) -> bool {
    ed25519::PublicKey::try_from_bytes(key)
        .is_ok_and(|key| key.verify(&with_context(context, statement), &signature.0))
}

#[cfg(test)]
mod tests {
    use super::super::samples::pair;
    use super::*;

    #[test]
    fn a_signature_is_for_one_key_one_context_and_one_statement() {
        let signature = sign(&pair(1), "this", b"statement");
        let [own, other] = [1, 2].map(|seed| pair(seed).public().to_bytes());
        assert!(has_signed(&own, "this", b"statement", &signature));
        assert!(!has_signed(&other, "this", b"statement", &signature));
        assert!(!has_signed(&own, "that", b"statement", &signature));
        assert!(!has_signed(&own, "this", b"statement.", &signature));
        assert!(!has_signed(&[2; 32], "this", b"statement", &signature), "not a point on the curve");
    }

    #[test]
    fn nothing_is_read_that_is_not_there() {
        let mut reader = Reader::new(&[1, 2, b'a', b'b', 2]);
        assert_eq!(reader.flag(), Ok(true));
        assert_eq!(reader.text().as_deref(), Ok("ab"));
        assert_eq!(reader.end(), Err(Malformed));
        assert_eq!(reader.number(), Err(Malformed));
        assert_eq!(reader.short(), Err(Malformed));
        assert_eq!(reader.end(), Ok(()), "a length was read, and what it announces is missing");
        assert_eq!(Reader::new(&[2]).flag(), Err(Malformed));
        assert_eq!(Reader::new(&[1, 0xff]).text(), Err(Malformed), "not UTF-8");
        assert_eq!(Reader::new(&[2]).version(1), Err(Malformed));
    }
}
