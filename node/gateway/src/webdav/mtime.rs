//! The time at which a file was changed where it comes from, as clients of ownCloud and Nextcloud say it, rclone among
//! them.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Says it in a request, in seconds since 1970; in the answer, that it was taken.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-oc-mtime");
pub(crate) const ACCEPTED: HeaderValue = HeaderValue::from_static("accepted");
/// No date of HTTP is later: the first second of the year 10000.
const TOO_LATE: u64 = 253_402_300_800;

/// The time that a request gives its file, milliseconds since 1970, if it is one that can be shown.
pub(crate) fn of(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(HEADER)?.to_str().ok()?.trim();
    // Some say parts of seconds.
    let (seconds, part) = text.split_once('.').unwrap_or((text, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !is_number(seconds) || !is_number(part) {
        return None;
    }
    let seconds: u64 = seconds.parse().ok().filter(|seconds| *seconds < TOO_LATE)?;
    let milliseconds: u64 = format!("{part:0<3}")[..3].parse().ok()?;
    Some(seconds * 1000 + milliseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_that_can_be_shown_are_taken() {
        for (text, time) in [
            ("0", Some(0)),
            ("1700000000", Some(1_700_000_000_000)),
            ("1700000000.5", Some(1_700_000_000_500)),
            (" 1.123456789 ", Some(1_123)),
            ("253402300799.999", Some(253_402_300_799_999)),
            ("253402300800", None),
            ("99999999999999999999", None),
            ("-1", None),
            ("+1", None),
            ("", None),
            (".5", None),
            ("1.-5", None),
            ("1e9", None),
            ("Mon, 01 Jan 2024 00:00:00 GMT", None),
        ] {
            let headers = HeaderMap::from_iter([(HEADER, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(of(&headers), time, "{text:?}");
        }
        assert_eq!(of(&HeaderMap::new()), None);
    }
}
