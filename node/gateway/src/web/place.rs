//! What the path of a request stands for.
//!
//! ```text
//!  /                      the page that takes files in
//!  /metrics               what the daemon counts, for Prometheus
//!  /-/dashboard           what the daemon does
//!  /-/style.css           what our pages are made of
//!  /-/upload              takes files in
//!  /LINK/path/to/file     what lies there in what the link stands for; with a / at the end, a page about the directory
//!  /NAME/path/to/file     the same in what the name stands for now
//! ```

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Longest path that is looked at, bytes.
const PATH_BYTES_MAX: usize = 8192;
/// Longest name or link, bytes.
const BASE_BYTES_MAX: usize = 256;
/// How links that can be read begin.
const READ_LINK: &str = "chord1r";
/// How all links begin.
const LINK: &str = "chord1";
/// What stands for itself in an address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What the path of a request stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Front,
    Asset(String),
    Upload,
    Metrics,
    Content(Content),
}

/// Something in what a link or a name stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Content {
    pub(super) base: Base,
    /// Below it; empty for all of it.
    pub(super) path: Vec<u8>,
    /// The address ended with a `/`: what is there is a directory.
    pub(super) is_directory: bool,
}

/// Where the path begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Link(String),
    Name(String),
}

/// Why a path stands for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum PlaceError {
    #[error("the address is longer than any that there can be")]
    TooLong,
    #[error("the address has a part that is empty, `.` or `..`, which no path in a link has")]
    Form,
    #[error("a link that begins with chord1v lets nobody read: ask for the one that begins with chord1r")]
    VerifyLink,
}

impl Place {
    /// What a path stands for, which begins with `/`.
    pub(super) fn of(path: &str) -> Result<Place, PlaceError> {
        if path.len() > PATH_BYTES_MAX {
            return Err(PlaceError::TooLong);
        }
        let path = path.strip_prefix('/').ok_or(PlaceError::Form)?;
        match path {
            "" => return Ok(Place::Front),
            "-/upload" => return Ok(Place::Upload),
            "metrics" => return Ok(Place::Metrics),
            _ => {}
        }
        if let Some(asset) = path.strip_prefix("-/") {
            return Ok(Place::Asset(asset.to_owned()));
        }
        let (base, rest) = path.split_once('/').map_or((path, None), |(base, rest)| (base, Some(rest)));
        let base = percent_decode_str(base).decode_utf8().map_err(|_| PlaceError::Form)?.into_owned();
        if base.is_empty() {
            return Err(PlaceError::Form);
        }
        if base.len() > BASE_BYTES_MAX {
            return Err(PlaceError::TooLong);
        }
        let lower = base.to_ascii_lowercase();
        let base = match lower.starts_with(LINK) && !base.contains('.') {
            true if lower.starts_with(READ_LINK) => Base::Link(lower),
            true => return Err(PlaceError::VerifyLink),
            false => Base::Name(base),
        };
        let Some(rest) = rest else {
            return Ok(Place::Content(Content { base, path: Vec::new(), is_directory: false }));
        };
        let (rest, is_directory) = match rest.strip_suffix('/') {
            Some("") => return Err(PlaceError::Form),
            Some(rest) => (rest, true),
            None => (rest, rest.is_empty()),
        };
        let path: Vec<u8> = percent_decode_str(rest).collect();
        let is_part = |part: &[u8]| !matches!(part, b"" | b"." | b"..") && !part.contains(&0);
        if !path.is_empty() && !path.split(|byte| *byte == b'/').all(is_part)
            || path.is_empty() && !rest.is_empty()
        {
            return Err(PlaceError::Form);
        }
        Ok(Place::Content(Content { base, path, is_directory }))
    }
}

impl Base {
    /// As it stands in an address.
    pub(super) fn text(&self) -> String {
        match self {
            Base::Link(text) | Base::Name(text) => encode(text.as_bytes()),
        }
    }
}

impl Content {
    /// Its address. Directories end with a `/`.
    pub(super) fn address(&self, is_directory: bool) -> String {
        let mut address = format!("/{}", self.base.text());
        for part in self.path.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
            address.push('/');
            address.push_str(&encode(part));
        }
        if is_directory {
            address.push('/');
        }
        address
    }

    /// What it is called, if it has a name of its own.
    pub(super) fn name(&self) -> Option<&[u8]> {
        self.path.rsplit(|byte| *byte == b'/').next().filter(|name| !name.is_empty())
    }

    /// Something directly below it.
    pub(super) fn below(&self, name: &[u8]) -> Content {
        let mut path = self.path.clone();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        Content { base: self.base.clone(), path, is_directory: false }
    }
}

/// A part of a path as it stands in an address.
pub(super) fn encode(part: &[u8]) -> String {
    percent_encode(part, ESCAPED).to_string()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINK_TEXT: &str = "chord1rabcdef";

    fn content(base: Base, path: &[u8], is_directory: bool) -> Result<Place, PlaceError> {
        Ok(Place::Content(Content { base, path: path.to_vec(), is_directory }))
    }

    #[test]
    fn paths_stand_for_what_they_say() {
        let link = || Base::Link(LINK_TEXT.to_owned());
        let name = || Base::Name("photos".to_owned());
        for (text, place) in [
            ("/", Ok(Place::Front)),
            ("/-/upload", Ok(Place::Upload)),
            ("/metrics", Ok(Place::Metrics)),
            ("/metrics/", content(Base::Name("metrics".to_owned()), b"", true)),
            ("/-/style.css", Ok(Place::Asset("style.css".to_owned()))),
            ("/chord1rabcdef", content(link(), b"", false)),
            ("/CHORD1RABCDEF/", content(link(), b"", true)),
            ("/chord1rabcdef/a/b%20c%2Fd", content(link(), b"a/b c/d", false)),
            ("/chord1rabcdef/a/%ff/", content(link(), b"a/\xff", true)),
            ("/photos/2026/", content(name(), b"2026", true)),
            ("/chord1vabcdef", Err(PlaceError::VerifyLink)),
            ("/chord1rabcdef/../x", Err(PlaceError::Form)),
            ("/chord1rabcdef/%2e%2e/x", Err(PlaceError::Form)),
            ("/chord1rabcdef/a//b", Err(PlaceError::Form)),
            ("/chord1rabcdef//", Err(PlaceError::Form)),
            ("/chord1rabcdef/a%00", Err(PlaceError::Form)),
            ("//evil.example/", Err(PlaceError::Form)),
            ("*", Err(PlaceError::Form)),
        ] {
            assert_eq!(Place::of(text), place, "{text}");
        }
        assert_eq!(Place::of(&format!("/{}", "a".repeat(9000))), Err(PlaceError::TooLong));
        assert_eq!(Place::of(&format!("/{}", "a".repeat(300))), Err(PlaceError::TooLong));
    }

    proptest! {
        #[test]
        fn an_address_leads_where_it_says(
            parts in proptest::collection::vec(proptest::collection::vec(1_u8..=255, 1..20), 0..5),
            is_directory: bool,
        ) {
            let is_part = |part: &Vec<u8>| !part.contains(&b'/') && part != b"." && part != b"..";
            prop_assume!(parts.iter().all(is_part));
            let path = parts.join(&b'/');
            let place = Content { base: Base::Name("my name".to_owned()), path, is_directory };
            prop_assume!(is_directory || !parts.is_empty());
            prop_assert_eq!(Place::of(&place.address(is_directory)), Ok(Place::Content(place)));
        }
    }
}
