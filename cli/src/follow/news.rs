//! What a name stands for, watched for as long as it takes: a daemon that restarts does not end it.

use std::time::Duration;

use chordage_api::name_watch::NameWatch;
use chordage_api::types::Resolved;
use tokio::sync::watch;

use crate::connect;
use crate::error::CliError;
use crate::exit::ExitStatus;
use crate::global::GlobalArgs;

/// Before a daemon that is gone is looked for again: at first, and at most.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), News::AGAIN_MAX);

/// What is known now.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// Nothing yet.
    Nothing,
    /// What it stands for.
    Target(Box<Resolved>),
    /// Why it stands for nothing, or nobody says what for.
    Problem(CliError),
}

/// The newest of it.
#[derive(Debug)]
pub(crate) struct News {
    receiver: watch::Receiver<Found>,
    task: tokio::task::JoinHandle<()>,
}

impl News {
    /// The longest time before a daemon that is gone, or a name that stands for nothing, is looked for again.
    pub(crate) const AGAIN_MAX: Duration = Duration::from_secs(30);

    /// Watches `name`. Fails at once if that cannot be begun.
    pub(crate) async fn begin(global: &GlobalArgs, name: &str) -> Result<Self, CliError> {
        let first = open(global, name).await?;
        let (sender, receiver) = watch::channel(Found::Nothing);
        let task = tokio::spawn(go_on(global.clone(), name.to_owned(), first, sender));
        Ok(News { receiver, task })
    }

    /// What is known now.
    pub(crate) fn now(&mut self) -> Found {
        self.receiver.borrow_and_update().clone()
    }

    /// Waits until something else is known than what was last returned.
    pub(crate) async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            // The task ends with this.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for News {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn go_on(global: GlobalArgs, name: String, first: NameWatch, news: watch::Sender<Found>) {
    let mut watch = Some(first);
    let mut again = AGAIN.0;
    loop {
        let error = match &mut watch {
            Some(open) => match open.next().await {
                Ok(Some(Ok(found))) => {
                    again = AGAIN.0;
                    tell(&news, Found::Target(Box::new(found)));
                    continue;
                }
                Ok(Some(Err(problem))) => {
                    again = AGAIN.0;
                    tell(&news, Found::Problem(problem.into()));
                    continue;
                }
                Ok(None) => CliError::new(ExitStatus::NoDaemon, "shutting_down", "the daemon has stopped"),
                Err(error) => error.into(),
            },
            // Where it listens may have changed since.
            None => match open(&global, &name).await {
                Ok(open) => {
                    watch = Some(open);
                    continue;
                }
                Err(error) => error,
            },
        };
        watch = None;
        tell(&news, Found::Problem(error));
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN.1);
    }
}

async fn open(global: &GlobalArgs, name: &str) -> Result<NameWatch, CliError> {
    Ok(connect::client(global)?.watch_name(name).await?)
}

/// Tells it, unless it is known: who is watched anew after a break says the same again.
fn tell(news: &watch::Sender<Found>, found: Found) {
    news.send_if_modified(|known| {
        let same = match (&*known, &found) {
            (Found::Target(known), Found::Target(found)) => {
                (&known.target, known.seq) == (&found.target, found.seq)
            }
            (Found::Problem(known), Found::Problem(found)) => known.message == found.message,
            _ => false,
        };
        *known = found;
        !same
    });
}
