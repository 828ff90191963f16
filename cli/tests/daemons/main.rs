//! Stories on real daemons: processes, sockets, disks and signals, through the program itself.

#![allow(clippy::unwrap_used)]

mod again;
mod chaos;
mod crash;
mod damage;
mod demo;
mod full;
mod harness;
mod lookups;
<<<<<<< HEAD
mod membership;
=======
mod reading;
>>>>>>> ea872f8 (Count on who has just come back only when it can be reached, and test ranges and holders that stand still)
mod repair;
mod restart;
mod testnet_command;
mod writer;
