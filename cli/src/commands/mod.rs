//! One file per command: its flags and what it does.

pub(crate) mod cat;
pub(crate) mod chaos;
pub(crate) mod completions;
pub(crate) mod daemon;
pub(crate) mod demo;
pub(crate) mod drain;
pub(crate) mod explain;
pub(crate) mod forget;
pub(crate) mod get;
pub(crate) mod keep;
pub(crate) mod keeps;
pub(crate) mod ls;
pub(crate) mod man;
pub(crate) mod members;
pub(crate) mod name;
pub(crate) mod peers;
pub(crate) mod put;
pub(crate) mod ring;
pub(crate) mod scrub;
pub(crate) mod sim;
pub(crate) mod stat;
pub(crate) mod status;
pub(crate) mod superpeers;
pub(crate) mod testnet;
pub(crate) mod trace;
