//! What the local HTTP API says, as types: the client, the server and `--json` share them.
//! Fields are stable: they may gain company, they do not change name or meaning.

mod doctor;
mod explain;
mod gateways;
mod home;
mod ids;
mod lan;
mod leases;
mod members;
mod names;
mod network;
mod object;
mod overlay;
mod problem;
mod put;
mod reachability;
mod repair;
mod services;
mod start;
mod status;
mod topics;
mod twin;
mod volumes;
mod waits;
mod words;

pub use doctor::{Check, Diagnosis};
pub use explain::{ChunkExplained, Explanation, ShardExplained};
pub use gateways::{DnsStatus, GatewayStatus, ResticStatus, WebStatus, WebdavStatus};
pub use home::{HomeChecked, HomeCreated, HomePhrase, HomeRecovered, HomeStatus};
pub use ids::{ChunkAddress, HolderId, IdError, NodeId, RingKey};
pub use lan::LanStatus;
pub use leases::{KeptObject, LeaseStatus};
pub use members::{MemberStatus, SuperPeerStatus};
pub use names::{
    NameEntry, NameInfo, NameVersion, PublishReport, PublishRequest, PublishState, ResolveStep, Resolved,
    SealRequest, SealedKey, TargetKind, USUAL_TTL_SECONDS, USUAL_VALID_SECONDS, Voucher,
};
pub use network::{
    CertificateInfo, DelegateInfo, InviteInfo, InviteMade, InviteWanted, MayBe, NetworkInfo,
    NetworkKeyBefore, NetworkKind, NewKeyWanted, RevocationInfo, RevocationWanted,
};
pub use object::{EntryInfo, Health, HolderCount, ObjectStat};
pub use overlay::{PeerStatus, RowStatus, TraceHop, TraceReport};
pub use problem::{Problem, ProblemCode};
pub use put::{PutQuery, PutReport};
pub use reachability::{HolesStatus, ReachabilityStatus, RelayingStatus};
pub use repair::{DrainStatus, HeldBackRepairs, RepairStatus, ScrubStatus};
pub use services::{
    ChangeKind, OwnService, ServiceChange, ServiceInfo, ServiceReport, ServiceRequest, ServiceState,
    WithdrawRequest, WithdrawnService,
};
pub use start::{FoundAtStart, RestartedTask, StartState, StartedWith};
pub use status::{
    DamageStatus, DutyStatus, IdentityStatus, MembershipStatus, MishapStatus, OverlayStatus, ProcessStatus,
    PutStatus, ReadTotals, Status, StoreStatus, Traffic, TransferStatus,
};
pub use topics::{MESSAGE_BYTES_MAX, TopicMessage, TopicReport};
pub use twin::TwinStatus;
pub use volumes::{
    PruneReport, SnapshotInfo, SnapshotRequest, SnapshotSelection, TreeReport, VerifyReport,
    VolumeCapability, VolumeChange, VolumeChanged, VolumeChanges, VolumeDevice, VolumeDifference,
    VolumeEntry, VolumeEntryDetail, VolumeEntryKind, VolumeExpectation, VolumeImport, VolumeInfo, VolumeMove,
    VolumeSegment, VolumeValue, VolumeValues, VolumeXattr,
};
pub use waits::WaitedFor;
pub use words::{
    CheckName, CheckState, ChunkNeed, DaemonRole, DaemonState, EntryForm, HeldBackReason, KeepState,
    MemberRole, MemberState, NatKind, ObjectForm, ReachState, ShardWord, Side,
};
