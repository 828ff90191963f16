//! Names of owners, for archives.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use chordage_node::archive::OWNER_NAME_BYTES_MAX;

/// What is read of a list of users or groups.
const LIST_BYTES_MAX: u64 = 16 << 20;

/// The names of this machine's users and groups.
///
/// They are those in `/etc/passwd` and `/etc/group`, which are read once. Users of a directory service (LDAP,
/// systemd-homed) are not in there and have no name here: only the C library knows how to ask its plugins for them.
/// What counts when files are restored is the number; the name is for people who look at an archive elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: BTreeMap<u32, Vec<u8>>,
    groups: BTreeMap<u32, Vec<u8>>,
}

impl Owners {
    /// Those of this machine.
    pub(crate) fn of_system() -> Self {
        Owners { users: read(Path::new("/etc/passwd")), groups: read(Path::new("/etc/group")) }
    }

    /// The name of a user; empty if there is none.
    pub(crate) fn user(&self, uid: u32) -> Vec<u8> {
        self.users.get(&uid).cloned().unwrap_or_default()
    }

    /// The name of a group; empty if there is none.
    pub(crate) fn group(&self, gid: u32) -> Vec<u8> {
        self.groups.get(&gid).cloned().unwrap_or_default()
    }
}

fn read(path: &Path) -> BTreeMap<u32, Vec<u8>> {
    let mut list = Vec::new();
    // Without a list nobody has a name, which is no reason to fail.
    let _ = File::open(path).and_then(|file| file.take(LIST_BYTES_MAX).read_to_end(&mut list));
    names(&list)
}

/// Lines of `name:password:number:…`. Of several names for a number the first counts, as for everybody.
fn names(list: &[u8]) -> BTreeMap<u32, Vec<u8>> {
    let mut names = BTreeMap::new();
    for line in list.split(|byte| *byte == b'\n') {
        let mut fields = line.split(|byte| *byte == b':');
        let (Some(name), Some(number)) = (fields.next(), fields.nth(1)) else { continue };
        let number = std::str::from_utf8(number).ok().and_then(|number| number.parse().ok());
        if let Some(number) = number.filter(|_| (1..=OWNER_NAME_BYTES_MAX).contains(&name.len())) {
            names.entry(number).or_insert_with(|| name.to_vec());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_from_lists() {
        let list = b"root:x:0:0:root:/root:/bin/bash\ntoor:x:0:0::/root:\n# comment\n+::::::\nme:x:1000:1000::/home/me:";
        let owners = Owners { users: names(list), groups: names(b"wheel:x:10:me\n\nbroken:x\nodd:x:-1:") };
        assert_eq!(owners.user(0), b"root");
        assert_eq!(owners.user(1000), b"me");
        assert_eq!(owners.user(7), b"");
        assert_eq!(owners.group(10), b"wheel");
        assert_eq!(owners.groups.len(), 1);
    }
}
