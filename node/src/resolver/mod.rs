//! Asking DNS for the texts of a domain, through the resolvers that this system asks.
//!
//! It knows one question (TXT) and follows nobody but those resolvers. What they say is as true as they are, and as the
//! way to them: an answer has to fit the question and its random number, and that is all that DNS offers here.

mod ask;
mod system;

use std::net::SocketAddr;
use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, RecordType};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use tokio::time::timeout;

/// How long all attempts together may take.
const WITHIN: Duration = Duration::from_secs(8);
/// How long one resolver may take to answer.
const ATTEMPT: Duration = Duration::from_secs(2);
/// How often all resolvers are asked.
const ROUNDS: usize = 2;
/// Resolvers that are asked at most.
const SERVERS_MAX: usize = 3;
/// Aliases (CNAME) that are followed within one answer.
const ALIASES_MAX: usize = 8;

/// Which resolvers to ask.
#[derive(Clone, Debug)]
pub(crate) struct Resolver {
    /// Empty: those that the system asks now.
    servers: Vec<SocketAddr>,
}

/// The texts of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Texts {
    /// One per record, the strings of each put together. There may be none.
    pub(crate) texts: Vec<Vec<u8>>,
    /// For how many seconds they may be used.
    pub(crate) ttl: u32,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolverError {
    /// It cannot stand in a question.
    #[error("it is no name in DNS: {0}")]
    Name(ProtoError),
    /// DNS has no such domain.
    #[error("there is no such domain")]
    NoSuchDomain,
    /// Nobody has answered.
    #[error("no resolver answered within {} s", WITHIN.as_secs())]
    Timeout,
    /// Whoever answered could not find out, or did not want to.
    #[error("the resolver {0} says {1}")]
    Failed(SocketAddr, ResponseCode),
    /// The resolver cannot be reached.
    #[error("cannot ask the resolver {0}: {1}")]
    Io(SocketAddr, std::io::Error),
}

impl Resolver {
    /// Asks these, or, if there are none, those of the system.
    pub(crate) fn new(servers: Vec<SocketAddr>) -> Self {
        Resolver { servers }
    }

    /// The texts of a domain. It answers within a fixed time.
    pub(crate) async fn texts(&self, domain: &str) -> Result<Texts, ResolverError> {
        let name = Name::from_ascii(domain).map_err(ResolverError::Name)?;
        timeout(WITHIN, self.ask(name)).await.unwrap_or(Err(ResolverError::Timeout))
    }

    async fn ask(&self, mut name: Name) -> Result<Texts, ResolverError> {
        name.set_fqdn(true);
        let servers = if self.servers.is_empty() { system::servers().await } else { self.servers.clone() };
        let mut problem = ResolverError::Timeout;
        for server in
            std::iter::repeat_n(&servers, ROUNDS).flat_map(|servers| servers.iter().take(SERVERS_MAX))
        {
            match timeout(ATTEMPT, ask::ask(*server, &name)).await {
                Ok(Ok(answer)) => match answer.metadata.response_code {
                    ResponseCode::NoError => return Ok(texts(&answer, name)),
                    ResponseCode::NXDomain => return Err(ResolverError::NoSuchDomain),
                    other => problem = ResolverError::Failed(*server, other),
                },
                Ok(Err(error)) => problem = ResolverError::Io(*server, error),
                // What somebody said before says more than silence.
                Err(_) => {}
            }
        }
        Err(problem)
    }
}

/// The texts in an answer that are those of `name`, or of what it is an alias of.
fn texts(answer: &Message, mut name: Name) -> Texts {
    let mut ttl = u32::MAX;
    for _ in 0..ALIASES_MAX {
        let alias = answer.answers.iter().find_map(|record| match &record.data {
            RData::CNAME(next) if record.name == name => Some((next.0.clone(), record.ttl)),
            _ => None,
        });
        let Some((next, valid)) = alias else { break };
        (name, ttl) = (next, ttl.min(valid));
    }
    let mut texts = Vec::new();
    for record in answer.answers.iter().filter(|record| record.name == name) {
        if let RData::TXT(text) = &record.data {
            ttl = ttl.min(record.ttl);
            texts.push(text.txt_data.concat());
        }
    }
    Texts { texts, ttl }
}

/// Reads a message with exactly one question, which nobody can make longer in memory than a few times its bytes.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    // The decoder would make room for as many questions as the header says there are.
    let one_question = bytes.get(4..6)? == [0, 1];
    one_question.then(|| Message::read(&mut BinDecoder::new(bytes)).ok()).flatten()
}

/// Whether it answers this question.
fn answers(message: &Message, id: u16, name: &Name) -> bool {
    let asked = message.queries.first();
    message.metadata.message_type == hickory_proto::op::MessageType::Response
        && message.metadata.id == id
        && asked.is_some_and(|asked| asked.name == *name && asked.query_type == RecordType::TXT)
}

#[cfg(test)]
mod tests;
