//! Cells of characters, and circles on them.

use std::f64::consts::TAU;
use std::ops::Range;

/// A rectangle of characters, blank at first.
#[derive(Clone, Debug)]
pub(crate) struct Canvas {
    cells: Vec<Vec<char>>,
}

impl Canvas {
    /// A blank one.
    pub(crate) fn new(rows: usize, columns: usize) -> Self {
        Self { cells: vec![vec![' '; columns]; rows] }
    }

    /// Writes from a cell to the right; what does not fit is cut off.
    pub(crate) fn write(&mut self, row: usize, column: usize, letters: impl IntoIterator<Item = char>) {
        let Some(cells) = self.cells.get_mut(row) else { return };
        for (cell, letter) in cells.iter_mut().skip(column).zip(letters) {
            *cell = letter;
        }
    }

    /// Draws a circle of so many dots.
    pub(crate) fn trace(&mut self, circle: &Circle, dots: u32, dot: char) {
        for step in 0..dots {
            let (row, column) = circle.cell(f64::from(step) / f64::from(dots));
            self.write(row, column, [dot]);
        }
    }

    /// Whether a stretch of a row has nothing but blanks and this character.
    pub(crate) fn is_free(&self, row: usize, columns: Range<usize>, background: char) -> bool {
        let cells = self.cells.get(row).and_then(|cells| cells.get(columns));
        cells.is_some_and(|cells| cells.iter().all(|&cell| cell == ' ' || cell == background))
    }

    /// The rows as text.
    pub(crate) fn into_lines(self) -> Vec<String> {
        self.cells.into_iter().map(|row| row.into_iter().collect()).collect()
    }
}

/// A circle, which on a terminal is wider than high: characters are about twice as high as wide.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Circle {
    /// Of its middle: row and column.
    pub(crate) middle: (f64, f64),
    /// Rows and columns from the middle to the rim.
    pub(crate) reach: (f64, f64),
}

impl Circle {
    /// Row and column of a place on the rim, `turn` of the way round clockwise from the top.
    pub(crate) fn place(&self, turn: f64) -> (f64, f64) {
        let angle = turn * TAU;
        (self.middle.0 - angle.cos() * self.reach.0, self.middle.1 + angle.sin() * self.reach.1)
    }

    /// The cell there.
    pub(crate) fn cell(&self, turn: f64) -> (usize, usize) {
        let (row, column) = self.place(turn);
        // A cast of a negative number gives 0.
        (row.round() as usize, column.round() as usize)
    }
}
