//! Places where programs meet: what is asked of this node, by its program and by others.

use alloc::vec::Vec;

use super::{Dht, Turn};
use crate::{
    NodeId,
    io::Output,
    metric::Metric,
    peer::Peer,
    rendezvous::{
        RendezvousError, RendezvousInput, RendezvousNotice, RendezvousOutput, RendezvousRequest,
        RendezvousResponse,
    },
};

impl<M: Metric> Dht<M> {
    pub(super) fn rendezvous_input(&mut self, turn: &mut Turn<'_>, input: RendezvousInput) {
        let why = RendezvousError::NotJoined;
        turn.out.push(Output::Rendezvous(match input {
            RendezvousInput::Register { id, .. } => RendezvousOutput::Registered { id, outcome: Err(why) },
            RendezvousInput::Withdraw(_) => return,
            RendezvousInput::FindListings { id, .. } => {
                RendezvousOutput::ListingsFound { id, outcome: Err(why) }
            }
            RendezvousInput::Publish { id, .. } => RendezvousOutput::Published { id, outcome: Err(why) },
            RendezvousInput::WatchListings { id, .. } | RendezvousInput::Subscribe { id, .. } => {
                RendezvousOutput::NotBegun { id, why }
            }
        }));
    }

    pub(super) fn rendezvous_asked(
        &mut self,
        _turn: &mut Turn<'_>,
        _from: &Peer,
        _request: &RendezvousRequest,
    ) -> Option<RendezvousResponse> {
        None
    }

    pub(super) fn rendezvous_noticed(&mut self, _turn: &mut Turn<'_>, _notice: RendezvousNotice) {}

    pub(super) fn place_found(&mut self, _turn: &mut Turn<'_>, _serial: u32, _closest: Vec<Peer>) {}

    pub(super) fn place_answered(
        &mut self,
        _turn: &mut Turn<'_>,
        _serial: u32,
        _round: u8,
        _from: &Peer,
        _response: RendezvousResponse,
    ) {
    }

    pub(super) fn place_silent(&mut self, _turn: &mut Turn<'_>, _serial: u32, _round: u8, _peer: &NodeId) {}
}
