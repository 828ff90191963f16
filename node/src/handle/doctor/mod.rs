//! What the daemon finds out about itself when it is asked how it is. Every finding that is not as it should be says
//! what to do.

mod itself;
mod overlay;
mod safety;

use chordage_api::types::{Check, CheckName, CheckState, Diagnosis};

use super::NodeHandle;
use crate::descriptors;

fn check(name: CheckName, state: CheckState, found: impl Into<String>) -> Check {
    Check { check: name, state, found: found.into(), remedy: None, seconds: None }
}

fn to_do(check: Check, remedy: &str) -> Check {
    Check { remedy: Some(remedy.to_owned()), ..check }
}

impl NodeHandle {
    /// Looks at everything; takes a few seconds. `None` once the daemon has stopped.
    pub(crate) async fn diagnosis(&self) -> Option<Diagnosis> {
        let status = self.status().await?;
        let members = self.members().await?;
        let (clock, holder) = tokio::join!(self.clock(), self.first_holder(&status));
        let mut checks = vec![
            overlay::ports(&status),
            itself::twin(&status),
            overlay::network(&status),
            overlay::reachability(&status),
            overlay::nat(&status),
            clock,
        ];
        checks.extend(self.certificate().await);
        checks.extend([
            holder,
            safety::zones(&status, &members),
            itself::descriptors(descriptors::limit(), &status),
            itself::disk(&status),
            itself::room(&status),
            itself::data(&status),
            itself::tasks(&status),
            safety::shards(&status),
            safety::repair(&status),
            safety::duties(&status),
        ]);
        Some(Diagnosis { checks })
    }
}
