//! A picture of the ring: where the nodes are in order of their ids, and what each holds.

use std::f64::consts::TAU;

/// The most nodes that fit around the picture; more are better told as a list.
pub(crate) const NODES_MAX: usize = 20;
/// Rows and columns of one picture. Characters are about twice as high as wide.
const ROWS: usize = 13;
const COLUMNS: usize = 37;

/// What a node is at the moment of the picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It lives and holds so many shards.
    Holds(u64),
    /// It was killed.
    Dead,
    /// It is the fresh one that reads.
    Reader,
    /// It is not there yet.
    Absent,
}

/// One place on the ring.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The node's number.
    pub(crate) index: usize,
    /// What it is.
    pub(crate) mark: Mark,
}

/// Which characters may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Charset {
    /// Only ASCII.
    Ascii,
    /// Unicode, as the terminal's locale says.
    Unicode,
}

impl Charset {
    /// What the locale variables promise.
    pub(crate) fn of_locale() -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
            .into_iter()
            .find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
        match locale {
            Some(locale) if locale.to_ascii_lowercase().replace('-', "").contains("utf8") => Self::Unicode,
            _ => Self::Ascii,
        }
    }

    fn label(self, place: Place) -> String {
        let index = place.index;
        let (full, empty, dead, reader) = match self {
            Self::Ascii => ('*', 'o', 'x', '@'),
            Self::Unicode => ('\u{25cf}', '\u{25cb}', '\u{2717}', '\u{25c9}'),
        };
        match place.mark {
            Mark::Holds(0) => format!("{index:02}{empty}0"),
            Mark::Holds(shards) => format!("{index:02}{full}{shards}"),
            Mark::Dead => format!("{index:02}{dead}"),
            Mark::Reader => format!("{index:02}{reader}new"),
            Mark::Absent => String::new(),
        }
    }

    /// What the marks mean, in one line.
    pub(crate) fn legend(self) -> String {
        let [holds, dead, reader] =
            [Mark::Holds(31), Mark::Dead, Mark::Reader].map(|mark| self.label(Place { index: 7, mark }));
        format!("{holds} node 07 holds 31 shards   {dead} killed   {reader} reads, has never seen the file")
    }
}

/// Draws the nodes, given in order of their ids, clockwise from the top.
pub(crate) fn draw(places: &[Place], title: &str, charset: Charset) -> Vec<String> {
    let mut canvas = vec![vec![' '; COLUMNS]; ROWS];
    let (middle_row, middle_column) = ((ROWS - 1) as f64 / 2.0, (COLUMNS - 1) as f64 / 2.0);
    let point = |turn: f64, reach: f64| {
        let angle = turn * TAU;
        let row = middle_row - angle.cos() * middle_row;
        let column = middle_column + angle.sin() * middle_column * reach;
        (row.round() as usize, column)
    };
    let dot = if charset == Charset::Unicode { '\u{b7}' } else { '.' };
    for step in 0..72 {
        let (row, column) = point(f64::from(step) / 72.0, 0.86);
        canvas[row][column.round() as usize] = dot;
    }
    for (position, &place) in places.iter().enumerate() {
        let label = charset.label(place);
        let (row, column) = point(position as f64 / places.len() as f64, 0.86);
        let start = (column - label.chars().count() as f64 / 2.0).round().max(0.0) as usize;
        // A space on either side keeps a label apart from its neighbours and from the dots of the ring.
        let label: Vec<char> = format!(" {label} ").chars().collect();
        let cells = start.saturating_sub(1).min(COLUMNS - label.len());
        let cells = cells..cells + label.len();
        // Where labels would meet, at the top and the bottom, the later one moves towards the middle.
        let towards_middle = |steps: usize| if row < ROWS / 2 { row + steps } else { row - steps };
        let free = |row: &usize| canvas[*row][cells.clone()].iter().all(|&cell| cell == ' ' || cell == dot);
        let row = (0..=ROWS / 2 - 1).map(towards_middle).find(free).unwrap_or(row);
        if place.mark != Mark::Absent {
            canvas[row][cells].copy_from_slice(&label);
        }
    }
    let start = (COLUMNS - title.chars().count().min(COLUMNS)) / 2;
    for (offset, letter) in title.chars().take(COLUMNS).enumerate() {
        canvas[ROWS / 2][start + offset] = letter;
    }
    canvas.into_iter().map(|row| row.into_iter().collect()).collect()
}

/// Puts two pictures side by side.
pub(crate) fn beside(left: &[String], right: &[String]) -> Vec<String> {
    left.iter().zip(right).map(|(left, right)| format!("{left}    {right}").trim_end().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(count: usize) -> Vec<Place> {
        (0..count).map(|index| Place { index, mark: Mark::Holds(100 + index as u64) }).collect()
    }

    #[test]
    fn every_node_is_in_the_picture_up_to_the_limit() {
        for count in 1..=NODES_MAX {
            let picture = draw(&places(count), "before", Charset::Ascii).join("\n");
            for index in 0..count {
                let label = format!("{index:02}*{}", 100 + index);
                assert!(picture.contains(&label), "{label} of {count} is missing in\n{picture}");
            }
        }
    }

    #[test]
    fn two_pictures_fit_on_eighty_columns() {
        let picture = draw(&places(12), "before", Charset::Unicode);
        for line in beside(&picture, &picture) {
            assert!(line.chars().count() < 80, "{line}");
        }
    }

    #[test]
    fn ascii_means_ascii() {
        let marks = [Mark::Holds(0), Mark::Holds(3), Mark::Dead, Mark::Reader, Mark::Absent];
        let places: Vec<Place> =
            marks.into_iter().enumerate().map(|(index, mark)| Place { index, mark }).collect();
        assert!(draw(&places, "after", Charset::Ascii).concat().is_ascii());
        assert!(Charset::Ascii.legend().is_ascii());
    }
}
