//! Nodes come and go.

use chordage_dht::{Address, Dht, Input, Peer, PeerInfo};
use rand_chacha::rand_core::Rng;

use super::adversary::Role;
use super::{Disk, NEVER, Node, NodeIndex, Occurrence, World, prefix};
use crate::{chance::mix, groups::group_of};

impl World {
    /// Adds a node that knows nobody and has not been told to join.
    pub fn add(&mut self) -> NodeIndex {
        let record = self.new_record();
        self.add_as(record, Role::Honest)
    }

    /// The same with a record and a role of the caller's choice.
    pub fn add_as(&mut self, record: PeerInfo, role: Role) -> NodeIndex {
        let index = self.numbers();
        let node = self.make_node(record, role);
        self.enlist(&node, index);
        self.nodes.push(node);
        index
    }

    /// A new node takes the place of one that has died: another key pair, another address, the same number.
    pub fn replace(&mut self, index: NodeIndex) {
        debug_assert!(!self.is_alive(index), "the old node must be dead");
        let record = self.new_record();
        let mut node = self.make_node(record, Role::Honest);
        node.side = self.nodes[index as usize].side;
        self.enlist(&node, index);
        self.nodes[index as usize] = node;
        if let Some(disks) = &mut self.disks {
            disks.remove(&index);
        }
    }

    /// Which of the nodes that have lived under its number a node is.
    pub fn life(&self, node: NodeIndex) -> u32 {
        self.nodes[node as usize].life
    }

    /// From now on what nodes are told to keep is remembered, so that they can be restarted with it.
    pub fn keep_disks(&mut self) {
        self.disks.get_or_insert_default();
    }

    /// What a node has on disk. Nothing without [`World::keep_disks`].
    pub fn disk(&self, index: NodeIndex) -> Disk {
        self.disks.as_ref().and_then(|disks| disks.get(&index)).cloned().unwrap_or_default()
    }

    /// A node that has died starts again: the same key pair and address, and this on its disk.
    pub fn restart(&mut self, index: NodeIndex, disk: Disk) {
        debug_assert!(!self.is_alive(index), "the old process must be dead");
        let before = &self.nodes[index as usize];
        let (side, site, old) = (before.side, before.site, before.dht.local());
        let record =
            old.with_addresses(old.addrs().to_vec(), old.seq() + 1).expect("as many addresses as before");
        let mut node = self.make_node(record, Role::Honest);
        (node.side, node.site) = (side, site);
        node.dht.load_records(disk.values().map(|held| (held.clone(), 0)));
        self.enlist(&node, index);
        self.nodes[index as usize] = node;
        if let Some(disks) = &mut self.disks {
            disks.insert(index, disk);
        }
    }

    fn enlist(&mut self, node: &Node, index: NodeIndex) {
        let id = node.dht.local().id();
        let before = self.by_id.insert(prefix(&id), index);
        assert!(before.is_none(), "two ids begin with the same 64 bits: {id}");
        self.adversaries.enlist(node.role, id, index);
    }

    fn make_node(&mut self, record: PeerInfo, role: Role) -> Node {
        let life = self.lives;
        self.lives += 1;
        let mut dht = Dht::new(record, self.setup.metric, self.setup.config.clone());
        if self.setup.diverse {
            dht.set_grouping(group_of);
        }
        Node {
            dht,
            site: self.setup.latency.site(self.setup.seed, life),
            born: self.now(),
            life,
            alive: true,
            member: false,
            role,
            side: 0,
            wake: NEVER,
            due: NEVER,
            bytes: 0,
        }
    }

    /// A record with a fresh key and an address of its own.
    fn new_record(&mut self) -> PeerInfo {
        let mut public_key = [0; 32];
        self.births.fill_bytes(&mut public_key);
        let ip = public_ip(self.lives);
        PeerInfo::new(public_key, vec![address(ip, 4001)], 1).expect("one address is allowed")
    }

    /// Tells a node to join, by way of these nodes.
    pub fn join(&mut self, node: NodeIndex, seeds: &[NodeIndex]) {
        let seeds: Vec<Peer> = seeds.iter().map(|seed| self.peer(*seed).clone()).collect();
        self.input(node, Input::Join { seeds });
    }

    /// Tells a node to join by way of `count` random members; the first node of a world starts the network.
    pub fn join_by_random(&mut self, node: NodeIndex, count: usize) {
        let seeds: Vec<NodeIndex> = (0..count).filter_map(|_| self.random_member()).collect();
        self.join(node, &seeds);
    }

    /// The node stops without a word.
    pub fn kill(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        if !node.alive {
            return;
        }
        node.alive = false;
        let was_member = std::mem::replace(&mut node.member, false);
        let id = node.dht.local().id();
        self.by_id.remove(&prefix(&id));
        if was_member {
            self.census.remove(&id);
        }
    }

    /// The node says goodbye and stops.
    pub fn leave(&mut self, index: NodeIndex) {
        self.input(index, Input::Leave);
        self.kill(index);
    }

    pub(super) fn joined(&mut self, index: NodeIndex) {
        self.count_as_member(index);
        self.pending.push_back(Occurrence::Joined(index));
    }

    fn count_as_member(&mut self, index: NodeIndex) {
        let node = &mut self.nodes[index as usize];
        if !std::mem::replace(&mut node.member, true) {
            self.census.insert(node.dht.local().id(), index);
        }
    }

    /// Puts all nodes that live into the census, before there are tables.
    pub(crate) fn count_all_as_members(&mut self) {
        for index in 0..self.numbers() {
            if self.is_alive(index) {
                self.count_as_member(index);
            }
        }
    }

    /// Plans the timeouts of all nodes, after their tables have been prepared.
    pub(crate) fn plan_all_wakes(&mut self) {
        for index in 0..self.numbers() {
            if self.is_alive(index) {
                self.plan_wake(index);
            }
        }
    }
}

/// A binary multiaddress `/ip4/…/tcp/…`, as the daemon uses.
pub(crate) fn address(ip: [u8; 4], port: u16) -> Address {
    let mut bytes = vec![4];
    bytes.extend(ip);
    bytes.push(6);
    bytes.extend(port.to_be_bytes());
    Address::new(&bytes).expect("eight bytes are allowed")
}

/// The address of the node with this number: spread over the public space, nearly always alone in its /24.
fn public_ip(number: u32) -> [u8; 4] {
    // An odd factor makes this a bijection of the 24-bit numbers.
    let [_, a, b, c] = (number.wrapping_mul(0x009e_3779) & 0x00ff_ffff).to_be_bytes();
    let host = 1 + (mix(number.into()) % 254) as u8;
    // What is not public unicast is folded into 11 to 90.
    let first = match a {
        0 | 10 | 127 | 169 | 172 | 192 | 224.. => 11 + a % 80,
        _ => a,
    };
    [first, b, c, host]
}
