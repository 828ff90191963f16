//! Moving shards between daemons: requests and answers pipelined on held-open streams.

mod client;
mod intake;
#[cfg(test)]
pub(crate) mod lies;
mod link;
mod parcel;
mod protocol;
mod server;
mod traffic;

pub(crate) use client::Fetched;
pub(crate) use client::{CallError, ReceivedShard, ShardClient};
pub(crate) use parcel::Parcel;
pub(crate) use protocol::{HAS_MAX, Mine, RECORDS_MAX, Refusal, ShardSet};
pub(crate) use server::ShardServer;
pub(crate) use traffic::TrafficCounters;
