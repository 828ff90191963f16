//! How long messages travel.

use std::{path::Path, str::FromStr, time::Duration};

use crate::chance::{exponential_of, mix, unit_of};

/// Where a node is, as far as delays go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Site {
    number: u32,
    /// Its own share of every round trip, microseconds.
    access: u32,
    region: u32,
}

/// A model of delays. The round-trip time of a pair is the same in both directions and does not change; what varies
/// from message to message is [`Faults::jitter`](crate::faults::Faults::jitter).
#[derive(Debug, Clone, PartialEq)]
pub enum Latency {
    /// Every round trip takes the same time.
    Constant {
        /// Round-trip time.
        rtt: Duration,
    },
    /// A synthetic internet: five regions, and a delay of each node's own. Over random pairs the round-trip time has a
    /// mean of about 122 ms, a median of 117 and a 90th percentile of 201.
    Internet,
    /// Measured or invented round-trip times between a number of places; nodes are dealt to the places in turn.
    Table(RttTable),
}

/// The model of this name: `internet`, `constant` (100 ms), or that of a file of round-trip times, whose path is seen
/// from `directory`.
pub fn by_name(name: &str, directory: &Path) -> Result<Latency, RttTableError> {
    match name {
        "constant" => Ok(Latency::Constant { rtt: Duration::from_millis(100) }),
        "internet" => Ok(Latency::Internet),
        file => RttTable::read(&directory.join(file)).map(Latency::Table),
    }
}

/// Round-trip times between places.
#[derive(Debug, Clone, PartialEq)]
pub struct RttTable {
    places: u32,
    micros: Vec<u32>,
}

/// Why a table of round-trip times cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RttTableError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Unreadable {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Something that is no number of milliseconds.
    #[error("line {line}: {word:?} is not a number of milliseconds between 0 and 60000")]
    NotANumber {
        /// Line, from 1.
        line: usize,
        /// What stands there.
        word: String,
    },
    /// A row of the wrong length.
    #[error("row {row} has {found} numbers, but there are {rows} rows: the table must be square")]
    NotSquare {
        /// Row, from 1.
        row: usize,
        /// Numbers in it.
        found: usize,
        /// Rows.
        rows: usize,
    },
    /// No numbers at all.
    #[error("the table is empty")]
    Empty,
}

impl RttTable {
    /// Reads a file: one row per line, round-trip times in milliseconds separated by blanks or commas, `#` starts a
    /// comment. Of the two times of a pair the mean counts. The diagonal says how far nodes of one place are apart.
    pub fn read(path: &Path) -> Result<Self, RttTableError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| RttTableError::Unreadable { path: path.display().to_string(), source })?;
        text.parse()
    }
}

impl FromStr for RttTable {
    type Err = RttTableError;

    fn from_str(text: &str) -> Result<Self, RttTableError> {
        let mut rows: Vec<Vec<f64>> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let content = line.split('#').next().unwrap_or_default();
            let words = content.split([' ', '\t', ',', ';']).filter(|word| !word.is_empty());
            let row: Result<Vec<f64>, RttTableError> = words
                .map(|word| match word.parse::<f64>() {
                    Ok(ms) if (0.0..=60_000.0).contains(&ms) => Ok(ms),
                    _ => Err(RttTableError::NotANumber { line: index + 1, word: word.to_owned() }),
                })
                .collect();
            let row = row?;
            if !row.is_empty() {
                rows.push(row);
            }
        }
        if rows.is_empty() {
            return Err(RttTableError::Empty);
        }
        let count = rows.len();
        if let Some((row, numbers)) = rows.iter().enumerate().find(|(_, row)| row.len() != count) {
            return Err(RttTableError::NotSquare { row: row + 1, found: numbers.len(), rows: count });
        }
        let mean = |a: usize, b: usize| ((rows[a][b] + rows[b][a]) * 500.0) as u32;
        let micros = (0..count * count).map(|cell| mean(cell / count, cell % count)).collect();
        Ok(Self { places: count as u32, micros })
    }
}

/// Of 100 nodes, how many live in each region: North America, Europe, Asia, South America, Oceania. A guess in the
/// spirit of measured populations of peer-to-peer networks; what counts is the spread of the times.
const SHARE: [u32; 5] = [34, 32, 23, 6, 5];
/// Round-trip times between regions, milliseconds, without the nodes' own delays. Fitted by hand to the distribution
/// that [`Latency::Internet`] promises.
const BETWEEN: [[u32; 5]; 5] = [
    [30, 90, 145, 115, 150],
    [90, 22, 165, 185, 230],
    [145, 165, 60, 240, 112],
    [115, 185, 240, 34, 270],
    [150, 230, 112, 270, 28],
];
/// Mean of the exponential part of a node's own delay; another millisecond is added to everybody.
const ACCESS_MICROS: f64 = 4_400.0;
/// A pair's time between regions lies within a fifth of the table's.
const SPREAD: f64 = 0.2;

impl Latency {
    /// The place of the node with this number.
    pub fn site(&self, seed: u64, number: u32) -> Site {
        match self {
            Self::Constant { .. } => Site { number, access: 0, region: 0 },
            Self::Table(table) => Site { number, access: 0, region: number % table.places },
            Self::Internet => {
                let draw = mix(seed ^ mix(u64::from(number)));
                let mut left = (draw % 100) as u32;
                let mut region = 0;
                while left >= SHARE[region] {
                    left -= SHARE[region];
                    region += 1;
                }
                let access = 1_000.0 + ACCESS_MICROS * exponential_of(mix(draw));
                Site { number, access: access as u32, region: region as u32 }
            }
        }
    }

    /// Round-trip time between two places.
    pub fn rtt(&self, a: Site, b: Site) -> Duration {
        match self {
            Self::Constant { rtt } => *rtt,
            Self::Table(table) => {
                let cell = a.region * table.places + b.region;
                Duration::from_micros(table.micros[cell as usize].into())
            }
            Self::Internet => {
                let base = f64::from(BETWEEN[a.region as usize][b.region as usize]) * 1000.0;
                let (low, high) = (a.number.min(b.number), a.number.max(b.number));
                let draw = unit_of(mix(u64::from(low) << 32 | u64::from(high)));
                let between = base * (1.0 - SPREAD + 2.0 * SPREAD * draw);
                Duration::from_micros(between as u64 + u64::from(a.access) + u64::from(b.access))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_internet_has_the_spread_it_promises() {
        let model = Latency::Internet;
        let sites: Vec<Site> = (0..2_000).map(|number| model.site(7, number)).collect();
        let mut times: Vec<f64> = (0..200_000u64)
            .map(|pair| {
                let (a, b) = ((mix(pair) % 2_000) as usize, (mix(pair + 1_000_000) % 2_000) as usize);
                assert_eq!(model.rtt(sites[a], sites[b]), model.rtt(sites[b], sites[a]));
                model.rtt(sites[a], sites[b]).as_secs_f64() * 1e3
            })
            .collect();
        times.sort_by(f64::total_cmp);
        let mean = times.iter().sum::<f64>() / times.len() as f64;
        let (median, p90) = (times[100_000], times[180_000]);
        assert!((118.0..126.0).contains(&mean), "mean {mean}");
        assert!((113.0..121.0).contains(&median), "median {median}");
        assert!((195.0..207.0).contains(&p90), "p90 {p90}");
    }

    #[test]
    fn tables_are_read_with_comments_and_refused_with_a_reason() {
        let table: RttTable = "# ms\n1, 50\n70 2 # two places\n".parse().unwrap();
        let model = Latency::Table(table);
        let (a, b) = (model.site(0, 0), model.site(0, 1));
        assert_eq!(model.rtt(a, b), Duration::from_millis(60));
        assert_eq!(model.rtt(a, model.site(0, 2)), Duration::from_millis(1));
        let error = "1 2\n3".parse::<RttTable>().unwrap_err().to_string();
        assert_eq!(error, "row 2 has 1 numbers, but there are 2 rows: the table must be square");
        let error = "1 x".parse::<RttTable>().unwrap_err().to_string();
        assert!(error.starts_with("line 1: \"x\""), "{error}");
        assert!(matches!("# nothing".parse::<RttTable>(), Err(RttTableError::Empty)));
    }
}
