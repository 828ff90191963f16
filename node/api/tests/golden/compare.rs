//! Compares JSON with files that are kept, byte for byte.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// When it is set, the files are written instead.
const RENEW: &str = "CHORDAGE_RENEW_GOLDEN";

/// Where the files of the crate that is tested lie.
pub(crate) fn golden_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Compares `value`, as indented JSON, with the file `name`, and returns what the file says. The error names the first
/// line that differs.
pub(crate) fn golden(name: &str, value: &impl Serialize) -> Result<String, String> {
    let path = golden_dir().join(format!("{name}.json"));
    let mut written = serde_json::to_string_pretty(value).map_err(|error| format!("{name}: {error}"))?;
    written.push('\n');
    if std::env::var_os(RENEW).is_some() {
        fs::write(&path, &written).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    if kept == written {
        return Ok(kept);
    }
    let same = kept.lines().zip(written.lines()).take_while(|(kept, written)| kept == written).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    Err(format!(
        "{}:{}\n    the file says  {}\n    the code says  {}\n    if clients can bear that, renew the file: {RENEW}=1 cargo test -p {}",
        path.display(),
        same + 1,
        line(&kept),
        line(&written),
        env!("CARGO_PKG_NAME"),
    ))
}
