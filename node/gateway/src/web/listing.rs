//! What is in a directory, in the order that was asked for.

use std::cmp::Ordering;

use chordage_api::client::{Client, ClientError};
use chordage_api::types::{EntryForm, EntryInfo};

/// Entries that a page shows. Who wants more fetches the archive.
pub(super) const ENTRIES_MAX: usize = 10_000;

/// By what a page is sorted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum By {
    #[default]
    Name,
    Size,
    Time,
}

/// The order of a page: directories come first in any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Order {
    pub(super) by: By,
    /// The last comes first.
    pub(super) reversed: bool,
}

impl Order {
    /// What the query of an address asks for.
    pub(super) fn of(query: &str) -> Self {
        let has = |wanted: &str| query.split('&').any(|part| part == wanted);
        let by = match () {
            () if has("sort=size") => By::Size,
            () if has("sort=time") => By::Time,
            () => By::Name,
        };
        Order { by, reversed: has("order=down") }
    }

    /// The query that asks for this.
    pub(super) fn query(self) -> String {
        let by = match self.by {
            By::Name => "name",
            By::Size => "size",
            By::Time => "time",
        };
        format!("?sort={by}&order={}", if self.reversed { "down" } else { "up" })
    }
}

/// A directory as a page shows it.
pub(super) struct Listing {
    pub(super) entries: Vec<Entry>,
    /// There are more than are shown.
    pub(super) is_cut: bool,
}

/// Something in a directory.
pub(super) struct Entry {
    /// Its own name, without the directory.
    pub(super) name: Vec<u8>,
    pub(super) kind: EntryForm,
    pub(super) bytes: u64,
    /// Seconds since 1970.
    pub(super) changed: i64,
    /// Where a symbolic link leads.
    pub(super) target: Option<String>,
}

impl Listing {
    /// What is in the directory `path` of what a link stands for.
    pub(super) async fn read(client: &Client, link: &str, path: &[u8]) -> Result<Listing, ClientError> {
        let mut told = client.entries(link, Some(path).filter(|path| !path.is_empty()), false).await?;
        let mut entries = Vec::new();
        let mut is_cut = false;
        while let Some(entry) = told.entry().await? {
            if entries.len() == ENTRIES_MAX {
                is_cut = true;
                break;
            }
            entries.push(Entry::of(entry));
        }
        Ok(Listing { entries, is_cut })
    }

    /// Whether there is a file of this name.
    pub(super) fn has_file(&self, name: &[u8]) -> bool {
        self.entries.iter().any(|entry| entry.kind == EntryForm::File && entry.name == name)
    }

    /// Puts it into this order.
    pub(super) fn sort(&mut self, order: Order) {
        let is_dir = |entry: &Entry| entry.kind == EntryForm::Dir;
        self.entries.sort_by(|a, b| {
            let by = match order.by {
                By::Name => Ordering::Equal,
                By::Size => a.bytes.cmp(&b.bytes),
                By::Time => a.changed.cmp(&b.changed),
            };
            let by = by.then_with(|| a.name.cmp(&b.name));
            is_dir(b).cmp(&is_dir(a)).then(if order.reversed { by.reverse() } else { by })
        });
    }
}

impl Entry {
    fn of(info: EntryInfo) -> Self {
        let path = info.path_bytes();
        let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default().to_vec();
        Entry { name, kind: info.kind, bytes: info.bytes, changed: info.mtime_seconds, target: info.target }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, kind: EntryForm, bytes: u64, changed: i64) -> Entry {
        Entry { name: name.as_bytes().to_vec(), kind, bytes, changed, target: None }
    }

    #[test]
    fn directories_come_first_and_the_rest_as_asked() {
        let mut listing = Listing {
            entries: vec![
                entry("b", EntryForm::File, 1, 30),
                entry("z", EntryForm::Dir, 0, 5),
                entry("a", EntryForm::File, 20, 10),
                entry("c", EntryForm::File, 1, 20),
            ],
            is_cut: false,
        };
        for (query, order) in [
            ("", "zabc"),
            ("sort=name&order=down", "zcba"),
            ("sort=size", "zbca"),
            ("sort=size&order=down", "zacb"),
            ("sort=time&order=up", "zacb"),
            ("sort=nonsense&order=sideways", "zabc"),
        ] {
            listing.sort(Order::of(query));
            let names: Vec<u8> = listing.entries.iter().flat_map(|entry| entry.name.clone()).collect();
            assert_eq!(String::from_utf8(names).unwrap(), order, "{query}");
            assert_eq!(Order::of(Order::of(query).query().trim_start_matches('?')), Order::of(query));
        }
    }
}
