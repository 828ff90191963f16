//! What is said at the gate of a private network, and between its daemons about papers.
//!
//! ```text
//!  hello    1 │ digest of revocations, 32 │ chain        by whoever dials and has a certificate
//!           2 │ invite, 16 │ proof, 32                   by whoever joins
//!  answer   1 │ digest of revocations, 32 │ chain        enter
//!           2 │ why not, UTF-8, at most 300 bytes        do not
//!           3 │ papers                                   what an invite is good for; the connection ends here
//!  request  1 │ revocations                              these are mine, which are yours?
//!           2                                            sign my certificate anew
//!           3 │ chain                                    my certificate is another one now
//!  reply    1 │ revocations                2 │ chain      3      0 │ why not
//! ```

use super::bytes::{Malformed, Reader};
use super::certificate::Chain;
use super::invite::{InviteId, Proof};
use super::revocation::Revocation;
use super::revocations::Revocations;

/// Longest reason that is given.
const WHY_MAX: usize = 300;

/// What whoever dials shows.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Hello {
    /// A certificate, and what is known of revocations.
    Member { chain: Chain, digest: [u8; 32] },
    /// That it has an invite.
    Invited { id: InviteId, proof: Proof },
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Answer {
    /// It may enter, and whom it dialled shows the same.
    Welcome { chain: Chain, digest: [u8; 32] },
    /// It may not.
    Refused(String),
    /// The papers of a new member, encoded.
    Granted(Vec<u8>),
}

/// What members want of each other.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Request {
    /// Others' revocations for one's own, of which these are all.
    Compare(Vec<Revocation>),
    /// A new certificate with the rights of the old one.
    Renew,
    /// From now on this one counts.
    Present(Chain),
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Reply {
    Compared(Vec<Revocation>),
    Renewed(Chain),
    Seen,
    Refused(String),
}

impl Hello {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Member { chain, digest } => [&[1], &digest[..], &chain.encode()].concat(),
            Self::Invited { id, proof } => [&[2], &id.0[..], &proof.0].concat(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            1 => Ok(Self::Member { digest: reader.array()?, chain: Chain::decode(reader.rest())? }),
            2 => {
                let hello = Self::Invited { id: InviteId(reader.array()?), proof: Proof(reader.array()?) };
                reader.end()?;
                Ok(hello)
            }
            _ => Err(Malformed),
        }
    }
}

impl Answer {
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Welcome { chain, digest } => [&[1], &digest[..], &chain.encode()].concat(),
            Self::Refused(why) => [&[2], within(why).as_bytes()].concat(),
            Self::Granted(papers) => [&[3], &papers[..]].concat(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            1 => Ok(Self::Welcome { digest: reader.array()?, chain: Chain::decode(reader.rest())? }),
            2 => Ok(Self::Refused(why(reader.rest())?)),
            3 => Ok(Self::Granted(reader.rest().to_vec())),
            _ => Err(Malformed),
        }
    }
}

impl Request {
    /// `all`: what a comparison shows.
    pub(crate) fn compare(all: &Revocations) -> Vec<u8> {
        [&[1], &all.encode()[..]].concat()
    }

    pub(crate) fn renew() -> Vec<u8> {
        vec![2]
    }

    pub(crate) fn present(chain: &Chain) -> Vec<u8> {
        [&[3], &chain.encode()[..]].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            1 => Ok(Self::Compare(Revocations::decode(reader.rest())?)),
            2 => {
                reader.end()?;
                Ok(Self::Renew)
            }
            3 => Ok(Self::Present(Chain::decode(reader.rest())?)),
            _ => Err(Malformed),
        }
    }
}

impl Reply {
    pub(crate) fn compared(all: &Revocations) -> Vec<u8> {
        [&[1], &all.encode()[..]].concat()
    }

    pub(crate) fn renewed(chain: &Chain) -> Vec<u8> {
        [&[2], &chain.encode()[..]].concat()
    }

    pub(crate) fn seen() -> Vec<u8> {
        vec![3]
    }

    pub(crate) fn refused(why: &str) -> Vec<u8> {
        [&[0], within(why).as_bytes()].concat()
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            0 => Ok(Self::Refused(why(reader.rest())?)),
            1 => Ok(Self::Compared(Revocations::decode(reader.rest())?)),
            2 => Ok(Self::Renewed(Chain::decode(reader.rest())?)),
            3 => {
                reader.end()?;
                Ok(Self::Seen)
            }
            _ => Err(Malformed),
        }
    }
}

/// As much of a reason as may be given.
fn within(why: &str) -> &str {
    let cut = (0..=why.len().min(WHY_MAX)).rev().find(|cut| why.is_char_boundary(*cut));
    &why[..cut.unwrap_or(0)]
}

/// A reason that others give. It may come before a user's eyes, so it moves no cursor.
fn why(bytes: &[u8]) -> Result<String, Malformed> {
    let text = core::str::from_utf8(bytes).map_err(|_| Malformed)?;
    let is_fit = text.len() <= WHY_MAX && !text.chars().any(char::is_control);
    if is_fit { Ok(text.to_owned()) } else { Err(Malformed) }
}

#[cfg(test)]
mod tests {
    use super::super::samples::{MEMBER, NOW, founder, genesis, key, pair};
    use super::*;

    fn chain() -> Chain {
        let (genesis, pair) = (genesis(1), pair(1));
        founder(&genesis, &pair).issue(&key(2), MEMBER, (NOW, 1000), 7).expect("the founder may sign")
    }

    #[test]
    fn all_that_is_said_is_understood_and_nothing_else() {
        let hellos = [
            Hello::Member { chain: chain(), digest: [3; 32] },
            Hello::Invited { id: InviteId([4; 16]), proof: Proof([5; 32]) },
        ];
        for hello in hellos {
            let bytes = hello.encode();
            let again = Hello::decode(&bytes).expect("what was written");
            assert_eq!(again.encode(), bytes);
            assert!(Hello::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Hello::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        let answers = [
            Answer::Welcome { chain: chain(), digest: [3; 32] },
            Answer::Refused("no".to_owned()),
            Answer::Granted(vec![1, 2]),
        ];
        for answer in answers {
            assert_eq!(Answer::decode(&answer.encode()), Ok(answer));
        }
        let none = Revocations::default();
        assert_eq!(Request::decode(&Request::compare(&none)), Ok(Request::Compare(Vec::new())));
        assert_eq!(Request::decode(&Request::renew()), Ok(Request::Renew));
        assert_eq!(Request::decode(&Request::present(&chain())), Ok(Request::Present(chain())));
        assert_eq!(Reply::decode(&Reply::compared(&none)), Ok(Reply::Compared(Vec::new())));
        assert_eq!(Reply::decode(&Reply::renewed(&chain())), Ok(Reply::Renewed(chain())));
        assert_eq!(Reply::decode(&Reply::seen()), Ok(Reply::Seen));
        assert_eq!(Reply::decode(&Reply::refused("no")), Ok(Reply::Refused("no".to_owned())));
        for nothing in [&[][..], &[9], &[3, 0]] {
            assert!(Hello::decode(nothing).is_err());
            assert_eq!(Request::decode(nothing), Err(Malformed));
            assert_eq!(Reply::decode(nothing), Err(Malformed));
        }
    }

    #[test]
    fn a_reason_is_short_and_moves_no_cursor() {
        let long = "ü".repeat(WHY_MAX);
        let Ok(Answer::Refused(why)) = Answer::decode(&Answer::Refused(long).encode()) else {
            panic!("a reason that is cut")
        };
        assert_eq!(why.len(), WHY_MAX);
        assert_eq!(Answer::decode(b"\x02a\x1b[2J"), Err(Malformed));
        assert_eq!(Answer::decode(&[2, 0xff]), Err(Malformed));
    }
}
