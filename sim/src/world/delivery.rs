//! The network between the nodes.

use std::time::Duration;

use chordage_dht::{Input, Message, Peer};
use rand_chacha::rand_core::Rng;

use super::{Happening, NodeIndex, World, prefix};
use crate::{
    chance::{happens, unit_of},
    traffic::PACKET_OVERHEAD_BYTES,
};

/// How long it takes to hear that nobody is there any more, where hosts say so. A middling round trip: where the dead
/// node was is forgotten.
const REFUSAL: Duration = Duration::from_millis(120);

impl World {
    /// Takes a message from a node and decides what becomes of it.
    pub(crate) fn send(&mut self, sender: NodeIndex, to: &Peer, message: Message) {
        if self.withholds(sender, &message) {
            return;
        }
        let bytes = self.encode(&message);
        if let Some(trace) = &mut self.trace {
            trace.update(&self.now.as_micros().to_be_bytes());
            trace.update(self.nodes[sender as usize].dht.local().id().as_bytes());
            trace.update(to.id().as_bytes());
            trace.update(&self.encoded);
        }
        self.traffic.count(&message, bytes);
        self.nodes[sender as usize].bytes += bytes;

        let faults = self.setup.faults;
        let target = self.by_id.get(&prefix(&to.id())).copied();
        let from = &self.nodes[sender as usize];
        let reached = target.filter(|target| self.nodes[*target as usize].side == from.side);
        let lost = happens(&mut self.weather, faults.loss);
        let Some(to_index) = reached.filter(|_| !lost) else {
            self.traffic.undelivered += 1;
            self.traffic.undelivered_bytes += bytes;
            if target.is_none() && faults.refuses {
                let refused = Happening::Refused { at: sender, life: from.life, peer: to.clone() };
                self.queue.push(self.now + REFUSAL, refused);
            }
            return;
        };
        let record = from.dht.local().clone();
        let life = self.nodes[to_index as usize].life;
        self.nodes[to_index as usize].bytes += bytes;
        if happens(&mut self.weather, faults.duplication) {
            let at = self.now + self.delay(sender, to_index);
            let again =
                Happening::Deliver { to: to_index, life, from: record.clone(), message: message.clone() };
            self.queue.push(at, again);
        }
        let at = self.now + self.delay(sender, to_index);
        self.queue.push(at, Happening::Deliver { to: to_index, life, from: record, message });
    }

    /// Length of the encoding, packet included, if anybody wants to know.
    fn encode(&mut self, message: &Message) -> u64 {
        if self.trace.is_some() {
            self.encoded.clear();
            message.encode(&mut self.encoded);
            return self.encoded.len() as u64 + PACKET_OVERHEAD_BYTES;
        }
        if self.setup.count_bytes { message.encoded_len() as u64 + PACKET_OVERHEAD_BYTES } else { 0 }
    }

    fn delay(&mut self, from: NodeIndex, to: NodeIndex) -> Duration {
        let faults = self.setup.faults;
        let mut micros = self.rtt(from, to).as_micros() as u64 / 2;
        if faults.jitter > 0.0 {
            micros += (micros as f64 * faults.jitter * unit_of(self.weather.next_u64())) as u64;
        }
        if happens(&mut self.weather, faults.reordering) {
            let most = faults.reordering_delay().as_micros() as f64;
            micros += (most * unit_of(self.weather.next_u64())) as u64;
        }
        Duration::from_micros(micros.max(1))
    }

    /// A message has arrived.
    pub(super) fn deliver(&mut self, to: NodeIndex, life: u32, from: Peer, message: Message) {
        let node = &self.nodes[to as usize];
        if !node.alive || node.life != life {
            return;
        }
        match self.lie(to, &from, &message) {
            Some(answer) => self.send(to, &from, answer),
            None => self.input(to, Input::Message { from, message }),
        }
    }
}
