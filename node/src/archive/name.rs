//! Paths inside archives.

/// Longest path, bytes: what Linux takes in one call.
pub const PATH_BYTES_MAX: usize = 4096;

/// Why a path is refused. It would leave the tree, or no file system could hold it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It begins with `/`.
    #[error("the path is absolute")]
    Absolute,
    /// A component is `..`.
    #[error("the path goes up with `..`")]
    Upwards,
    /// It has a NUL byte.
    #[error("the path has a NUL byte")]
    Nul,
    /// It is longer than [`PATH_BYTES_MAX`].
    #[error("the path is longer than {PATH_BYTES_MAX} bytes")]
    TooLong,
}

/// Checks a path and brings it into its one form: no `.`, no empty component, no slash at either end. Empty means the
/// root.
pub fn check_path(path: &[u8]) -> Result<Vec<u8>, NameError> {
    if path.first() == Some(&b'/') {
        return Err(NameError::Absolute);
    }
    if path.contains(&0) {
        return Err(NameError::Nul);
    }
    if path.len() > PATH_BYTES_MAX {
        return Err(NameError::TooLong);
    }
    let mut plain = Vec::with_capacity(path.len());
    for component in path.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(NameError::Upwards),
            name => {
                if !plain.is_empty() {
                    plain.push(b'/');
                }
                plain.extend_from_slice(name);
            }
        }
    }
    Ok(plain)
}
