//! Which volume a command is about.

use clap::Args;

use crate::error::CliError;

/// Variable with the volume.
const VARIABLE: &str = "CHORDAGE_VOLUME";
/// The petname of the volume of those who have one.
const DEFAULT: &str = "backup";

/// Which volume.
#[derive(Debug, Args)]
pub(crate) struct VolumeArgs {
    /// The volume: its petname here, or the 64 digits that it has everywhere
    ///
    /// By default what CHORDAGE_VOLUME says, or else `backup`.
    #[arg(long, global = true, value_name = "NAME")]
    volume: Option<String>,
}

impl VolumeArgs {
    /// What the user called it.
    pub(crate) fn name(&self) -> String {
        let variable = || std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        match (&self.volume, variable()) {
            (Some(name), _) => name.clone(),
            (None, Some(name)) => name.to_string_lossy().into_owned(),
            (None, None) => DEFAULT.to_owned(),
        }
    }
}

/// Says how to come to a volume, if there is none.
pub(crate) fn no_volume_hint(error: CliError) -> CliError {
    match error.code.as_str() {
        "no_such_volume" => error.hint(
            "`chordage backup init` makes one, `chordage volume import NAME` takes in one of another machine, and \
             `chordage volume list` shows all; name it with --volume",
        ),
        _ => error,
    }
}
