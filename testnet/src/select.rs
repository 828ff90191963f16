//! Which daemons a person means: an index, the beginning of a node id, or `all`.

use chordage_api::types::NodeId;

/// Why a selection was not understood. Nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// Neither an index of this network nor the beginning of a node id in it.
    #[error("no node {given:?}: give an index from 0 to {last}, the beginning of a node id, or `all`")]
    Unknown {
        /// What was given.
        given: String,
        /// The highest index.
        last: usize,
    },
    /// The beginning of several node ids.
    #[error("{given:?} is the beginning of {count} node ids: give more of it")]
    Ambiguous {
        /// What was given.
        given: String,
        /// How many ids begin so.
        count: usize,
    },
}

/// The indices that `given` selects, each once, in ascending order. `ids[i]` is the id of node `i` as far as
/// it is known. A number below the number of nodes is an index, even if an id begins with it.
pub fn select(given: &[String], ids: &[Option<NodeId>]) -> Result<Vec<usize>, SelectError> {
    let mut selected = vec![false; ids.len()];
    for one in given {
        if one == "all" {
            selected.fill(true);
            continue;
        }
        let last = ids.len().saturating_sub(1);
        let unknown = || SelectError::Unknown { given: one.clone(), last };
        if let Some(chosen) = one.parse::<usize>().ok().and_then(|index| selected.get_mut(index)) {
            *chosen = true;
            continue;
        }
        let prefix = one.to_ascii_lowercase();
        if prefix.is_empty() {
            return Err(unknown());
        }
        let begins = |id: &Option<NodeId>| id.is_some_and(|id| id.to_string().starts_with(&prefix));
        match ids.iter().filter(|id| begins(id)).count() {
            0 => return Err(unknown()),
            1 => {
                let index = ids.iter().position(begins).ok_or_else(unknown)?;
                selected[index] = true;
            }
            count => return Err(SelectError::Ambiguous { given: one.clone(), count }),
        }
    }
    Ok(selected.iter().enumerate().filter_map(|(index, &chosen)| chosen.then_some(index)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pick(given: &[&str]) -> Result<Vec<usize>, SelectError> {
        let ids =
            [Some(0xa1), Some(0xa2), None, Some(0x3b)].map(|byte| byte.map(|byte| NodeId::from([byte; 32])));
        select(&given.iter().map(ToString::to_string).collect::<Vec<_>>(), &ids)
    }

    #[test]
    fn indices_prefixes_and_all() {
        assert_eq!(pick(&["2", "0", "2"]), Ok(vec![0, 2]));
        assert_eq!(pick(&["A1"]), Ok(vec![0]));
        assert_eq!(pick(&["all"]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(pick(&["3"]), Ok(vec![3]));
        assert_eq!(pick(&["3b"]), Ok(vec![3]));
    }

    #[test]
    fn what_is_not_clear_is_refused() {
        assert_eq!(pick(&["a"]), Err(SelectError::Ambiguous { given: "a".into(), count: 2 }));
        for unknown in ["9", "ff", ""] {
            assert!(matches!(pick(&[unknown]), Err(SelectError::Unknown { last: 3, .. })), "{unknown}");
        }
    }
}
