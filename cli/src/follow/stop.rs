//! What ends a fetch before it is done.

use std::future::pending;

use super::news::News;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::interrupt::Interrupt;

/// What ends a fetch early.
pub(crate) struct Stop {
    /// Ctrl-C and the like.
    pub(crate) interrupt: Interrupt,
    /// A newer version.
    pub(crate) news: Option<News>,
}

impl Stop {
    /// The code of the error that says that there is a newer version.
    pub(crate) const SUPERSEDED: &str = "superseded";

    /// Waits for one of them.
    pub(crate) async fn wait(&mut self) -> CliError {
        let changed = async {
            match &mut self.news {
                Some(news) => news.changed().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.interrupt.wait() => interrupted(),
            () = changed => CliError::new(ExitStatus::Unavailable, Stop::SUPERSEDED, "there is news of the name"),
        }
    }
}

/// What it is ended with.
pub(super) fn interrupted() -> CliError {
    CliError::interrupted("what has come until now is kept")
}
