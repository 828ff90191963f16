//! The Chordage daemon: owns the swarm and the clock, moves shards, serves the local API.
//!
//! ```text
//!   server ──▶ handle ──▶ put, repair ──▶ get, leases ──▶ holders ─┬─▶ placement ──▶ driver ──▶ dht (pure)
//!                                                                  ├─▶ shards ──▶ wire (libp2p streams)
//!                                                                  └─▶ store ──▶ storage (pure but for its files)
//! ```
//!
//! [`Daemon::start`] opens everything in order and [`Daemon::leave`] closes it. [`NodeHandle`] is what requests
//! are made through; [`server`] puts it behind HTTP, and [`chordage_api`] has what both ends of that need.

pub mod access;
mod address;
pub mod archive;
mod awake;
mod clock;
mod coding;
mod config;
mod daemon;
mod datadir;
pub mod descriptors;
mod disk;
mod dns;
mod driver;
mod following;
mod found;
mod get;
mod handle;
mod holders;
mod home;
mod identity;
mod lan;
mod leases;
pub mod lines;
mod listen;
mod members;
mod names;
mod neighbourhood;
mod network;
mod place;
mod placement;
mod pool;
mod portmap;
mod process;
mod put;
mod reachability;
mod record;
mod recordbook;
mod repair;
mod resolver;
mod scrub;
pub mod server;
mod services;
mod shards;
mod store;
mod tasks;
mod topics;
mod twin;
mod volumes;
mod wire;

pub use address::AddressError;
pub use chordage_storage::private;
pub use config::{
    Config, ConfigError, ConnectionConfig, DnsConfig, GatewayConfig, LanConfig, LeaseConfig, LogFormat,
    OverlayConfig, ParseRoleError, ReachabilityConfig, RelayConfig, RepairConfig, ResticConfig, Role,
    ScrubConfig, SettingProblem, WebdavConfig,
};
pub use daemon::{Daemon, StartError};
pub use datadir::{DataDir, DataDirError};
pub use dns::DnsError;
pub use driver::FindError;
pub use get::{GetError, OpenObject};
pub use handle::NodeHandle;
pub use listen::ListenError;
pub use put::{ObjectFormat, PutError, PutRequest};
pub use tasks::Fault;
