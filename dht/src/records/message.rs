//! What nodes say to each other about records.

use alloc::{sync::Arc, vec::Vec};

use serde::{Deserialize, Serialize};

use super::{Ballot, Held, Record};
use crate::{Key, peer::Peer};

/// A question about records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordRequest {
    /// What is held at this address?
    Read {
        /// The address.
        address: Key,
        /// Asks to promise that nothing of a lower ballot is accepted any more.
        prepare: Option<Ballot>,
        /// A sum over the ids of the region as the asker sees it.
        region: u32,
    },
    /// As to read; and tell of changes from now on.
    Watch {
        /// The address.
        address: Key,
        /// As in [`RecordRequest::Read`].
        region: u32,
    },
    /// Keep this.
    Write {
        /// The record.
        record: Arc<Record>,
        /// By what right.
        write: Write,
        /// As in [`RecordRequest::Read`].
        region: u32,
    },
    /// Where do the records that both of us should hold differ?
    Compare {
        /// A sum over each of 1, 2, 4 … or 256 parts of them.
        digests: Vec<u32>,
        /// A sum over the ids of those near to the asker, as it sees them.
        around: u32,
    },
    /// These are held here and not there, or not as new: keep them.
    Give(Vec<Held>),
    /// What is held of these?
    Want(Vec<u64>),
}

/// By what right a record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Write {
    /// It is the outcome of an attempt for which this ballot has been promised.
    Accept(Ballot),
    /// Others of the region hold it, under this ballot.
    Repair(Ballot),
    /// The sender is no longer of the region and would like to drop it.
    HandOver(Ballot),
}

impl Write {
    pub(crate) fn ballot(self) -> Ballot {
        let (Self::Accept(ballot) | Self::Repair(ballot) | Self::HandOver(ballot)) = self;
        ballot
    }
}

/// An answer to one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecordResponse {
    /// To [`RecordRequest::Read`].
    State {
        /// Whether this node would know if there were something newer.
        ready: bool,
        /// The highest ballot that it has promised for the address; if it is the asker's, it has promised that.
        promised: Ballot,
        /// What it holds.
        held: Option<Held>,
        /// The region as this node sees it, if the asker sees it otherwise.
        region: Vec<Peer>,
    },
    /// To [`RecordRequest::Write`]: it is kept, so that a crash does not lose it.
    Stored {
        /// As in [`RecordResponse::State`].
        region: Vec<Peer>,
    },
    /// To [`RecordRequest::Write`]: something newer is held.
    Newer {
        /// What is held.
        held: Held,
        /// As in [`RecordResponse::State`].
        region: Vec<Peer>,
    },
    /// To [`RecordRequest::Write`]: it is not kept.
    Refused {
        /// Why.
        why: Refusal,
        /// As in [`RecordResponse::State`].
        region: Vec<Peer>,
    },
    /// To [`RecordRequest::Compare`].
    Differences {
        /// Which parts differ, of those that the digests were made of.
        parts: Vec<u8>,
        /// What the answering node holds in them.
        tags: Vec<RecordTag>,
        /// Whether other parts differ too.
        more: bool,
        /// Whether the answering node sees the same nodes near to the asker, and so the same records in its care.
        agreed: bool,
    },
    /// To [`RecordRequest::Give`]: they are kept, as far as they can be.
    Taken,
    /// To [`RecordRequest::Want`]: as many as fit.
    Given(Vec<Held>),
}

impl RecordResponse {
    /// Whether it can be an answer to this question.
    pub(crate) fn fits(&self, request: &RecordRequest) -> bool {
        matches!(
            (request, self),
            (RecordRequest::Read { .. } | RecordRequest::Watch { .. }, Self::State { .. })
                | (
                    RecordRequest::Write { .. },
                    Self::Stored { .. } | Self::Newer { .. } | Self::Refused { .. }
                )
                | (RecordRequest::Compare { .. }, Self::Differences { .. })
                | (RecordRequest::Give(_), Self::Taken)
                | (RecordRequest::Want(_), Self::Given(_))
        )
    }

    /// The records in it.
    pub(crate) fn records(&self) -> &[Held] {
        match self {
            Self::State { held: Some(held), .. } | Self::Newer { held, .. } => core::slice::from_ref(held),
            Self::Given(records) => records,
            _ => &[],
        }
    }

    /// The peers that it names.
    pub(crate) fn region(&self) -> &[Peer] {
        match self {
            Self::State { region, .. }
            | Self::Stored { region }
            | Self::Newer { region, .. }
            | Self::Refused { region, .. } => region,
            Self::Differences { .. } | Self::Taken | Self::Given(_) => &[],
        }
    }

    /// The same, to leave some out.
    pub(crate) fn region_mut(&mut self) -> Option<&mut Vec<Peer>> {
        match self {
            Self::State { region, .. }
            | Self::Stored { region }
            | Self::Newer { region, .. }
            | Self::Refused { region, .. } => Some(region),
            Self::Differences { .. } | Self::Taken | Self::Given(_) => None,
        }
    }
}

/// One record in short: which, how new, and a sum of everything in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordTag {
    /// The first eight bytes of its address.
    pub prefix: u64,
    /// The number of its version.
    pub seq: u64,
    /// A sum of the hash of the version and its ballot.
    pub tag: u32,
}

/// Why a node did not keep a record. A closed list, so that a writer knows whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// A later attempt has been promised, or the promise was forgotten: prepare again.
    #[error("another attempt to change the record came in between")]
    NotPromised,
    /// By the holder's clock the record is no longer valid.
    #[error("the record is no longer valid by the holder's clock")]
    Expired,
    /// The number is much higher than the one that is held.
    #[error("the sequence number is too far above the one that is held")]
    Jump,
    /// It keeps as many records, or as many bytes of them, as it may.
    #[error("it keeps as many records as it may")]
    Full,
    /// It keeps as many records of this owner as it may.
    #[error("it keeps as many records of this owner as it may")]
    OwnerFull,
    /// Its disk failed.
    #[error("its disk failed")]
    Disk,
    /// It keeps as many records, or as many bytes of them, from the sender's subnet as it may, or from all clients
    /// together if the sender is one.
    #[error("it keeps as many records from this subnet, or from clients, as it may")]
    SubnetFull,
}
