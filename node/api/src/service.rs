//! What a service says about itself: where it listens, and attributes by which it is chosen.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Longest host, bytes: that of a name in DNS.
pub const HOST_BYTES_MAX: usize = 253;
/// Attributes of a service at most.
pub const ATTRS_MAX: usize = 16;
/// Longest key of an attribute, bytes.
pub const ATTR_KEY_BYTES_MAX: usize = 63;
/// Longest value of an attribute, bytes.
pub const ATTR_VALUE_BYTES_MAX: usize = 200;
/// All keys and values of a service together, bytes.
pub const ATTRS_BYTES_MAX: usize = 700;

/// Attributes: key and value.
pub type Attrs = BTreeMap<String, String>;

/// Where a service listens: `HOST:PORT`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAddr {
    host: Host,
    port: u16,
}

/// The machine on which a service listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// An address.
    V4(Ipv4Addr),
    /// An address, which stands in brackets.
    V6(Ipv6Addr),
    /// A name in DNS, in lower case.
    Name(String),
}

/// Why something cannot be said about a service.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// There is no port behind the host.
    #[error("`{0}` is no HOST:PORT: the port is missing")]
    NoPort(String),
    /// It is no port.
    #[error("`{0}` is no port: it is a number from 1 to 65535")]
    Port(String),
    /// It is no host.
    #[error(
        "`{0}` is no host: it is an IPv4 address, an IPv6 address in brackets, or a name of a-z 0-9 - . with {HOST_BYTES_MAX} bytes at most"
    )]
    Host(String),
    /// It is no attribute.
    #[error(
        "`{0}` is no attribute: it is KEY=VALUE, and the key has 1 to {ATTR_KEY_BYTES_MAX} of the characters a-z 0-9 - _ ."
    )]
    Attr(String),
    /// A key stands there twice.
    #[error("the attribute `{0}` is given more than once")]
    AttrTwice(String),
    /// A value that cannot be one.
    #[error("the value of `{0}` is longer than {ATTR_VALUE_BYTES_MAX} bytes, or has control characters")]
    AttrValue(String),
    /// There are too many.
    #[error("a service has at most {ATTRS_MAX} attributes, not {0}")]
    TooManyAttrs(usize),
    /// They are too long together.
    #[error("the attributes of a service have at most {ATTRS_BYTES_MAX} bytes together, not {0}")]
    AttrsTooLarge(usize),
}

impl ServiceAddr {
    /// The machine.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for ServiceAddr {
    type Err = ServiceError;

    fn from_str(text: &str) -> Result<Self, ServiceError> {
        let shown = || text.chars().take(80).collect::<String>();
        let (host, port) = text.rsplit_once(':').ok_or_else(|| ServiceError::NoPort(shown()))?;
        if port.contains(']') {
            return Err(ServiceError::NoPort(shown()));
        }
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| digits && *port != 0);
        let port = port.ok_or_else(|| {
            ServiceError::Port(text.rsplit(':').next().unwrap_or_default().chars().take(80).collect())
        })?;
        Ok(ServiceAddr {
            host: Host::read(host).ok_or_else(|| ServiceError::Host(host.chars().take(80).collect()))?,
            port,
        })
    }
}

impl fmt::Display for ServiceAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::V4(address) => write!(f, "{address}:{}", self.port),
            Host::V6(address) => write!(f, "[{address}]:{}", self.port),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        if let Some(inside) = text.strip_prefix('[') {
            return inside.strip_suffix(']')?.parse().ok().map(Host::V6);
        }
        if let Ok(address) = text.parse() {
            return Some(Host::V4(address));
        }
        let name = text.to_ascii_lowercase();
        let is_label = |label: &str| {
            let inside =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'_';
            (1..=63).contains(&label.len())
                && label.bytes().all(inside)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        // A last label of digits would be a mistyped IPv4 address (RFC 3696, section 2).
        let last_is_word =
            name.rsplit('.').next().is_some_and(|last| !last.bytes().all(|byte| byte.is_ascii_digit()));
        let is_name = name.len() <= HOST_BYTES_MAX && name.split('.').all(is_label) && last_is_word;
        is_name.then_some(Host::Name(name))
    }
}

/// Reads attributes that are written `KEY=VALUE`.
pub fn read_attrs<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Attrs, ServiceError> {
    let mut attrs = Attrs::new();
    for text in texts {
        let none = || ServiceError::Attr(text.chars().take(80).collect());
        let (key, value) = text.split_once('=').ok_or_else(none)?;
        if attrs.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(ServiceError::AttrTwice(key.to_owned()));
        }
    }
    check_attrs(&attrs)?;
    Ok(attrs)
}

/// Whether a service may have these.
pub fn check_attrs(attrs: &Attrs) -> Result<(), ServiceError> {
    if attrs.len() > ATTRS_MAX {
        return Err(ServiceError::TooManyAttrs(attrs.len()));
    }
    let in_key = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    for (key, value) in attrs {
        if !(1..=ATTR_KEY_BYTES_MAX).contains(&key.len()) || !key.bytes().all(in_key) {
            return Err(ServiceError::Attr(key.chars().take(80).collect()));
        }
        if value.len() > ATTR_VALUE_BYTES_MAX || value.chars().any(char::is_control) {
            return Err(ServiceError::AttrValue(key.clone()));
        }
    }
    match attrs.iter().map(|(key, value)| key.len() + value.len()).sum() {
        bytes if bytes > ATTRS_BYTES_MAX => Err(ServiceError::AttrsTooLarge(bytes)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_as_they_are() {
        for text in ["10.0.0.1:80", "[::1]:8080", "db.example.org:5432", "localhost:1", "_x.y:65535"] {
            assert_eq!(text.parse::<ServiceAddr>().map(|addr| addr.to_string()), Ok(text.to_owned()));
        }
        let addr: ServiceAddr = "DB.Example.Org:1".parse().expect("a name");
        assert_eq!((addr.host(), addr.port()), (&Host::Name("db.example.org".to_owned()), 1));
    }

    #[test]
    fn what_is_no_address_says_why() {
        let why = |text: &str| text.parse::<ServiceAddr>().expect_err(text);
        assert!(matches!(why("localhost"), ServiceError::NoPort(_)));
        assert!(matches!(why("[::1]"), ServiceError::NoPort(_)));
        for text in ["a:0", "a:65536", "a:", "a:+1", "a:http"] {
            assert!(matches!(why(text), ServiceError::Port(_)), "{text}");
        }
        let long = format!("{}:1", "a.".repeat(130) + "b");
        for text in
            [":1", "::1:80", "a b:1", "-a:1", "a-:1", "a..b:1", "10.0.0:1", "256.1.1.1:1", "[::g]:1", &long]
        {
            assert!(matches!(why(text), ServiceError::Host(_)), "{text}");
        }
    }

    #[test]
    fn attributes_have_bounds() {
        let attrs = read_attrs(["zone=a", "v=1=2", "empty="]).expect("attributes");
        assert_eq!((&*attrs["zone"], &*attrs["v"], &*attrs["empty"]), ("a", "1=2", ""));
        let why = |texts: &[&str]| read_attrs(texts.iter().copied()).expect_err("none");
        assert!(matches!(why(&["zone"]), ServiceError::Attr(_)));
        assert!(matches!(why(&["=x"]), ServiceError::Attr(_)));
        assert!(matches!(why(&["Zone=x"]), ServiceError::Attr(_)));
        assert!(matches!(why(&["a=1", "a=2"]), ServiceError::AttrTwice(_)));
        assert!(matches!(why(&["a=\n"]), ServiceError::AttrValue(_)));
        let long = format!("a={}", "x".repeat(ATTR_VALUE_BYTES_MAX + 1));
        assert!(matches!(why(&[&long]), ServiceError::AttrValue(_)));
        let many: Vec<String> = (0..=ATTRS_MAX).map(|index| format!("k{index}=")).collect();
        assert!(matches!(read_attrs(many.iter().map(String::as_str)), Err(ServiceError::TooManyAttrs(17))));
        let large: Vec<String> = (0..4).map(|index| format!("k{index}={}", "x".repeat(200))).collect();
        assert!(matches!(
            read_attrs(large.iter().map(String::as_str)),
            Err(ServiceError::AttrsTooLarge(808))
        ));
    }
}
