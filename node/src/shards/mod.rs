//! Moving shards between daemons: requests and answers pipelined on held-open streams.

mod client;
mod intake;
#[cfg(test)]
pub(crate) mod lies;
mod link;
mod protocol;
mod server;
mod traffic;

pub(crate) use client::Fetched;
pub(crate) use client::{CallError, ReceivedShard, ShardClient};
pub(crate) use protocol::{RECORDS_MAX, Refusal};
pub(crate) use server::ShardServer;
pub(crate) use traffic::TrafficCounters;
