//! A byte range as HTTP writes it (RFC 9110, section 14.1.2): positions count from zero and the last one is inclusive.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

/// Which bytes of a file are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// `A-`: everything from position A on.
    From {
        /// First byte wanted.
        start: u64,
    },
    /// `A-B`: from A to B, both included.
    Between {
        /// First byte wanted.
        start: u64,
        /// Last byte wanted.
        last: u64,
    },
    /// `-N`: the last N bytes.
    Last {
        /// How many.
        count: u64,
    },
}

impl ByteRange {
    /// How many bytes these are at most; `None`: as many as there are.
    pub fn at_most(self) -> Option<u64> {
        match self {
            ByteRange::From { .. } => None,
            ByteRange::Between { start, last } => Some(last.saturating_sub(start).saturating_add(1)),
            ByteRange::Last { count } => Some(count),
        }
    }
}

/// Why a text is not a range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeSyntaxError {
    /// There is no `-`, or a side of it is not a number.
    #[error("`{0}` is not a byte range: expected A-B (both included), A- or -N")]
    Malformed(String),
    /// The end lies before the start.
    #[error("the range ends at {last}, before its start at {start}")]
    Backwards {
        /// First position.
        start: u64,
        /// Last position.
        last: u64,
    },
}

/// The range has no byte in common with a file of this size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes {range} lie outside the file, which has {size} {}", if *.size == 1 { "byte" } else { "bytes" })]
pub struct Unsatisfiable {
    /// What was asked for.
    pub range: ByteRange,
    /// Size of the file, bytes.
    pub size: u64,
}

impl ByteRange {
    /// What the header `Range` asks for. `None` if it is to be ignored, and everything sent: units that are not ours,
    /// and several ranges at once (RFC 9110, section 14.2).
    pub fn from_header(text: &str) -> Result<Option<Self>, RangeSyntaxError> {
        let Some((unit, ranges)) = text.split_once('=') else { return Ok(None) };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Ok(None);
        }
        let ranges = ranges.split(',').map(str::trim).filter(|range| !range.is_empty());
        match ranges.map(str::parse).collect::<Result<Vec<Self>, _>>()?[..] {
            [] => Err(RangeSyntaxError::Malformed(text.to_owned())),
            [range] => Ok(Some(range)),
            _ => Ok(None),
        }
    }

    /// The half-open range of positions within a file of `size` bytes. What goes beyond the file is cut to it, as in
    /// HTTP, so that the last bytes of an empty file are none; a start beyond it is an error.
    pub fn resolve(self, size: u64) -> Result<Range<u64>, Unsatisfiable> {
        let range = match self {
            ByteRange::From { start } => start..size,
            ByteRange::Between { start, last } => start..last.saturating_add(1).min(size),
            ByteRange::Last { count } => size - count.min(size)..size,
        };
        let last = matches!(self, ByteRange::Last { count } if count > 0);
        if range.start < range.end || last { Ok(range) } else { Err(Unsatisfiable { range: self, size }) }
    }
}

impl FromStr for ByteRange {
    type Err = RangeSyntaxError;

    fn from_str(text: &str) -> Result<Self, RangeSyntaxError> {
        let malformed = || RangeSyntaxError::Malformed(text.to_owned());
        // `u64::from_str` takes a leading plus sign, HTTP does not.
        let number = |digits: &str| -> Result<u64, RangeSyntaxError> {
            if digits.bytes().all(|byte| byte.is_ascii_digit()) {
                digits.parse().map_err(|_| malformed())
            } else {
                Err(malformed())
            }
        };
        match text.split_once('-').ok_or_else(malformed)? {
            ("", count) => Ok(ByteRange::Last { count: number(count)? }),
            (start, "") => Ok(ByteRange::From { start: number(start)? }),
            (start, last) => {
                let (start, last) = (number(start)?, number(last)?);
                if start > last {
                    return Err(RangeSyntaxError::Backwards { start, last });
                }
                Ok(ByteRange::Between { start, last })
            }
        }
    }
}

impl fmt::Display for ByteRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ByteRange::From { start } => write!(f, "{start}-"),
            ByteRange::Between { start, last } => write!(f, "{start}-{last}"),
            ByteRange::Last { count } => write!(f, "-{count}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_three_forms_of_http() {
        assert_eq!("0-99".parse(), Ok(ByteRange::Between { start: 0, last: 99 }));
        assert_eq!("7-".parse(), Ok(ByteRange::From { start: 7 }));
        assert_eq!("-5".parse(), Ok(ByteRange::Last { count: 5 }));
    }

    #[test]
    fn refuses_what_is_not_a_range() {
        for text in ["", "-", "5", "a-b", "+1-2", "1-+2", "1-2-3", "1-2,4-5", " 1-2", "99999999999999999999-"]
        {
            let answer = text.parse::<ByteRange>();
            assert!(matches!(answer, Err(RangeSyntaxError::Malformed(_))), "{text:?} gave {answer:?}");
        }
        assert_eq!("9-3".parse::<ByteRange>(), Err(RangeSyntaxError::Backwards { start: 9, last: 3 }));
    }

    #[test]
    fn resolves_within_the_file() {
        let between = |start, last| ByteRange::Between { start, last };
        assert_eq!(between(0, 0).resolve(10), Ok(0..1));
        assert_eq!(between(4, 400).resolve(10), Ok(4..10));
        assert_eq!(between(0, u64::MAX).resolve(10), Ok(0..10));
        assert_eq!(ByteRange::Last { count: 400 }.resolve(10), Ok(0..10));
        assert_eq!(ByteRange::From { start: 9 }.resolve(10), Ok(9..10));
        assert!(ByteRange::From { start: 10 }.resolve(10).is_err());
        assert!(ByteRange::Last { count: 0 }.resolve(10).is_err());
        assert!(ByteRange::Last { count: 0 }.resolve(0).is_err());
        assert!(ByteRange::From { start: 0 }.resolve(0).is_err());
        for count in [1, 1000, u64::MAX] {
            assert_eq!(ByteRange::Last { count }.resolve(0), Ok(0..0));
        }
    }

    #[test]
    fn a_header_is_followed_ignored_or_wrong() {
        let of = ByteRange::from_header;
        let one = Ok(Some(ByteRange::Between { start: 0, last: 9 }));
        for text in ["bytes=0-9", "Bytes=0-9", "bytes= 0-9 ", "bytes=0-9,", "bytes=,0-9"] {
            assert_eq!(of(text), one, "{text}");
        }
        for text in ["bytes=0-9,20-29", "bytes=0-9, -1", "lines=0-9", "", "0-9"] {
            assert_eq!(of(text), Ok(None), "{text}");
        }
        for text in ["bytes=", "bytes=,", "bytes=9-3", "bytes=a-b", "bytes=0-9,b-c"] {
            assert!(of(text).is_err(), "{text}");
        }
    }
}
