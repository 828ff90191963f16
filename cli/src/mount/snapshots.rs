//! Which snapshots there are. New ones show up by themselves.

use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_api::client::ClientError;
use tokio::sync::Mutex;

use super::complaints::Complaints;
use super::source::Source;
use super::view::View;
use crate::backup::calendar::Calendar;
use crate::backup::filter::FilterArgs;

/// For so long a list is not read again.
const FRESH: Duration = Duration::from_secs(3);
/// So long the daemon may take for a list. After that the last one is shown.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module's description.
#[derive(Debug)]
pub(super) struct Snapshots {
    source: Arc<Source>,
    filter: FilterArgs,
    calendar: Calendar,
    complaints: Arc<Complaints>,
    state: Mutex<(Arc<View>, Instant)>,
}

impl Snapshots {
    /// Reads the list for the first time. Returns how many there are, too.
    pub(super) async fn read(
        source: Arc<Source>,
        filter: FilterArgs,
        complaints: Arc<Complaints>,
    ) -> Result<(Self, usize), ClientError> {
        let calendar = Calendar::local();
        let (view, count) = list(&source, &filter, &calendar).await?;
        let state = Mutex::new((Arc::new(view), Instant::now()));
        Ok((Snapshots { source, filter, calendar, complaints, state }, count))
    }

    /// What is shown of them now. One who finds the list too old reads it again, and others wait for that.
    pub(super) async fn view(&self) -> Arc<View> {
        let mut state = self.state.lock().await;
        let (view, read) = &mut *state;
        if read.elapsed() < FRESH {
            return view.clone();
        }
        let listing = list(&self.source, &self.filter, &self.calendar);
        match tokio::time::timeout(PATIENCE, listing).await {
            Ok(Ok((found, _))) if found == **view => {}
            Ok(Ok((found, _))) => *view = Arc::new(found),
            Ok(Err(error)) => self.complaints.say(&format!("the list of snapshots may be old: {error}")),
            Err(_) => self.complaints.say("the list of snapshots may be old: the daemon does not answer"),
        }
        *read = Instant::now();
        view.clone()
    }
}

async fn list(
    source: &Source,
    filter: &FilterArgs,
    calendar: &Calendar,
) -> Result<(View, usize), ClientError> {
    let mut snapshots = source.snapshots().await?;
    snapshots.retain(|snapshot| filter.takes(snapshot));
    snapshots.sort_by(|one, other| one.in_time(other));
    Ok((View::of(&snapshots, calendar), snapshots.len()))
}
