//! From what was brought, what lies there and what is to be there to what has to be done. It touches nothing.

use std::collections::BTreeMap;

use super::listing::{Entry, Kind, Listing};
use super::local::{Local, Place};
use super::record::{FileRecord, Record, Stamp};
use chordage_api::hex;

/// What lies where something is to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// Nothing.
    Nothing,
    /// What was brought, and looks so.
    Brought(Stamp),
    /// Something that was not brought, or was changed since.
    Other,
}

/// Why something that lies there is in the way, or stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Why {
    /// It was brought, and changed here; the new version has other content, or something else there.
    ChangedHere,
    /// It was brought and changed here; the new version has what the one before had, so it stays.
    StillTheSame,
    /// It was brought and changed here; the new version has nothing there, so it stays.
    GoneThere,
    /// It was not brought.
    InTheWay,
    /// Follow keeps its own things there; what the version has there does not come.
    Reserved,
}

/// One thing to be done, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// It stays as it is, and whoever follows should know.
    Left(Vec<u8>, Why),
    /// A file or symbolic link that was brought and is not wanted any more.
    Remove(Vec<u8>, Stamp),
    /// A directory that was made; what else is in it keeps it there.
    RemoveDir(Vec<u8>),
    /// A directory, by the number of its entry.
    MakeDir(usize, Over, Why),
    /// A file, whose content was fetched.
    Place(usize, Over, Why),
    /// A symbolic link.
    Link(usize, Over, Why),
    /// Mode and time of a file that has its content already.
    Touch(usize, FileRecord),
}

/// What has to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Numbers of the entries whose content is needed.
    pub(crate) fetch: Vec<usize>,
    /// What to do when it is there.
    pub(crate) steps: Vec<Step>,
    /// What was brought and stays so.
    pub(crate) kept: BTreeMap<Vec<u8>, Record>,
}

impl Plan {
    /// Whether the directory is not as it is to be.
    pub(crate) fn changes(&self) -> bool {
        self.steps.iter().any(|step| !matches!(step, Step::Left(..)))
    }
}

/// Makes the plan. `known` has what was brought; `local` what lies at all paths of it and of `wanted`. Without
/// `delete`, what is not in the version any more stays.
pub(crate) fn plan(
    known: &BTreeMap<Vec<u8>, Record>,
    wanted: &Listing,
    local: &BTreeMap<Vec<u8>, Local>,
    delete: bool,
) -> Plan {
    let mut plan = Plan::default();
    plan.steps.extend(wanted.reserved.iter().map(|path| Step::Left(path.clone(), Why::Reserved)));
    let mut dirs = Vec::new();
    for (path, record) in known.iter().filter(|(path, _)| wanted.get(path).is_none()) {
        if record == &Record::Dir && delete && is_dir(local.get(path)) {
            dirs.push(path.clone());
        } else {
            gone(&mut plan, path, record, local.get(path), delete);
        }
    }
    for entry in wanted.entries.iter().filter(|entry| entry.kind != Kind::Dir) {
        // What was in it goes first, and with it the directory, as far as nothing else is in there.
        if known.get(&entry.path) == Some(&Record::Dir) && is_dir(local.get(&entry.path)) {
            dirs.push(entry.path.clone());
        }
    }
    // The deepest first: a path is greater than any of its beginnings.
    dirs.sort();
    plan.steps.extend(dirs.into_iter().rev().map(Step::RemoveDir));
    for (at, entry) in wanted.entries.iter().enumerate() {
        arrive(&mut plan, at, entry, known.get(&entry.path), local.get(&entry.path));
    }
    plan
}

fn is_dir(local: Option<&Local>) -> bool {
    local.is_some_and(|local| local.place == Place::Dir)
}

/// Of what was brought and is not in the version any more.
fn gone(plan: &mut Plan, path: &[u8], known: &Record, local: Option<&Local>, delete: bool) {
    let Some(local) = local else { return };
    match &local.place {
        // It stays known, so that a later version that has it again replaces it.
        Place::Brought(record) if !delete => drop(plan.kept.insert(path.to_vec(), record.clone())),
        Place::Brought(Record::File(FileRecord { adopted: true, .. })) => {}
        Place::Brought(_) => plan.steps.push(Step::Remove(path.to_vec(), local.stamp)),
        Place::Dir if *known == Record::Dir => drop(plan.kept.insert(path.to_vec(), Record::Dir)),
        Place::Dir | Place::Other => plan.steps.push(Step::Left(path.to_vec(), Why::GoneThere)),
    }
}

/// Of what the version has.
fn arrive(plan: &mut Plan, at: usize, entry: &Entry, known: Option<&Record>, local: Option<&Local>) {
    let over = match local {
        None => Over::Nothing,
        Some(local) => match local.place {
            Place::Brought(_) => Over::Brought(local.stamp),
            Place::Dir | Place::Other => Over::Other,
        },
    };
    let why = if known.is_some_and(|known| *known != Record::Dir) { Why::ChangedHere } else { Why::InTheWay };
    let brought = local.and_then(|local| match &local.place {
        Place::Brought(record) => Some(record),
        _ => None,
    });
    let mut keep = |record: &Record| drop(plan.kept.insert(entry.path.clone(), record.clone()));
    match (&entry.kind, brought) {
        (Kind::Dir, _) if is_dir(local) => {
            if known == Some(&Record::Dir) {
                keep(&Record::Dir);
            }
        }
        (Kind::Dir, _) => plan.steps.push(Step::MakeDir(at, over, why)),
        (Kind::Symlink(target), Some(Record::Symlink { target: is })) if hex(target) == *is => {
            keep(&Record::Symlink { target: is.clone() });
        }
        (Kind::Symlink(target), _) => {
            let before = matches!(known, Some(Record::Symlink { target: was }) if hex(target) == *was);
            if over == Over::Other && before {
                known.map(keep);
                plan.steps.push(Step::Left(entry.path.clone(), Why::StillTheSame));
            } else {
                plan.steps.push(Step::Link(at, over, why));
            }
        }
        (Kind::File { content, .. }, Some(Record::File(record))) if *content == record.content => {
            match entry.metadata {
                Some(metadata) if metadata != record.metadata => {
                    plan.steps.push(Step::Touch(at, record.clone()));
                }
                _ => keep(&Record::File(record.clone())),
            }
        }
        (Kind::File { content, .. }, _) => {
            let before = matches!(known, Some(Record::File(record)) if record.content == *content);
            if over == Over::Other && before {
                known.map(keep);
                plan.steps.push(Step::Left(entry.path.clone(), Why::StillTheSame));
            } else {
                plan.fetch.push(at);
                plan.steps.push(Step::Place(at, over, why));
            }
        }
    }
}

#[cfg(test)]
mod tests;
