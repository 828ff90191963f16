//! Stories on real daemons: processes, sockets, disks and signals, through the program itself.

#![allow(clippy::unwrap_used)]

mod again;
mod backup;
mod chaos;
mod clients;
mod crash;
mod damage;
mod demo;
mod full;
#[allow(dead_code, reason = "shared with the faults, and each uses a part")]
mod harness;
mod lan;
mod lookups;
mod membership;
mod mount;
mod namespaces;
mod nat;
mod reading;
mod repair;
mod restart;
mod restic;
mod testnet_command;
mod unfinished;
mod writer;
mod zones;
