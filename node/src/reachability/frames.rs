//! What daemons say to each other about reaching each other, as bytes.

use std::net::IpAddr;

use libp2p::Multiaddr;
use serde::{Deserialize, Serialize};

/// Longest request or reply in bytes.
pub(super) const FRAME_MAX: u64 = 8 << 10;
/// Addresses that are tested in one request.
pub(super) const TESTED_MAX: usize = 8;
/// Daemons that one request has dial.
pub(super) const WITNESSES_MAX: usize = 3;
/// Addresses that a request may name from which no test is wanted.
pub(super) const AVOIDED_MAX: usize = 256;

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Request {
    /// Where am I, as you see it?
    See,
    /// Have so many others, who are not at one of `avoid`, dial me at these.
    Test { at: Vec<Multiaddr>, avoid: Vec<IpAddr>, by: u8 },
    /// Dial the daemon with this key at these, for one who asked me.
    Dial { key: [u8; 32], at: Vec<Multiaddr> },
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Reply {
    /// There, and my clock shows so many milliseconds since 1970.
    Seen { at: Multiaddr, clock: u64 },
    /// These have dialled. Addresses that are not yours as I see you are not tested.
    Tested { seen: Multiaddr, tests: Vec<Witnessed> },
    /// What became of each address, in their order.
    Dialled(Vec<Outcome>),
    /// Not now.
    Busy,
}

/// What somebody who dialled has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Witnessed {
    /// From where it dialled.
    pub(super) from: IpAddr,
    /// What became of each address, in their order.
    pub(super) outcomes: Vec<Outcome>,
}

/// What became of one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Outcome {
    /// Nobody dialled it.
    Untested,
    /// The daemon answered.
    Reached,
    /// It did not.
    Failed,
}

/// What was sent is none of the messages there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the message cannot be read")]
pub(super) struct Malformed;

impl Request {
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whole, within its limits, and nothing behind it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let request = decode(bytes)?;
        let fits = match &request {
            Request::See => true,
            Request::Test { at, avoid, by } => {
                at.len() <= TESTED_MAX
                    && avoid.len() <= AVOIDED_MAX
                    && (1..=WITNESSES_MAX).contains(&usize::from(*by))
            }
            Request::Dial { at, .. } => at.len() <= TESTED_MAX,
        };
        if fits { Ok(request) } else { Err(Malformed) }
    }
}

impl Reply {
    pub(super) fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// Whole, within its limits, and nothing behind it.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let reply = decode(bytes)?;
        let fits = match &reply {
            Reply::Seen { .. } | Reply::Busy => true,
            Reply::Dialled(outcomes) => outcomes.len() <= TESTED_MAX,
            Reply::Tested { tests, .. } => {
                tests.len() <= WITNESSES_MAX && tests.iter().all(|test| test.outcomes.len() <= TESTED_MAX)
            }
        };
        if fits { Ok(reply) } else { Err(Malformed) }
    }
}

fn encode(message: &impl Serialize) -> Vec<u8> {
    // Encoding to memory fails for types that have no length only, of which there are none here.
    postcard::to_allocvec(message).unwrap_or_default()
}

fn decode<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, Malformed> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> Multiaddr {
        text.parse().expect("valid")
    }

    #[test]
    fn what_is_said_is_understood_and_nothing_else() {
        let at = vec![addr("/ip4/198.51.100.1/tcp/4700"), addr("/ip6/2001:db8::1/udp/4700/quic-v1")];
        let avoid = vec![IpAddr::from([198, 51, 100, 2])];
        let requests = [
            Request::See,
            Request::Test { at: at.clone(), avoid, by: 3 },
            Request::Dial { key: [7; 32], at: at.clone() },
        ];
        for request in requests {
            let bytes = request.encode();
            assert_eq!(Request::decode(&bytes), Ok(request));
            for cut in 0..bytes.len() {
                assert_eq!(Request::decode(&bytes[..cut]), Err(Malformed));
            }
            assert_eq!(Request::decode(&[&bytes[..], &[0]].concat()), Err(Malformed), "something behind it");
        }
        let outcomes = vec![Outcome::Reached, Outcome::Failed, Outcome::Untested];
        let replies = [
            Reply::Seen { at: at[0].clone(), clock: 1_796_000_000_000 },
            Reply::Tested {
                seen: at[1].clone(),
                tests: vec![Witnessed { from: [198, 51, 100, 3].into(), outcomes: outcomes.clone() }],
            },
            Reply::Dialled(outcomes),
            Reply::Busy,
        ];
        for reply in replies {
            assert_eq!(Reply::decode(&reply.encode()), Ok(reply));
        }
    }

    #[test]
    fn no_more_is_asked_for_than_one_may_ask() {
        let at = vec![addr("/ip4/198.51.100.1/tcp/4700"); TESTED_MAX + 1];
        let avoid = vec![IpAddr::from([0; 16]); AVOIDED_MAX];
        let most = Request::Test { at: at[1..].to_vec(), avoid: avoid.clone(), by: 1 };
        assert!((most.encode().len() as u64) < FRAME_MAX);
        assert_eq!(Request::decode(&most.encode()), Ok(most));
        let too_many = Request::Test { at: at.clone(), avoid, by: 1 };
        assert_eq!(Request::decode(&too_many.encode()), Err(Malformed));
        assert_eq!(Request::decode(&Request::Dial { key: [0; 32], at }.encode()), Err(Malformed));
        let avoid = vec![IpAddr::from([0; 4]); AVOIDED_MAX + 1];
        assert_eq!(Request::decode(&Request::Test { at: Vec::new(), avoid, by: 1 }.encode()), Err(Malformed));
        for by in [0, 4] {
            let request = Request::Test { at: Vec::new(), avoid: Vec::new(), by };
            assert_eq!(Request::decode(&request.encode()), Err(Malformed));
        }
        let outcomes = vec![Outcome::Failed; TESTED_MAX + 1];
        let test = Witnessed { from: [0; 4].into(), outcomes: outcomes.clone() };
        let tested = Reply::Tested { seen: Multiaddr::empty(), tests: vec![test] };
        assert_eq!(Reply::decode(&tested.encode()), Err(Malformed));
        assert_eq!(Reply::decode(&Reply::Dialled(outcomes).encode()), Err(Malformed));
    }
}
