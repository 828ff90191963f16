//! What is said at the gate of a private network, and between its daemons about papers.
//!
//! ```text
//!  hello    1 │ digest, 32 │ chain                       by whoever dials and has a certificate
//!           2 │ invite, 16 │ proof, 32                   by whoever joins
//!           3 │ digest, 32 │ successions │ chain         as 1, when other network keys have followed the founder's
//!  answer   1 │ digest, 32 │ chain                       enter
//!           2 │ why not, UTF-8, at most 300 bytes        do not
//!           3 │ papers                                   what an invite is good for; the connection ends here
//!           4 │ digest, 32 │ successions │ chain         as 1
//!  request  1 │ revocations                              these are mine, which are yours?
//!           2                                            sign my certificate anew
//!           3 │ chain                                    my certificate is another one now
//!           4 │ successions                              so the network's keys have followed each other
//!  reply    1 │ revocations                2 │ chain      3      0 │ why not
//!
//!  successions   number, at least 1 │ succession, 161 each
//! ```
//! Who has not heard yet of a new network key hears of it at the gate, before it judges a certificate under that key.

use super::bytes::{Malformed, Reader};
use super::certificate::Chain;
use super::invite::{InviteId, Proof};
use super::papers::SUCCESSIONS_MAX;
use super::revocation::Revocation;
use super::revocations::Revocations;
use super::succession::Succession;

/// Longest reason that is given.
const WHY_MAX: usize = 300;

/// What members show each other at the gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Why it belongs to the network.
    pub(crate) chain: Chain,
    /// Names what it knows of revocations and network keys.
    pub(crate) digest: [u8; 32],
    /// How the network's keys followed each other: most networks have only ever had one.
    pub(crate) successions: Vec<Succession>,
}

impl Standing {
    /// Behind one of two kinds: without successions, and with them.
    fn encode(&self, (plain, with_successions): (u8, u8)) -> Vec<u8> {
        let mut bytes = vec![if self.successions.is_empty() { plain } else { with_successions }];
        bytes.extend(self.digest);
        if !self.successions.is_empty() {
            put_successions(&mut bytes, &self.successions);
        }
        bytes.extend(self.chain.encode());
        bytes
    }

    fn read(reader: &mut Reader<'_>, with_successions: bool) -> Result<Self, Malformed> {
        let digest = reader.array()?;
        let successions = if with_successions { read_successions(reader)? } else { Vec::new() };
        Ok(Self { digest, successions, chain: Chain::decode(reader.rest())? })
    }
}

fn put_successions(bytes: &mut Vec<u8>, successions: &[Succession]) {
    // At most 64.
    bytes.push(successions.len() as u8);
    for succession in successions {
        bytes.extend(succession.encode());
    }
}

fn read_successions(reader: &mut Reader<'_>) -> Result<Vec<Succession>, Malformed> {
    match reader.byte()? {
        count if (1..=SUCCESSIONS_MAX).contains(&count.into()) => {
            (0..count).map(|_| Succession::read(reader)).collect()
        }
        _ => Err(Malformed),
    }
}

/// What whoever dials shows.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Hello {
    /// A certificate, and what is known of revocations and network keys.
    Member(Standing),
    /// That it has an invite.
    Invited { id: InviteId, proof: Proof },
}

/// What it is answered.
#[derive(Debug, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "few at a time, and none is kept")]
pub(crate) enum Answer {
    /// It may enter, and whom it dialled shows the same.
    Welcome(Standing),
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
    /// So the network's keys have followed each other.
    Succeed(Vec<Succession>),
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
            Self::Member(standing) => standing.encode((1, 3)),
            Self::Invited { id, proof } => [&[2], &id.0[..], &proof.0].concat(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            kind @ (1 | 3) => Ok(Self::Member(Standing::read(&mut reader, kind == 3)?)),
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
            Self::Welcome(standing) => standing.encode((1, 4)),
            Self::Refused(why) => [&[2], within(why).as_bytes()].concat(),
            Self::Granted(papers) => [&[3], &papers[..]].concat(),
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        match reader.byte()? {
            kind @ (1 | 4) => Ok(Self::Welcome(Standing::read(&mut reader, kind == 4)?)),
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

    /// None where there is nothing to say.
    pub(crate) fn succeed(successions: &[Succession]) -> Option<Vec<u8>> {
        let mut bytes = vec![4];
        put_successions(&mut bytes, successions);
        (!successions.is_empty()).then_some(bytes)
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
            4 => {
                let successions = read_successions(&mut reader)?;
                reader.end()?;
                Ok(Self::Succeed(successions))
            }
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

    fn succession() -> Succession {
        Succession::sign(genesis(1).fingerprint(), &pair(1), key(3), (NOW, NOW + 10)).expect("sound")
    }

    fn standings() -> [Standing; 2] {
        [Vec::new(), vec![succession(), succession()]].map(|successions| Standing {
            chain: chain(),
            digest: [3; 32],
            successions,
        })
    }

    fn chain() -> Chain {
        let (genesis, pair) = (genesis(1), pair(1));
        founder(&genesis, &pair).issue(&key(2), MEMBER, (NOW, 1000), 7).expect("the founder may sign")
    }

    #[test]
    fn all_that_is_said_is_understood_and_nothing_else() {
        let [plain, followed] = standings();
        let invited = Hello::Invited { id: InviteId([4; 16]), proof: Proof([5; 32]) };
        for hello in [Hello::Member(plain.clone()), Hello::Member(followed.clone()), invited] {
            let bytes = hello.encode();
            let again = Hello::decode(&bytes).expect("what was written");
            assert_eq!(again.encode(), bytes);
            assert!(Hello::decode(&bytes[..bytes.len() - 1]).is_err());
            assert!(Hello::decode(&[&bytes[..], &[0]].concat()).is_err());
        }
        let answers = [
            Answer::Welcome(plain),
            Answer::Welcome(followed),
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
        let successions = vec![succession(); SUCCESSIONS_MAX];
        let told = Request::succeed(&successions).expect("something to say");
        assert_eq!(Request::decode(&told), Ok(Request::Succeed(successions)));
        assert_eq!(Request::succeed(&[]), None);
        let too_many = Request::succeed(&vec![succession(); SUCCESSIONS_MAX + 1]).expect("something");
        assert_eq!(Request::decode(&too_many), Err(Malformed));
        assert_eq!(Reply::decode(&Reply::compared(&none)), Ok(Reply::Compared(Vec::new())));
        assert_eq!(Reply::decode(&Reply::renewed(&chain())), Ok(Reply::Renewed(chain())));
        assert_eq!(Reply::decode(&Reply::seen()), Ok(Reply::Seen));
        assert_eq!(Reply::decode(&Reply::refused("no")), Ok(Reply::Refused("no".to_owned())));
        for nothing in [&[][..], &[9], &[3, 0], &[4, 0], &[4, 1]] {
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
