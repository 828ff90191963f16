//! How wide what people read may be.

use std::io::IsTerminal;
use std::os::fd::AsFd;

/// Where nothing says how wide.
const DEFAULT: usize = 80;
/// How many rows a terminal has that was never told.
const DEFAULT_ROWS: usize = 24;
/// A smaller COLUMNS is a mistake, and nothing can be drawn on a narrower terminal.
const LEAST: usize = 20;

/// How many columns there are on a stream: what COLUMNS says, which as in POSIX overrides the terminal, or else what
/// the terminal says, or else 80.
pub(crate) fn columns(stream: impl AsFd + IsTerminal) -> usize {
    known(stream).unwrap_or(DEFAULT)
}

/// The same where somebody said it: `None` for a pipe or a file without COLUMNS.
pub(crate) fn known(stream: impl AsFd + IsTerminal) -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|columns| columns.trim().parse().ok());
    said.filter(|columns| *columns >= LEAST).or_else(|| of_terminal(stream))
}

/// How many rows a terminal has.
pub(crate) fn rows(terminal: impl AsFd) -> usize {
    let rows = rustix::termios::tcgetwinsize(terminal).map_or(0, |size| usize::from(size.ws_row));
    if rows > 0 { rows } else { DEFAULT_ROWS }
}

fn of_terminal(stream: impl AsFd + IsTerminal) -> Option<usize> {
    if !stream.is_terminal() {
        return None;
    }
    // A terminal that was never told its size says 0.
    let columns = rustix::termios::tcgetwinsize(stream).ok().map(|size| usize::from(size.ws_col));
    Some(columns.filter(|columns| *columns > 0).map_or(DEFAULT, |columns| columns.max(LEAST)))
}

/// A line broken at spaces so that it fits; what follows its first line is indented. A word stays whole however long it
/// is, so that a link or an address can be copied.
pub(crate) fn wrapped(line: &str, columns: usize, indent: usize) -> String {
    // On few columns there is more to say than to align.
    let indent = indent.min(columns / 4);
    let (mut text, mut column) = (String::new(), 0);
    for piece in line.split_inclusive(' ') {
        let word = piece.trim_end_matches(' ').chars().count();
        if word > 0 && column > indent && column + word > columns {
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
            text.push_str(&" ".repeat(indent));
            column = indent;
        }
        text.push_str(piece);
        column += piece.chars().count();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_at_spaces_and_goes_on_under_its_words() {
        let line = "state      serving, and so on for a while";
        assert_eq!(wrapped(line, 80, 11), line);
        assert_eq!(
            wrapped(line, 30, 11),
            "state      serving, and so on\n       for a while",
            "the indent is at most a quarter"
        );
        assert_eq!(
            wrapped("id         0123456789 0123456789012345678901234567890123456789", 44, 11),
            "id         0123456789\n           0123456789012345678901234567890123456789"
        );
        assert_eq!(wrapped("           made again", 20, 11), "           made\n     again");
    }

    #[test]
    fn no_line_is_longer_than_it_has_to_be() {
        let line = "chunk      deadbeef  10 of 12 shards,  4 needed, 1 silent, 1 lost  \"a  name\"";
        for columns in LEAST..100 {
            let text = wrapped(line, columns, 11);
            assert!(text.lines().all(|line| line.len() <= columns), "{columns}: {text}");
            let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            assert_eq!(words(&text), words(line));
        }
    }
}
