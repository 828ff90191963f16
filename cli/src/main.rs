//! The `chordage` command.
fn main() {}
