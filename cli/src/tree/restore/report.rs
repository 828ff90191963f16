//! What a restore has made, and what it could not.

use super::error::Trouble;
use crate::human::count;

/// Entries that are named in a report; the others are only counted.
const NAMED_MAX: usize = 100;

/// What was restored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Restored {
    /// Regular files, each once however many names it has.
    pub(crate) files: u64,
    /// Bytes in them, without holes.
    pub(crate) bytes: u64,
    /// Those of the files that have holes.
    pub(crate) sparse: u64,
    /// Directories, without the one that was restored into.
    pub(crate) dirs: u64,
    /// Symbolic links.
    pub(crate) symlinks: u64,
    /// Further names of what has one already.
    pub(crate) hard_links: u64,
    /// Devices.
    pub(crate) devices: u64,
    /// Named pipes.
    pub(crate) fifos: u64,
    /// What is not as it was.
    pub(crate) missed: Missed,
}

/// What could not be restored: entries for each sort of thing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// They belong to whoever restored them.
    pub(crate) owners: u64,
    /// Those of them that had a set-user-id or set-group-id bit and have none now.
    pub(crate) set_id: u64,
    /// Some of their extended attributes or ACLs are missing.
    pub(crate) attributes: u64,
    /// Their modes are not as they were.
    pub(crate) modes: u64,
    /// Nor their times.
    pub(crate) times: u64,
    /// Devices and pipes that are not there.
    pub(crate) devices: u64,
    /// Hard links that are copies now.
    pub(crate) links: u64,
    /// Other entries that are not there.
    pub(crate) failed: u64,
    /// The first of these, each with the reason.
    pub(crate) named: Vec<(Vec<u8>, String)>,
}

impl Missed {
    /// Whether all is as it was.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Missed::default()
    }

    pub(super) fn failed(&mut self, trouble: &Trouble) {
        self.failed += 1;
        if let Trouble::File { path, .. } = trouble
            && self.named.len() < NAMED_MAX
        {
            self.named.push((path.clone(), trouble.to_string()));
        }
    }

    /// For the end of a restore: a line for each sort of thing that is not as it was.
    pub(crate) fn describe(&self) -> Vec<String> {
        let entries = |number| count(number, "entry", "entries");
        let mut lines = Vec::new();
        if let Some((_, first)) = self.named.first() {
            let first = if self.failed == 1 { first.clone() } else { format!("the first: {first}") };
            lines.push(format!("NOT restored: {}; {first}", entries(self.failed)));
        }
        if self.devices > 0 {
            let devices = count(self.devices, "device or pipe", "devices and pipes");
            lines.push(format!("NOT restored, because the system does not allow it here: {devices}"));
        }
        if self.owners > 0 {
            let entries = entries(self.owners);
            lines.push(format!("owners were not restored of {entries}: only root may give them to others"));
        }
        if self.set_id > 0 {
            let files = count(self.set_id, "file", "files");
            lines.push(format!(
                "set-user-id and set-group-id bits were left out of {files} without their owner"
            ));
        }
        for (number, what) in
            [(self.attributes, "extended attributes or ACLs"), (self.modes, "modes"), (self.times, "times")]
        {
            if number > 0 {
                lines.push(format!("{what} were refused by the system for {}", entries(number)));
            }
        }
        if self.links > 0 {
            let links = count(self.links, "hard link is a copy", "hard links are copies");
            lines.push(format!("{links} now, because the file system has none"));
        }
        lines
    }
}
