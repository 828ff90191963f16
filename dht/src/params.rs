//! The constants of the protocol, with their origin.
//!
//! "Design" marks a choice that other values would serve as well; "measured" one that came out best in our own static
//! models of up to 10^7 nodes. Those that may differ between nodes of one network are in [`Config`](crate::Config).

use core::time::Duration;

/// Version of the message format: the first byte of every message. It is raised, too, when daemons of two versions
/// could not exchange shards: then they had better not be in each other's tables.
pub const WIRE_VERSION: u8 = 7;
/// Longest encoded message, bytes. Design: fits a few packets, and 40 peers of ordinary size.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;
/// Most peers in one message. Design.
pub const MESSAGE_PEERS_MAX: usize = 64;
/// Most addresses of one peer. Design: two families, two transports, and room.
pub const ADDRESSES_MAX: usize = 8;
/// Longest address, bytes. Design: a relayed multiaddress fits.
pub const ADDRESS_BYTES_MAX: usize = 128;
/// Longest name of a zone, bytes. Design.
pub const ZONE_BYTES_MAX: usize = 32;

/// Bits of a digit that a row of the table resolves (base 4). Measured: base 16 costs three times the entries for 0.6
/// hop.
pub const DIGIT_BITS: u32 = 2;
/// Entries of a row that are in use (k). Measured: with 4, 0.05 to 0.27 % of lookups failed when 20 % of entries were
/// dead; with 8 none.
pub const ROW_ACTIVE: usize = 8;
/// Names of a row kept in reserve. Measured: choosing the nearest of 32 (8 + 24) cuts the median lookup from 276 to 143
/// ms.
pub const ROW_CACHE: usize = 24;
/// Entries of a row from one subnet. Design: an attacker with one subnet gets a quarter of a row at most.
pub const ROW_SUBNET_MAX: usize = 2;
/// Entries of a row from one provider. Design: half of a row.
pub const ROW_SITE_MAX: usize = 4;
/// Entries of the whole table from one subnet. Design.
pub const TABLE_SUBNET_MAX: usize = 10;
/// Size of the leaf set, half on each side. Measured: twice the 20 nearest a lookup asks for answers every lookup
/// alone.
pub const LEAF_SET: usize = 40;
/// Peers named in a reply. Measured: with 8, 0.4 % of lookups failed when half of the entries were dead; with 20 none.
pub const REPLY_PEERS: usize = 20;
/// Queries in flight per lookup (alpha). Measured: 3 instead of 1 cuts the 99th percentile by two thirds. Kademlia also
/// takes 3.
pub const PARALLEL: usize = 3;
/// Messages one lookup may send. Design: four times what the worst measured lookup needed.
pub const LOOKUP_MESSAGES: usize = 60;
/// Time a lookup may take unless its caller says otherwise. Design.
pub const LOOKUP_DEADLINE: Duration = Duration::from_secs(20);
/// Most peers a lookup can be asked for. Design.
pub const LOOKUP_WANT_MAX: usize = 64;

/// Shortest time-out of a query. Design, after TCP (RFC 6298) but for single datagrams.
pub const RTO_MIN: Duration = Duration::from_millis(60);
/// Longest time-out of a query. Design.
pub const RTO_MAX: Duration = Duration::from_secs(3);
/// Added to the smoothed round-trip time and four deviations (RFC 6298 uses the clock granularity). Design.
pub const RTO_SLACK: Duration = Duration::from_millis(20);
/// Time-out for a peer when nothing at all is known of the network's round-trip times. Design.
pub const RTO_UNKNOWN: Duration = Duration::from_millis(600);
/// Shortest time-out for a peer never spoken to: it may need a handshake first. Design.
pub const RTO_UNKNOWN_MIN: Duration = Duration::from_millis(250);

/// Between two exchanges of leaf sets with the nearest neighbours. Design.
pub const STABILISE_EVERY: Duration = Duration::from_secs(15);
/// Between a change of the leaf set and the exchange that follows it, when changes are rare; several share one. Design.
pub const STABILISE_AFTER_CHANGE: Duration = Duration::from_millis(500);
/// Between two probes of the leaf set. Design: with the suspicion below, a dead neighbour is known in 15 s.
pub const PROBE_EVERY: Duration = Duration::from_secs(5);
/// How long a silent neighbour stays suspected before it is dropped, once others cannot reach it either; up to three
/// times as long on a node that has reason to doubt itself. Design, after SWIM and Lifeguard: longer than a process is
/// commonly stopped.
pub const SUSPICION: Duration = Duration::from_secs(6);
/// Between two looks for rows that want refreshing; one row is refreshed per look. Design.
pub const REFRESH_STEP: Duration = Duration::from_secs(1);
/// How long a row may go without news. Design.
pub const REFRESH_EVERY: Duration = Duration::from_secs(30 * 60);
/// First wait after a failed attempt to join; doubles up to [`JOIN_RETRY_MAX`]. Design.
pub const JOIN_RETRY_MIN: Duration = Duration::from_secs(1);
/// Longest wait between two attempts to join. Design.
pub const JOIN_RETRY_MAX: Duration = Duration::from_secs(30);
/// Lookups in progress at one node. Design.
pub const LOOKUPS_MAX: usize = 1024;
/// Largest network of which a daemon lists all members, unless told otherwise. Measured: at a median session of an
/// hour a list costs 730 bytes per second, sent and received; a node is to get along with 2 KiB in all.
pub const MEMBERS: usize = 2000;
/// Largest value of [`Config::members`](crate::Config::members). Design: a list takes 16 bytes per member besides its
/// record.
pub const MEMBERS_MAX: u32 = 1 << 20;
/// How long a node of a large network is a member before it is announced to everybody: most of those that stay only
/// shortly are never announced (the quarantine of Gupta, Liskov and Rodrigues 2004, and of D1HT). Design.
pub const QUARANTINE: Duration = Duration::from_secs(600);
/// A network of more nodes than this is large in this sense: a new member waits for [`QUARANTINE`]. Design.
pub const QUARANTINE_FROM: f64 = 200.0;
/// Neighbours we lost that are remembered. Design.
pub const FORMER: usize = 256;
/// Between two attempts to reach one of them. Design.
pub const FORMER_EVERY: Duration = Duration::from_secs(30);
/// The same after one has answered, and while this node seems to be cut off. Design.
pub const FORMER_SOON: Duration = Duration::from_secs(1);
/// The same while this node is alone, once it has been so for [`CUT_OFF_WITHIN`]. Design.
pub const FORMER_ALONE: Duration = Duration::from_secs(10);
/// A node seems to be cut off if it has lost, within this time, at least as many neighbours as it has left. Design.
pub const CUT_OFF_WITHIN: Duration = Duration::from_secs(600);
/// How long they are remembered. Design.
pub const FORMER_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// How many times as long a client waits between two exchanges of leaf sets, two probes or two comparisons as a member
/// does: nobody rests on its knowledge, and half of the peers of a network may be clients. Design.
pub(crate) const CLIENT_PATIENCE: u32 = 4;
