//! What users can be called.

/// Longest name, bytes.
const NAME_BYTES_MAX: usize = 100;
/// What paths of restic's have in its place.
const RESERVED: [&str; 6] = ["config", "data", "index", "keys", "locks", "snapshots"];

/// Whether a text can be the name of a user, and so a part of a path of restic's: there it must not be taken for a kind
/// of files or for a file.
pub(crate) fn can_be_user(text: &str) -> bool {
    let is_id = text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (1..=NAME_BYTES_MAX).contains(&text.len())
        && !text.chars().any(|c| c.is_control() || matches!(c, '/' | '\\' | ':'))
        && !matches!(text, "." | "..")
        && !RESERVED.contains(&text)
        && !is_id
}
