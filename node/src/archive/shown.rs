//! Names as people see them. A name may have any byte but NUL, and whoever chose it need not be whoever reads it.

use std::fmt::{self, Write};

/// A name with everything escaped that a terminal could stumble over or an eye be misled by: control characters, those
/// that turn the direction of writing, others without a picture, bytes that are not UTF-8. A backslash of the name's
/// own is doubled, so that it is not taken for an escape.
pub fn escaped(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        let mut first = true;
        for letter in chunk.valid().chars() {
            match letter {
                '\'' | '"' => text.push(letter),
                // An accent with nothing before it would change what stands in front of the name.
                _ if first => text.extend(letter.escape_debug()),
                _ => text.extend(format!("-{letter}").escape_debug().skip(1)),
            }
            first = false;
        }
        for byte in chunk.invalid() {
            // Writing to a string does not fail.
            let _ = write!(text, "\\x{byte:02X}");
        }
    }
    text
}

/// A name for a message: [`escaped`], and in quotes.
#[derive(Clone, Copy, Debug)]
pub struct Quoted<'a>(pub &'a [u8]);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", escaped(self.0).replace('"', "\\\""))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_play_with_the_terminal_or_the_eye() {
        let cases: [(&[u8], &str); 9] = [
            (b"plain name", "plain name"),
            ("\u{e9}t\u{e9} \u{65e5}\u{672c} e\u{301}".as_bytes(), "\u{e9}t\u{e9} \u{65e5}\u{672c} e\u{301}"),
            (b"a\x1b[2J\nb\r", r"a\u{1b}[2J\nb\r"),
            ("invoice\u{202e}fdp.exe".as_bytes(), r"invoice\u{202e}fdp.exe"),
            ("\u{2066}a\u{2069}\u{200b}\u{feff}".as_bytes(), r"\u{2066}a\u{2069}\u{200b}\u{feff}"),
            (br"a\nb", r"a\\nb"),
            (br#"say "it's""#, r#"say "it's""#),
            ("\u{301}".as_bytes(), r"\u{301}"),
            (b"caf\xe9", r"caf\xE9"),
        ];
        for (name, expected) in cases {
            assert_eq!(escaped(name), expected, "{name:?}");
        }
        assert_eq!(Quoted("a\u{202e}\\\"'".as_bytes()).to_string(), r#""a\u{202e}\\\"'""#);
    }
}
