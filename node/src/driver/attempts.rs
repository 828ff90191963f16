//! What became of the addresses to join through, so that a daemon that does not join can say why.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;

use libp2p::Multiaddr;
use libp2p::core::transport::TransportError;
use libp2p::swarm::DialError;

use crate::address::split;

/// Addresses that are named in one message; of more, their number.
const NAMED_MAX: usize = 8;

/// The latest outcome at each address.
#[derive(Default)]
pub(super) struct Attempts {
    outcomes: BTreeMap<Multiaddr, String>,
}

impl Attempts {
    /// A dial has failed.
    pub(super) fn failed(&mut self, error: &DialError) {
        match error {
            DialError::Transport(failed) => {
                for (addr, error) in failed {
                    self.note(addr, transport_failure(error));
                }
            }
            DialError::WrongPeerId { obtained, address } => {
                self.note(address, format!("another daemon answered there: {obtained}"));
            }
            DialError::LocalPeerId { address } => {
                self.note(address, "this daemon itself, or one with its key, answered there".to_owned());
            }
            DialError::Denied { cause } => tracing::debug!(%cause, "a dial was refused here"),
            DialError::NoAddresses | DialError::DialPeerConditionFalse(_) | DialError::Aborted => {}
        }
    }

    /// Somebody answered who does not speak our network's language.
    pub(super) fn other_network(&mut self, addrs: &[Multiaddr], network: &str) {
        for addr in addrs {
            self.note(addr, format!(
                "a daemon answered, but it does not belong to the network {network}, or lets in only whom it was told of \
                 (`chordage join INVITE`)"
            ));
        }
    }

    fn note(&mut self, addr: &Multiaddr, outcome: String) {
        self.outcomes.insert(split(addr.clone()).0, outcome);
    }

    /// Whether each of these has failed.
    pub(super) fn have_all_failed(&self, known: &[Multiaddr]) -> bool {
        known.iter().all(|addr| self.outcomes.contains_key(addr))
    }

    /// What became of each of these.
    pub(super) fn describe(&self, known: &[Multiaddr]) -> String {
        let named = known.iter().take(NAMED_MAX).map(|addr| {
            let outcome = self.outcomes.get(addr).map_or("no answer yet", String::as_str);
            format!("{addr}: {outcome}")
        });
        let mut text = named.collect::<Vec<_>>().join("; ");
        if known.len() > NAMED_MAX {
            text.push_str(&format!("; and {} more", known.len() - NAMED_MAX));
        }
        text
    }
}

/// Why a dial has failed, in a few words.
pub(crate) fn why(error: &DialError) -> String {
    match error {
        DialError::Transport(failed) => {
            failed.iter().map(|(_, error)| transport_failure(error)).collect::<Vec<_>>().join("; ")
        }
        DialError::WrongPeerId { obtained, .. } => format!("another daemon answered there: {obtained}"),
        DialError::LocalPeerId { .. } => "this daemon itself answered there".to_owned(),
        other => other.to_string(),
    }
}

fn transport_failure(error: &TransportError<io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(_) => "nothing here can dial it".to_owned(),
        TransportError::Other(error) => root_cause(error),
    }
}

/// What lies at the bottom of an error: the layers above say only that there is one.
fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut error = error;
    loop {
        let inner = error.downcast_ref::<io::Error>().and_then(|io| io.get_ref());
        match inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source()) {
            Some(inner) => error = inner,
            None => break,
        }
    }
    // By its text: the transports wrap the system's error in types that do not show it.
    match error.to_string() {
        text if text.to_lowercase().contains("connection refused") => "connection refused".to_owned(),
        text if text.to_lowercase().contains("timeout") || text.contains("timed out") => {
            "no answer in time".to_owned()
        }
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_told_and_not_that_there_is_one() {
        let refused = io::Error::other(io::Error::other(io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(root_cause(&refused), "connection refused");
        let unknown = io::Error::other(io::Error::new(io::ErrorKind::NotFound, "unknown host x"));
        assert_eq!(root_cause(&unknown), "unknown host x");
        let addrs: [Multiaddr; 2] =
            ["/ip4/192.0.2.7/tcp/1", "/ip4/192.0.2.8/tcp/1"].map(|addr| addr.parse().expect("valid"));
        let mut attempts = Attempts::default();
        let error = TransportError::Other(refused);
        attempts.failed(&DialError::Transport(vec![(addrs[0].clone(), error)]));
        assert!(!attempts.have_all_failed(&addrs));
        assert_eq!(
            attempts.describe(&addrs),
            "/ip4/192.0.2.7/tcp/1: connection refused; /ip4/192.0.2.8/tcp/1: no answer yet"
        );
    }
}
