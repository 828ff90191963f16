//! Real swarms on this machine: relays, those who are reached through them, and those who reach them.

mod circuits;
mod direct;
mod keeping;
mod limits;
mod party;
mod word;
