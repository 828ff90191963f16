//! Anchors: a domain whose text in DNS names a key. `_chordage.example.org TXT "pk=KEY"` makes `dns:example.org` a name
//! of that key.
//!
//! Nothing that DNS says here is signed, so that this is the weakest way to a key; whoever has resolved a name once can
//! keep its key.

use chordage_api::name::{NameError, NameKey};

use super::{Names, NamesError};
use crate::resolver::ResolverError;

/// Stands before the domain, so that what stands there is meant for this.
const LABEL: &str = "_chordage";
/// Stands before the key.
const PREFIX: &[u8] = b"pk=";

/// A key that DNS named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Anchored {
    pub(super) key: NameKey,
    /// For how many seconds it may be used.
    pub(super) ttl: u32,
}

/// Why a domain names no key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorError {
    /// It names none.
    #[error("DNS names no key for {domain}: {} has no text that begins with pk=", domain_of(domain))]
    Missing {
        /// The domain.
        domain: String,
    },
    /// It names more than one.
    #[error(
        "DNS names different keys for {domain}, {one} and {other}: which of them is meant cannot be said"
    )]
    Different {
        /// The domain.
        domain: String,
        /// One of them.
        one: NameKey,
        /// Another one.
        other: NameKey,
    },
    /// What it names is none.
    #[error("what DNS names for {domain} is no key: {problem}")]
    Wrong {
        /// The domain.
        domain: String,
        /// Why not.
        problem: NameError,
    },
    /// Nobody answered.
    #[error("nobody can be asked for {domain} in DNS: {problem}")]
    Unanswered {
        /// The domain.
        domain: String,
        /// What went wrong.
        problem: ResolverError,
    },
}

/// The domain whose text is read.
pub(super) fn domain_of(domain: &str) -> String {
    format!("{LABEL}.{domain}")
}

impl Names {
    /// The key that DNS names for a domain.
    pub(super) async fn anchor(&self, domain: &str) -> Result<Anchored, NamesError> {
        let texts = match self.resolver.texts(&domain_of(domain)).await {
            Ok(texts) => texts,
            Err(ResolverError::NoSuchDomain) => {
                return Err(AnchorError::Missing { domain: domain.to_owned() }.into());
            }
            Err(problem) => return Err(AnchorError::Unanswered { domain: domain.to_owned(), problem }.into()),
        };
        let key = named(domain, &texts.texts)?;
        Ok(Anchored { key, ttl: texts.ttl })
    }
}

/// The one key that the texts of a domain name. Texts that are for something else say nothing.
fn named(domain: &str, texts: &[Vec<u8>]) -> Result<NameKey, AnchorError> {
    let mut named: Option<NameKey> = None;
    for text in texts.iter().filter_map(|text| text.strip_prefix(PREFIX)) {
        let text = String::from_utf8_lossy(text);
        let key = text.trim().parse();
        let key: NameKey =
            key.map_err(|problem| AnchorError::Wrong { domain: domain.to_owned(), problem })?;
        match named.replace(key) {
            Some(one) if one != key => {
                return Err(AnchorError::Different { domain: domain.to_owned(), one, other: key });
            }
            _ => {}
        }
    }
    named.ok_or_else(|| AnchorError::Missing { domain: domain.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_names_one_key_or_none() {
        let named = |texts: &[&str]| {
            let texts: Vec<Vec<u8>> = texts.iter().map(|text| text.as_bytes().to_vec()).collect();
            named("example.org", &texts)
        };
        let (one, other) = (NameKey([1; 32]), NameKey([2; 32]));
        let (with_at, without) =
            (format!("pk={one}"), format!("pk={}", one.to_string().trim_start_matches('@')));
        assert_eq!(named(&["v=spf1 -all", &with_at]).unwrap(), one);
        assert_eq!(named(&[&with_at, &without]).unwrap(), one, "twice the same is the same");
        assert!(matches!(named(&["x", "PK=y"]), Err(AnchorError::Missing { .. })));
        assert!(matches!(named(&[&with_at, &format!("pk={other}")]), Err(AnchorError::Different { .. })));
        let mistyped = with_at.replace("pk=@a", "pk=@b");
        assert!(matches!(named(&[&mistyped]), Err(AnchorError::Wrong { .. })));
        assert!(matches!(named(&[&with_at, "pk="]), Err(AnchorError::Wrong { .. })));
    }
}
