//! What this daemon registers, on disk, so that it is registered again after a restart.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chordage_api::OpenName;
use chordage_api::service::{Attrs, ServiceAddr};
use chordage_dht::KeptBy;
use chordage_storage::rows::{Change, Rows, Table};
use serde::{Deserialize, Serialize};

use super::ServicesError;

/// The directory and its file.
pub(crate) const SERVICES_FILE: &str = "services/services.redb";
const DIRECTORY: &str = "services";
const FILE: &str = "services.redb";
const OWN: Table = Table("own");
const STATE: Table = Table("state");
/// The highest number that was signed.
const SEQ: &[u8] = b"seq";
/// Registrations of one daemon at most.
pub(crate) const OWN_MAX: usize = 256;
/// Of these under one name: as many as those who keep a place take of one provider.
pub(crate) const OWN_PER_NAME_MAX: usize = 16;

/// What is registered: a name and an address.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Own {
    pub(super) name: OpenName,
    pub(super) addr: ServiceAddr,
}

/// The rest of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Registration {
    /// Which of this daemon's under the name.
    pub(super) number: u16,
    pub(super) attrs: Attrs,
    /// Since when, seconds since 1970.
    pub(super) since: u64,
    /// When it was signed last since the daemon started, seconds since 1970.
    pub(super) signed: Option<u64>,
    /// Who knew it then.
    pub(super) kept: Option<KeptBy>,
}

#[derive(Serialize, Deserialize)]
struct Row {
    name: String,
    addr: String,
    number: u16,
    attrs: Attrs,
    since: u64,
}

/// See the module's description.
pub(crate) struct ServiceBook {
    rows: Rows,
    own: Mutex<BTreeMap<Own, Registration>>,
    seq: Mutex<u64>,
}

impl ServiceBook {
    /// Opens or makes it below `dir`.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let rows = Rows::open(&dir.join(DIRECTORY), FILE, b"services")?;
        let rows = rows.ok_or_else(|| io::Error::other("the book of services is in use"))?;
        let own = rows.all(OWN)?;
        let own = own.iter().filter_map(|(_, bytes)| read(bytes)).collect();
        let seq = rows.get(STATE, SEQ)?.and_then(|bytes| Some(u64::from_be_bytes(bytes.try_into().ok()?)));
        Ok(Self { rows, own: Mutex::new(own), seq: Mutex::new(seq.unwrap_or(0)) })
    }

    /// Whether it was damaged, and begun anew.
    pub(crate) fn begun_anew(&self) -> bool {
        self.rows.begun_anew() > 0
    }

    fn own(&self) -> MutexGuard<'_, BTreeMap<Own, Registration>> {
        // Whoever panicked while holding it left whole entries behind.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that is registered, by name and address.
    pub(super) fn all(&self) -> Vec<(Own, Registration)> {
        self.own().iter().map(|(own, registration)| (own.clone(), registration.clone())).collect()
    }

    /// One of them.
    pub(super) fn get(&self, own: &Own) -> Option<Registration> {
        self.own().get(own).cloned()
    }

    /// Registers something, or gives it other attributes. Durable when this returns; says whether it is new.
    pub(super) fn insert(
        &self,
        own: &Own,
        attrs: Attrs,
        now: u64,
    ) -> Result<(Registration, bool), ServicesError> {
        let mut all = self.own();
        let before = all.get(own);
        let (number, since) = match before {
            Some(before) => (before.number, before.since),
            None if all.len() >= OWN_MAX => return Err(ServicesError::Full),
            None => (free_number(&all, &own.name)?, now),
        };
        let registration = Registration { number, attrs, since, signed: None, kept: None };
        self.rows
            .change(true, &[Change { table: OWN, key: key(own), value: Some(row(own, &registration)) }])?;
        let is_new = all.insert(own.clone(), registration.clone()).is_none();
        Ok((registration, is_new))
    }

    /// Registers it no longer. Durable when this returns.
    pub(super) fn remove(&self, own: &Own) -> io::Result<()> {
        let mut all = self.own();
        self.rows.change(true, &[Change { table: OWN, key: key(own), value: None }])?;
        all.remove(own);
        Ok(())
    }

    /// Notes how announcing it went.
    pub(super) fn announced(&self, own: &Own, signed: Option<u64>, kept: Option<KeptBy>) {
        if let Some(registration) = self.own().get_mut(own) {
            registration.signed = signed;
            registration.kept = kept;
        }
    }

    /// A number for a listing that leaves one more for its withdrawal: higher than all before, also after a restart.
    pub(super) fn next_seq(&self, now_micros: u64) -> io::Result<u64> {
        let mut last = self.seq.lock().unwrap_or_else(PoisonError::into_inner);
        let seq = now_micros.max(last.saturating_add(2));
        let value = Some(seq.to_be_bytes().to_vec());
        // The clock gives a higher one after a crash, unless it was set back: then it is worth a wait for the disk.
        let durable = seq != now_micros;
        self.rows.change(durable, &[Change { table: STATE, key: SEQ.to_vec(), value }])?;
        *last = seq;
        Ok(seq)
    }
}

/// The lowest number that nothing under the name has.
fn free_number(all: &BTreeMap<Own, Registration>, name: &OpenName) -> Result<u16, ServicesError> {
    let taken: Vec<u16> = all
        .iter()
        .filter(|(own, _)| own.name == *name)
        .map(|(_, registration)| registration.number)
        .collect();
    if taken.len() >= OWN_PER_NAME_MAX {
        return Err(ServicesError::FullName(name.clone()));
    }
    (0..).find(|number| !taken.contains(number)).ok_or_else(|| ServicesError::FullName(name.clone()))
}

/// A name has no NUL, so that no two give the same bytes.
fn key(own: &Own) -> Vec<u8> {
    format!("{}\0{}", own.name, own.addr).into_bytes()
}

fn row(own: &Own, registration: &Registration) -> Vec<u8> {
    let Registration { number, attrs, since, .. } = registration.clone();
    let row = Row { name: own.name.to_string(), addr: own.addr.to_string(), number, attrs, since };
    // These types can always be encoded.
    postcard::to_allocvec(&row).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<(Own, Registration)> {
    let Row { name, addr, number, attrs, since } = postcard::from_bytes(bytes).ok()?;
    let own = Own { name: name.parse().ok()?, addr: addr.parse().ok()? };
    Some((own, Registration { number, attrs, since, signed: None, kept: None }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn own(name: &str, port: u16) -> Own {
        let addr = format!("10.0.0.1:{port}").parse().expect("an address");
        Own { name: name.parse().expect("a name"), addr }
    }

    #[test]
    fn what_is_registered_is_there_after_a_restart_with_its_number() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let book = ServiceBook::open(dir.path()).expect("new");
        let attrs = |value: &str| Attrs::from([("k".to_owned(), value.to_owned())]);
        for (port, number) in [(1, 0), (2, 1), (3, 2)] {
            book.insert(&own("web", port), attrs("old"), 7).expect("new");
            assert_eq!(book.get(&own("web", port)).map(|registration| registration.number), Some(number));
        }
        book.remove(&own("web", 2)).expect("there");
        book.insert(&own("db", 1), Attrs::new(), 8).expect("new");
        assert!(!book.insert(&own("web", 3), attrs("new"), 9).expect("there").1, "it is not a new one");
        book.insert(&own("web", 4), Attrs::new(), 9).expect("takes the free number");
        drop(book);
        let book = ServiceBook::open(dir.path()).expect("there");
        let all = book.all().into_iter();
        let all: Vec<_> = all
            .map(|(own, found)| (own.name.to_string(), own.addr.port(), found.number, found.since))
            .collect();
        let expected = [("db", 1, 0, 8), ("web", 1, 0, 7), ("web", 3, 2, 7), ("web", 4, 1, 9)];
        assert_eq!(all, expected.map(|(name, port, number, since)| (name.to_owned(), port, number, since)));
        assert_eq!(book.get(&own("web", 3)).map(|registration| registration.attrs), Some(attrs("new")));
    }

    #[test]
    fn there_are_bounds_for_all_and_for_one_name() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let book = ServiceBook::open(dir.path()).expect("new");
        for index in 0..OWN_MAX {
            let name = format!("n{}", index / OWN_PER_NAME_MAX);
            let port = u16::try_from(index + 1).expect("few");
            book.insert(&own(&name, port), Attrs::new(), 1).expect("not too many");
            if index == OWN_PER_NAME_MAX - 1 {
                let refused = book.insert(&own("n0", 9999), Attrs::new(), 1);
                assert!(matches!(refused, Err(ServicesError::FullName(_))));
            }
        }
        assert!(matches!(book.insert(&own("more", 1), Attrs::new(), 1), Err(ServicesError::Full)));
        book.insert(&own("n0", 1), Attrs::new(), 2).expect("it is there already");
    }

    #[test]
    fn numbers_rise_also_when_the_clock_is_set_back() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let book = ServiceBook::open(dir.path()).expect("new");
        let seq = |now| book.next_seq(now).expect("writable");
        assert_eq!([seq(100), seq(100), seq(50), seq(200)], [100, 102, 104, 200]);
        drop(book);
        let book = ServiceBook::open(dir.path()).expect("there");
        assert_eq!(book.next_seq(50).expect("writable"), 202);
    }
}
