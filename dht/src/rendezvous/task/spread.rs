//! Handing an item to all who keep its place.

use super::{GRACE, Known, Next, Part, Task, Work};
use crate::{
    Time,
    records::majority,
    rendezvous::{Item, KeptBy, RendezvousError},
};

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Spread {
    pub(crate) item: Item,
    /// Those who have it: for them a word that it still holds is enough.
    pub(crate) known: Known,
}

impl Task {
    pub(super) fn spread(&mut self, now: Time) -> Next {
        if let Some((peer, part)) = self.crowd.first(|part| !part.asked) {
            part.asked = true;
            let has_it = matches!(&self.work, Work::Spread(spread) if spread.known.contains(peer.id_ref()));
            return if has_it { Next::Renew(peer) } else { Next::Keep(peer) };
        }
        let open = self.crowd.open(|part| part.heard);
        let of = self.crowd.region().count();
        let stored = self.crowd.count(|part| part.kept);
        if !self.told && stored >= majority(of) {
            if open > 0 && !self.waited {
                self.again_at.get_or_insert(now + GRACE);
                return Next::Wait;
            }
            self.told = true;
            return Next::Kept(Ok(KeptBy { stored, of }));
        }
        if open > 0 {
            return Next::Wait;
        }
        if self.told {
            return Next::Done;
        }
        let refused = |part: &Part| part.refused.is_some();
        let why = self.crowd.region().find_map(|candidate| candidate.answer.refused);
        if let Some(why) = why.filter(|_| self.crowd.count(refused) + majority(of) > of) {
            self.told = true;
            return Next::Kept(Err(RendezvousError::Refused(why)));
        }
        self.rest(now)
    }
}
