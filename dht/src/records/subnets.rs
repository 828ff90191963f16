//! How much of what one node keeps came from each subnet.
//!
//! Keys cost nothing, so a bound for each owner stops nobody; addresses in many subnets cost something. A record counts
//! for the subnet of the node that brought the version which is held, a writer's or a neighbour's: a word of where it
//! came from first would be anybody's claim.

use alloc::collections::BTreeMap;

use super::{Refusal, shelf};

/// Stands for all clients together: they announce no address, so nothing tells their subnets apart. No subnet has this
/// tag.
pub(crate) const CLIENTS: u32 = u32::MAX;
/// What part of the room one subnet has. Design: neighbours in four subnets can still give a newcomer all that it can
/// keep.
const SUBNETS: usize = 4;
/// The same for all clients together. Design: most of those who publish are behind routers.
const CLIENTS_PART: usize = 2;

/// See the module's description.
#[derive(Debug, Clone, Default)]
pub(super) struct Subnets(BTreeMap<u32, Share>);

#[derive(Debug, Clone, Copy, Default)]
struct Share {
    records: usize,
    bytes: usize,
}

impl Subnets {
    /// Whether a subnet may bring a record of so many bytes. `instead`: the bytes of the version that it brought
    /// before, which goes.
    pub(super) fn has_room(&self, subnet: u32, bytes: usize, instead: Option<usize>) -> Result<(), Refusal> {
        let part = match subnet {
            0 => return Ok(()),
            CLIENTS => CLIENTS_PART,
            _ => SUBNETS,
        };
        let share = self.0.get(&subnet).copied().unwrap_or_default();
        let records = share.records + 1 - usize::from(instead.is_some());
        let bytes = share.bytes + bytes - instead.unwrap_or(0);
        let fits = records <= shelf::RECORDS_MAX / part && bytes <= shelf::BYTES_MAX / part;
        if fits { Ok(()) } else { Err(Refusal::SubnetFull) }
    }

    pub(super) fn add(&mut self, subnet: u32, bytes: usize) {
        if subnet != 0 {
            let share = self.0.entry(subnet).or_default();
            share.records += 1;
            share.bytes += bytes;
        }
    }

    pub(super) fn remove(&mut self, subnet: u32, bytes: usize) {
        if let Some(share) = self.0.get_mut(&subnet) {
            share.records -= 1;
            share.bytes -= bytes;
            if share.records == 0 {
                self.0.remove(&subnet);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
