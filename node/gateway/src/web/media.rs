//! What a file is, by its name.

use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

/// What a header's extended value may not hold as it is (RFC 8187).
const ESCAPED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');
/// Longest name that is told, bytes.
const NAME_BYTES_MAX: usize = 255;

/// The media type of a file with this name. What nothing is known of is a stream of bytes, which browsers save.
pub(super) fn media_type(name: &[u8]) -> String {
    let name = String::from_utf8_lossy(name);
    let guess = mime_guess::from_path(&*name).first();
    match guess {
        Some(guess) if guess.type_() == "text" => format!("{}; charset=utf-8", guess.essence_str()),
        Some(guess) => guess.essence_str().to_owned(),
        None => "application/octet-stream".to_owned(),
    }
}

/// Says what a file is called, if somebody saves it (RFC 6266).
pub(super) fn disposition(name: &[u8], is_saved: bool) -> String {
    let name = &name[..name.len().min(NAME_BYTES_MAX)];
    let how = if is_saved { "attachment" } else { "inline" };
    format!("{how}; filename*=UTF-8''{}", percent_encode(String::from_utf8_lossy(name).as_bytes(), ESCAPED))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_what_their_names_say() {
        for (name, kind) in [
            ("film.MP4", "video/mp4"),
            ("a.html", "text/html; charset=utf-8"),
            ("a.svg", "image/svg+xml"),
            ("a.js", "text/javascript; charset=utf-8"),
            ("README", "application/octet-stream"),
        ] {
            assert_eq!(media_type(name.as_bytes()), kind, "{name}");
        }
    }

    #[test]
    fn names_break_out_of_no_header() {
        let said = disposition(b"a\"b\r\nX: y/\xff.txt", true);
        assert_eq!(said, "attachment; filename*=UTF-8''a%22b%0D%0AX%3A%20y%2F%EF%BF%BD.txt");
        assert!(disposition(&[b'a'; 9000], false).len() < 400);
    }
}
