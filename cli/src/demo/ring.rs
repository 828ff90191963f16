//! A picture of the ring: where the nodes are in order of their ids, and what each holds.

use crate::charset::Charset;
use crate::picture::{Canvas, Circle};

/// The most nodes that fit around the picture; more are better told as a list.
pub(crate) const NODES_MAX: usize = 20;
/// Rows and columns of one picture.
const ROWS: usize = 13;
pub(crate) const COLUMNS: usize = 37;

/// Columns between two pictures.
const GAP: usize = 4;

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

fn label(charset: Charset, place: Place) -> String {
    let index = place.index;
    match place.mark {
        Mark::Holds(0) => format!("{index:02}{}0", charset.pick('o', '\u{25cb}')),
        Mark::Holds(shards) => format!("{index:02}{}{shards}", charset.pick('*', '\u{25cf}')),
        Mark::Dead => format!("{index:02}{}", charset.pick('x', '\u{2717}')),
        Mark::Reader => format!("{index:02}{}new", charset.pick('@', '\u{25c9}')),
        Mark::Absent => String::new(),
    }
}

/// What the marks mean, in one line.
pub(crate) fn legend(charset: Charset) -> String {
    let [holds, dead, reader] =
        [Mark::Holds(31), Mark::Dead, Mark::Reader].map(|mark| label(charset, Place { index: 7, mark }));
    format!("{holds} node 07 holds 31 shards   {dead} killed   {reader} reads, has never seen the file")
}

/// Draws the nodes, given in order of their ids, clockwise from the top.
pub(crate) fn draw(places: &[Place], title: &str, charset: Charset) -> Vec<String> {
    let mut canvas = Canvas::new(ROWS, COLUMNS);
    let middle = ((ROWS - 1) as f64 / 2.0, (COLUMNS - 1) as f64 / 2.0);
    let circle = Circle { middle, reach: (middle.0, middle.1 * 0.86) };
    let dot = charset.dot();
    canvas.trace(&circle, 72, dot);
    for (position, &place) in places.iter().enumerate() {
        let label = label(charset, place);
        let (row, column) = circle.place(position as f64 / places.len() as f64);
        let row = row.round() as usize;
        let start = (column - label.chars().count() as f64 / 2.0).round().max(0.0) as usize;
        // A space on either side keeps a label apart from its neighbours and from the dots of the ring.
        let label: Vec<char> = format!(" {label} ").chars().collect();
        let start = start.saturating_sub(1).min(COLUMNS - label.len());
        // Where labels would meet, at the top and the bottom, the later one moves towards the middle.
        let towards_middle = |steps: usize| if row < ROWS / 2 { row + steps } else { row - steps };
        let free = |row: &usize| canvas.is_free(*row, start..start + label.len(), dot);
        let row = (0..=ROWS / 2 - 1).map(towards_middle).find(free).unwrap_or(row);
        if place.mark != Mark::Absent {
            canvas.write(row, start, label);
        }
    }
    let start = (COLUMNS - title.chars().count().min(COLUMNS)) / 2;
    canvas.write(ROWS / 2, start, title.chars());
    canvas.into_lines()
}

/// Puts two pictures side by side, or below each other if there are too few columns for that.
pub(crate) fn together(left: &[String], right: &[String], columns: usize) -> Vec<String> {
    if columns < 2 * COLUMNS + GAP {
        return [left, &[String::new()], right]
            .concat()
            .iter()
            .map(|line| line.trim_end().to_owned())
            .collect();
    }
    left.iter()
        .zip(right)
        .map(|(left, right)| format!("{left}{:GAP$}{right}", "").trim_end().to_string())
        .collect()
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
    fn two_pictures_fit_on_eighty_columns_and_on_fewer() {
        let picture = draw(&places(12), "before", Charset::Unicode);
        for columns in COLUMNS..100 {
            for line in together(&picture, &picture, columns) {
                assert!(line.chars().count() <= columns.min(79), "{line}");
            }
        }
    }

    #[test]
    fn ascii_means_ascii() {
        let marks = [Mark::Holds(0), Mark::Holds(3), Mark::Dead, Mark::Reader, Mark::Absent];
        let places: Vec<Place> =
            marks.into_iter().enumerate().map(|(index, mark)| Place { index, mark }).collect();
        assert!(draw(&places, "after", Charset::Ascii).concat().is_ascii());
        assert!(legend(Charset::Ascii).is_ascii());
    }
}
