//! Percent-encoding for the URIs that the client builds (RFC 3986, section 2).

use std::fmt::Write;

/// `bytes` as one path segment or query value: everything but unreserved characters is encoded.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for &byte in bytes {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            write!(text, "%{byte:02X}").expect("writing to a String cannot fail");
        }
    }
    text
}

/// Joins a path and `name=value` pairs; the values are encoded here.
pub(crate) fn with_query(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let mut uri = path.to_owned();
    let mut separator = '?';
    for (name, value) in pairs {
        let Some(value) = value else { continue };
        uri.push(separator);
        uri.push_str(name);
        uri.push('=');
        uri.push_str(&encode(value.as_bytes()));
        separator = '&';
    }
    uri
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_would_change_the_uri() {
        assert_eq!(encode(b"a/b?c&d=\xff %"), "a%2Fb%3Fc%26d%3D%FF%20%25");
        assert_eq!(
            with_query("/x", &[("a", None), ("b", Some("4/6".into())), ("c", Some("d".into()))]),
            "/x?b=4%2F6&c=d"
        );
    }
}
