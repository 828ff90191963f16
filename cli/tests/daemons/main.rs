//! Stories on real daemons: processes, sockets, disks and signals, through the program itself.

#![allow(clippy::unwrap_used)]

mod again;
mod backup;
mod breakages;
mod chaos;
mod clients;
mod crash;
mod damage;
mod demo;
mod doctor;
mod follow;
mod following;
mod full;
#[allow(dead_code, reason = "shared with the faults, and each uses a part")]
mod harness;
mod lan;
mod lookups;
mod membership;
mod metrics;
mod mount;
mod namespaces;
mod nat;
mod new_key;
mod open;
mod private;
mod reachability;
mod reading;
mod recovery;
mod renewal;
mod repair;
mod restart;
mod restic;
mod revoked;
mod rolling;
mod routers;
mod service;
mod strangers;
mod stuck;
mod testnet_command;
mod tours;
mod unfinished;
mod walked;
mod web;
mod webdav;
mod writer;
mod year;
mod zones;
