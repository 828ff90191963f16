//! What goes wrong: nodes that die and come back, and partitions.

use std::time::Duration;

use super::*;
use crate::{build::SEEDS, chance::below};

/// Longest time that a node stays away.
const AWAY: Duration = Duration::from_secs(40);
/// A partition lasts at most so long, and half of it at least.
const CUT_FOR: Duration = Duration::from_secs(150);
/// The smaller side of a partition has this share of the nodes at most.
const SMALLER_SIDE: f64 = 0.5;
/// Copies of disks that are kept.
const COPIES: usize = 4;

impl Run {
    /// In one moment some nodes die: anywhere, or those of one region, the ones that hold the newest version first.
    pub(super) fn some_die(&mut self) {
        if self.phase == Phase::Healing {
            return;
        }
        let chance = self.world.chance();
        let (count, targeted) = (1 + below(chance, 4), unit(chance) < 0.5);
        let victims: Vec<NodeIndex> = if targeted {
            let index = self.world.random(self.registers.len());
            self.holders_of_the_newest(index)
        } else {
            (0..count).filter_map(|_| self.world.random_member()).collect()
        };
        let mut died = 0;
        for victim in victims {
            if died < count && self.may_die(victim) {
                self.kill(victim);
                died += 1;
            }
        }
    }

    /// The nodes of a record's region, newest version first.
    fn holders_of_the_newest(&mut self, index: usize) -> Vec<NodeIndex> {
        let address = self.registers[index].name.address();
        let side = self.world.random(2) as u8;
        let mut nine = region(&mut self.world, &address, (self.phase == Phase::Cut).then_some(side));
        let seq_at = |node: &NodeIndex| {
            let mut held = self.world.dht(*node).records();
            held.find(|held| *held.record.address() == address).map_or(0, |held| held.record.seq())
        };
        nine.sort_by_key(|node| std::cmp::Reverse(seq_at(node)));
        nine
    }

    /// Whether a majority of everybody who keeps anything survives that.
    fn may_die(&self, victim: NodeIndex) -> bool {
        let side = self.world.side(victim);
        let side_of = |cut: bool| cut.then_some(side);
        self.world.is_alive(victim)
            && self.registers.iter().all(|register| {
                !register.kept[usize::from(side)]
                    || register.regions.survive(&self.world, side_of(self.phase == Phase::Cut), Some(victim))
            })
    }

    fn kill(&mut self, victim: NodeIndex) {
        // What ran there will not be heard of; its writer goes on elsewhere.
        let ended: Vec<OperationId> =
            self.running.iter().filter(|(_, running)| running.node == victim).map(|(id, _)| *id).collect();
        for id in ended {
            if let Some(Running { register, writer: Some(writer), .. }) = self.running.remove(&id) {
                self.plan_soon(WRITE, (register * 2 + writer) as u32, PAUSE);
            }
        }
        let disk = self.world.disk(victim);
        self.world.kill(victim);
        self.report.deaths += 1;
        let (kind, copy) = (self.world.random(3), self.world.random(self.copies.len()));
        let back = match kind {
            0 => None,
            1 => {
                self.report.restarts += 1;
                Some(disk)
            }
            _ => {
                self.report.old_disks += 1;
                self.copies.get(copy).map(|disks| disks.get(&victim).cloned().unwrap_or_default())
            }
        };
        self.returning.insert(victim, back);
        self.plan_soon(RETURN, victim, AWAY);
    }

    pub(super) fn come_back(&mut self, node: NodeIndex) {
        let seeds = self.seeds_on_its_side(node);
        if seeds.is_empty() {
            // Without any it would begin a network of its own, and never hear of this one again.
            return self.plan_soon(RETURN, node, AWAY);
        }
        match self.returning.remove(&node).flatten() {
            Some(disk) => self.world.restart(node, disk),
            None => {
                self.world.replace(node);
                // The copies are those of the node before it.
                self.copies.iter_mut().for_each(|disks| {
                    disks.remove(&node);
                });
            }
        }
        self.world.join(node, &seeds);
    }

    fn seeds_on_its_side(&mut self, node: NodeIndex) -> Vec<NodeIndex> {
        let side = self.world.side(node);
        let mut seeds = Vec::new();
        for _ in 0..1000 {
            let Some(seed) = self.world.random_member() else { break };
            if self.world.side(seed) == side && seeds.len() < SEEDS {
                seeds.push(seed);
            }
        }
        seeds
    }

    pub(super) fn copy_disks(&mut self) {
        if self.copies.len() == COPIES {
            self.copies.remove(0);
        }
        let living: Vec<NodeIndex> = self.world.living().collect();
        self.copies.push(living.into_iter().map(|node| (node, self.world.disk(node))).collect());
    }

    /// Looks who keeps what.
    pub(super) fn look(&mut self) {
        let sides: &[Option<u8>] = match self.phase {
            Phase::Whole => &[None],
            Phase::Cut => &[Some(0), Some(1)],
            Phase::Healing => return,
        };
        for register in &mut self.registers {
            register.regions.look(&mut self.world, &register.name.address(), sides);
        }
    }

    pub(super) fn cut(&mut self) {
        let numbers = self.world.numbers() as usize;
        let share = SMALLER_SIDE * unit(self.world.chance());
        let smaller: Vec<bool> = (0..numbers).map(|_| unit(self.world.chance()) < share).collect();
        self.world.partition(|node| u8::from(smaller[node as usize]));
        self.phase = Phase::Cut;
        self.phases += 1;
        self.report.partitions += 1;
        for register in &mut self.registers {
            register.kept = [0, 1].map(|side| register.regions.survive(&self.world, Some(side), None));
        }
        let lasts = CUT_FOR.mul_f64(0.5 + unit(self.world.chance()) / 2.0);
        self.world.plan(self.world.now() + lasts, task(HEAL, 0));
    }

    pub(super) fn heal(&mut self) {
        self.world.heal();
        self.phase = Phase::Healing;
        self.phases += 1;
        self.world.plan(self.world.now() + HEALED, task(WHOLE, 0));
    }

    /// The network is one again, and of two versions the higher has won.
    pub(super) fn whole(&mut self) {
        self.phase = Phase::Whole;
        self.phases += 1;
        for register in &mut self.registers {
            let seq = register.floors[0].seq.max(register.floors[1].seq);
            register.floors = [Floor::number(seq); 2];
            register.regions = Regions::default();
            register.kept = [true; 2];
        }
        self.look();
        if let Some(every) = self.plan.partitions_every {
            self.plan_soon(CUT, 0, every * 2);
        }
    }
}
