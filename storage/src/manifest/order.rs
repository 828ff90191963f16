//! The order of entries, which also makes a tree well-formed.
//!
//! Entries come as a walk meets them: a directory, then its children by ascending bytes of their names, each
//! child directory followed at once by what is in it. So the same tree always makes the same manifest, a name
//! cannot occur twice in a directory, nothing can lie "in" a file or a symbolic link, and all of that is checked
//! with memory for one path.

use crate::path::EntryPath;

/// Why an entry cannot follow the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OrderError {
    /// Its directory was not entered before it, or what lies there is not a directory.
    #[error("its directory does not come before it")]
    NoParent,
    /// It belongs before the entry that preceded it, or is the same.
    #[error("it is out of order or occurs twice")]
    OutOfOrder,
}

/// Follows a walk.
#[derive(Default)]
pub(crate) struct Order {
    /// Components of the last entry.
    last: Vec<Vec<u8>>,
    last_is_directory: bool,
    started: bool,
}

impl Order {
    /// Admits the root, which comes first.
    pub(crate) fn root(&mut self, is_directory: bool) -> Result<(), OrderError> {
        if self.started {
            return Err(OrderError::OutOfOrder);
        }
        self.started = true;
        self.last_is_directory = is_directory;
        Ok(())
    }

    /// Admits an entry `depth` ≥ 1 levels below the root, in the directory that encloses the last entry at that
    /// level.
    pub(crate) fn admit(&mut self, depth: usize, name: &[u8], is_directory: bool) -> Result<(), OrderError> {
        let deepest = self.last.len() + usize::from(self.last_is_directory);
        if !self.started || depth == 0 || depth > deepest {
            return Err(OrderError::NoParent);
        }
        if self.last.get(depth - 1).is_some_and(|previous| name <= &previous[..]) {
            return Err(OrderError::OutOfOrder);
        }
        self.last.truncate(depth - 1);
        self.last.push(name.to_vec());
        self.last_is_directory = is_directory;
        Ok(())
    }

    /// Admits an entry by its path; returns its depth.
    pub(crate) fn admit_path(&mut self, path: &EntryPath, is_directory: bool) -> Result<usize, OrderError> {
        let Some(name) = path.name() else {
            self.root(is_directory)?;
            return Ok(0);
        };
        let depth = path.components().count();
        let mut parents = path.components().take(depth - 1).zip(&self.last);
        if let Some((ours, theirs)) = parents.find(|(ours, theirs)| ours != theirs) {
            return Err(if ours < &theirs[..] { OrderError::OutOfOrder } else { OrderError::NoParent });
        }
        self.admit(depth, name, is_directory)?;
        Ok(depth)
    }

    /// Components of the last entry.
    pub(crate) fn components(&self) -> &[Vec<u8>] {
        &self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_admitted_and_other_orders_are_not() {
        let mut order = Order::default();
        let mut admit =
            |path: &str, is_directory| order.admit_path(&EntryPath::new(path).unwrap(), is_directory);
        assert_eq!(admit("a", true), Err(OrderError::NoParent));
        assert_eq!(admit("", true), Ok(0));
        assert_eq!(admit("", true), Err(OrderError::OutOfOrder));
        assert_eq!(admit("a", true), Ok(1));
        assert_eq!(admit("a/b", false), Ok(2));
        assert_eq!(admit("a/b", false), Err(OrderError::OutOfOrder));
        assert_eq!(admit("a/b/c", false), Err(OrderError::NoParent));
        assert_eq!(admit("x/y", false), Err(OrderError::NoParent));
        assert_eq!(admit("a/c", true), Ok(2));
        assert_eq!(admit("a/c/d", false), Ok(3));
        assert_eq!(admit("b", false), Ok(1));
        assert_eq!(admit("a/z", false), Err(OrderError::OutOfOrder));
        assert_eq!(admit("aa", false), Err(OrderError::OutOfOrder));
    }
}
