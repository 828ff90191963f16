//! A text as a QR code on a terminal, for whoever has a camera.
//!
//! The crate `qrcode` (MIT or Apache-2.0, no dependencies, no unsafe code) makes the code; it is drawn here, two rows
//! of it on a line, black on white whatever the terminal's colours are.

use qrcode::{Color, EcLevel, QrCode};

use crate::charset::Charset;

/// White around it, as the standard asks for: cameras find it by that.
const MARGIN: usize = 4;
/// Black on white (ECMA-48).
const COLOURS: &str = "\x1b[30;47m";
const RESET: &str = "\x1b[0m";

/// The lines of the picture. `None` if it does not fit, or the terminal has no characters to draw it with. The text has
/// to mean the same in upper case, which makes for smaller codes.
pub(crate) fn drawn(text: &str, columns: usize, charset: Charset) -> Option<String> {
    if charset == Charset::Ascii {
        return None;
    }
    // It is read from a screen, which has no stains: a larger code would only fit less often.
    let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L).ok()?;
    let width = code.width() + 2 * MARGIN;
    if width > columns {
        return None;
    }
    let dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(MARGIN).filter(|at| *at < code.width());
        matches!((inside(x), inside(y)), (Some(x), Some(y)) if code[(x, y)] == Color::Dark)
    };
    let line = |row: usize| {
        let cells = (0..width).map(|x| cell(dark(x, row), dark(x, row + 1), charset));
        format!("{COLOURS}{}{RESET}", cells.collect::<String>())
    };
    Some((0..width).step_by(2).map(line).collect::<Vec<_>>().join("\n"))
}

/// Two modules, one above the other.
fn cell(upper: bool, lower: bool, charset: Charset) -> char {
    match (upper, lower) {
        (false, false) => ' ',
        (true, false) => charset.pick('"', '\u{2580}'),
        (false, true) => charset.pick('_', '\u{2584}'),
        (true, true) => charset.pick('#', '\u{2588}'),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    /// What a camera sees: rows of dark (`true`) and light modules.
    fn seen(picture: &str) -> Vec<Vec<bool>> {
        let halves = |line: &str| {
            let cells = line.strip_prefix(COLOURS).unwrap().strip_suffix(RESET).unwrap();
            let row = |dark: [char; 2]| cells.chars().map(|cell| dark.contains(&cell)).collect();
            [row(['\u{2580}', '\u{2588}']), row(['\u{2584}', '\u{2588}'])]
        };
        picture.lines().flat_map(halves).collect()
    }

    #[test]
    fn the_picture_is_the_code_with_white_around_it() {
        let text = format!("chordage-invite:{}", "abcdefgh234567".repeat(20));
        let rows = seen(&drawn(&text, 100, Charset::Unicode).unwrap());
        let code = QrCode::with_error_correction_level(text.to_ascii_uppercase(), EcLevel::L).unwrap();
        let width = code.width();
        assert!(width <= 57, "upper case is packed: {width}");
        for (y, row) in rows.iter().enumerate() {
            assert_eq!(row.len(), width + 2 * MARGIN);
            for (x, dark) in row.iter().enumerate() {
                let inside = (MARGIN..MARGIN + width).contains(&x) && (MARGIN..MARGIN + width).contains(&y);
                assert_eq!(*dark, inside && code[(x - MARGIN, y - MARGIN)] == Color::Dark, "{x}, {y}");
            }
        }
        assert!(rows.len() >= width + 2 * MARGIN);
    }

    #[test]
    fn where_it_cannot_be_seen_it_is_not_drawn() {
        let text = format!("chordage-invite:{}", "a".repeat(300));
        assert!(drawn(&text, 40, Charset::Unicode).is_none());
        assert!(drawn(&text, 400, Charset::Ascii).is_none());
        assert!(drawn(&"a".repeat(8000), 400, Charset::Unicode).is_none());
    }
}
