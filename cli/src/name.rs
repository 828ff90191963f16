//! Names as people see them. A name may have any byte but NUL, and whoever chose it need not be whoever reads it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path for a message: in quotes, with everything escaped that a terminal could stumble over or an eye be misled by:
/// control characters, those that turn the direction of writing, others without a picture, bytes that are not UTF-8. A
/// backslash of the name's own is doubled, so that it is not taken for an escape.
pub(crate) fn quoted(path: &Path) -> String {
    format!("{:?}", path.as_os_str())
}

/// The same without the quotes, for a name that has its line or column to itself.
pub(crate) fn shown(name: &[u8]) -> String {
    let quoted = quoted(Path::new(OsStr::from_bytes(name)));
    // Only quotes need other escapes inside quotes.
    quoted[1..quoted.len() - 1].replace("\\\"", "\"")
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
            (br#"\""#, r#"\\""#),
            (b"caf\xe9", r"caf\xE9"),
        ];
        for (name, expected) in cases {
            assert_eq!(shown(name), expected, "{name:?}");
        }
        assert_eq!(quoted(Path::new("a\u{202e}\\\"")), r#""a\u{202e}\\\"""#);
    }
}
