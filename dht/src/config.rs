//! What may differ between the nodes of one network.

use core::time::Duration;

use serde::{Deserialize, Serialize};

use crate::params;

/// Whether a node does what super-peers do in a network too large for everybody to list it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Willingness {
    /// It takes a seat when it is drawn.
    #[default]
    Auto,
    /// It takes none.
    Never,
    /// It lists everybody whether it is drawn or not, so that its lookups are fast, and it helps to spread news. It
    /// takes a seat, by which others come to ask it, only when it is drawn, as with `Auto`: wanting one earns none.
    Prefer,
}

/// Settings of a node. The defaults are the constants of [`params`], where their origin stands.
///
/// In text formats durations are whole milliseconds and their names end in `_ms`. It has many fields because each
/// setting is one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Bits per digit: rows have base 2^digit_bits. 1 to 4; more bits mean fewer hops and many more entries.
    pub digit_bits: u8,
    /// Entries in use per row, 1 to 255. Below 4 a few dead entries make lookups fail.
    pub row_active: u8,
    /// Unverified names kept per row, from which better entries are chosen. 0 switches the reserve off.
    pub row_cache: u8,
    /// Size of the leaf set, 2 to 64. Lookups for n nodes are exact in one answer when it is at least 2n.
    pub leaf_set: u8,
    /// Peers named in a reply, 1 to 64. Below 20 lookups fail now and then when many peers are dead.
    pub reply_peers: u8,
    /// Queries in flight per lookup, from 1.
    pub parallel: u8,
    /// Messages one lookup may send before it gives up with what it has.
    pub lookup_messages: u16,
    /// Lookups in progress at once; more are refused.
    pub lookups: u16,
    /// Lost neighbours that are remembered and tried again, so that a split network finds together. 0 for none.
    pub former: u16,
    /// Largest network of which this node lists all members, so that its lookups need one hop. 0 for none, which is
    /// the default here; daemons take [`params::MEMBERS`].
    pub members: u32,
    /// Whether this node keeps signed records, listings and topic messages for others. Off by default here, as
    /// `members` is; daemons switch it on.
    pub records: bool,
    /// Whether this node takes a seat as a super-peer when it is drawn, in networks of more than `members` nodes.
    pub superpeer: Willingness,
    /// How long this node is a member before it is announced to everybody, in networks of more than 200 nodes.
    #[serde(rename = "quarantine_ms", with = "millis")]
    pub quarantine: Duration,
    /// Between two exchanges of leaf sets with the nearest neighbours.
    #[serde(rename = "stabilise_every_ms", with = "millis")]
    pub stabilise_every: Duration,
    /// Between a change of the leaf set and the exchange it causes; up to sixteen times as long while changes go on.
    #[serde(rename = "stabilise_after_change_ms", with = "millis")]
    pub stabilise_after_change: Duration,
    /// Between two probes of the leaf set.
    #[serde(rename = "probe_every_ms", with = "millis")]
    pub probe_every: Duration,
    /// How long a neighbour that misses probes is suspected before it is dropped: twice as long while nobody else says
    /// that it cannot be reached, three times as long if another node reaches it, a sixth of it when its death has been
    /// announced.
    #[serde(rename = "suspicion_ms", with = "millis")]
    pub suspicion: Duration,
    /// How long a row may go without news before a lookup refreshes it.
    #[serde(rename = "refresh_every_ms", with = "millis")]
    pub refresh_every: Duration,
    /// Between two steps of refreshing; each looks up one key at most.
    #[serde(rename = "refresh_step_ms", with = "millis")]
    pub refresh_step: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            digit_bits: params::DIGIT_BITS as u8,
            row_active: params::ROW_ACTIVE as u8,
            row_cache: params::ROW_CACHE as u8,
            leaf_set: params::LEAF_SET as u8,
            reply_peers: params::REPLY_PEERS as u8,
            parallel: params::PARALLEL as u8,
            lookup_messages: params::LOOKUP_MESSAGES as u16,
            lookups: params::LOOKUPS_MAX as u16,
            former: params::FORMER as u16,
            members: 0,
            records: false,
            superpeer: Willingness::Auto,
            quarantine: params::QUARANTINE,
            stabilise_every: params::STABILISE_EVERY,
            stabilise_after_change: params::STABILISE_AFTER_CHANGE,
            probe_every: params::PROBE_EVERY,
            suspicion: params::SUSPICION,
            refresh_every: params::REFRESH_EVERY,
            refresh_step: params::REFRESH_STEP,
        }
    }
}

impl Config {
    /// Tiny tables and limits, so that tests meet full rows, wrapped leaf sets and refusals all the time.
    pub fn tiny() -> Self {
        Self { row_active: 1, row_cache: 2, leaf_set: 4, reply_peers: 4, lookups: 4, ..Self::default() }
    }

    /// Chord as published: base 2, one finger per interval, one successor and one predecessor, one query at a time.
    pub fn classic() -> Self {
        Self {
            digit_bits: 1,
            row_active: 1,
            row_cache: 0,
            leaf_set: 2,
            reply_peers: 1,
            parallel: 1,
            ..Self::default()
        }
    }

    /// The same settings with every value brought into the range it is documented for.
    pub(crate) fn bounded(mut self) -> Self {
        self.digit_bits = self.digit_bits.clamp(1, 4);
        self.row_active = self.row_active.max(1);
        self.leaf_set = self.leaf_set.clamp(2, params::MESSAGE_PEERS_MAX as u8) & !1;
        self.reply_peers = self.reply_peers.clamp(1, params::MESSAGE_PEERS_MAX as u8);
        self.parallel = self.parallel.max(1);
        self.lookup_messages = self.lookup_messages.max(1);
        self.lookups = self.lookups.max(1);
        self.members = self.members.min(params::MEMBERS_MAX);
        // A period of zero would make the node spin.
        for period in [
            &mut self.stabilise_every,
            &mut self.stabilise_after_change,
            &mut self.probe_every,
            &mut self.refresh_step,
        ] {
            *period = (*period).max(Duration::from_millis(10));
        }
        self
    }
}

mod millis {
    use core::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_millis)
    }
}
