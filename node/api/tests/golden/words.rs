//! The words that fields choose from.

use chordage_api::types::{
    ChangeKind, CheckName, CheckState, ChunkNeed, DaemonRole, DaemonState, EntryForm, HeldBackReason,
    KeepState, MemberRole, MemberState, NatKind, ObjectForm, ProblemCode, PublishState, ReachState,
    ServiceState, ShardWord, Side, StartState, StartedWith, TargetKind, Voucher,
};
use serde::{Deserialize, Serialize};

use super::Comparison;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Words {
    change_kind: Vec<ChangeKind>,
    check_name: Vec<CheckName>,
    check_state: Vec<CheckState>,
    chunk_need: Vec<ChunkNeed>,
    daemon_role: Vec<DaemonRole>,
    daemon_state: Vec<DaemonState>,
    entry_form: Vec<EntryForm>,
    held_back_reason: Vec<HeldBackReason>,
    keep_state: Vec<KeepState>,
    member_role: Vec<MemberRole>,
    member_state: Vec<MemberState>,
    nat_kind: Vec<NatKind>,
    object_form: Vec<ObjectForm>,
    problem_code: Vec<ProblemCode>,
    publish_state: Vec<PublishState>,
    reach_state: Vec<ReachState>,
    service_state: Vec<ServiceState>,
    shard: Vec<ShardWord>,
    side: Vec<Side>,
    start_state: Vec<StartState>,
    started_with: Vec<StartedWith>,
    target_kind: Vec<TargetKind>,
    voucher: Vec<Voucher>,
}

pub(super) fn check(comparison: &mut Comparison) {
    use ChangeKind as Change;
    use ChunkNeed as Need;
    use DaemonState as Daemon;
    use EntryForm as Entry;
    use HeldBackReason as Held;
    use KeepState as Keep;
    use MemberRole as Role;
    use MemberState as Member;
    use NatKind as Nat;
    use ObjectForm as Object;
    use PublishState as Publish;
    use ReachState as Reach;
    use ServiceState as Service;
    use ShardWord as Shard;
    use StartedWith as With;
    use TargetKind as Target;
    let words = Words {
        change_kind: vec![
            Change::Up,
            Change::Changed,
            Change::Suspect,
            Change::Alive,
            Change::Gone,
            Change::Other,
        ],
        check_name: vec![
            CheckName::Ports,
            CheckName::Network,
            CheckName::Reachability,
            CheckName::Nat,
            CheckName::Clock,
            CheckName::Certificate,
            CheckName::FirstHolder,
            CheckName::Disk,
            CheckName::Daemon,
            CheckName::Twin,
            CheckName::Zones,
            CheckName::Descriptors,
            CheckName::Room,
            CheckName::Data,
            CheckName::Tasks,
            CheckName::Shards,
            CheckName::Repair,
            CheckName::Duties,
            CheckName::Trial,
            CheckName::Other,
        ],
        check_state: vec![
            CheckState::Ok,
            CheckState::Warning,
            CheckState::Fault,
            CheckState::Unknown,
            CheckState::Other,
        ],
        chunk_need: vec![
            Need::Nothing,
            Need::Wait,
            Need::Restore,
            Need::Repair,
            Need::RepairUrgent,
            Need::Unreadable,
            Need::Other,
        ],
        daemon_role: vec![DaemonRole::Member, DaemonRole::Client, DaemonRole::Other],
        daemon_state: vec![Daemon::Joining, Daemon::Joined, Daemon::Draining, Daemon::Leaving, Daemon::Other],
        entry_form: vec![Entry::File, Entry::Dir, Entry::Symlink, Entry::Other],
        held_back_reason: vec![
            Held::NobodyToAsk,
            Held::TooFewShards,
            Held::NoPlace,
            Held::Inconsistent,
            Held::Other,
        ],
        keep_state: vec![Keep::Kept, Keep::Forgetting, Keep::Recovered, Keep::Other],
        member_role: vec![Role::Ordinary, Role::SuperPeer, Role::Client, Role::Other],
        member_state: vec![
            Member::Alive,
            Member::Suspect,
            Member::Dead,
            Member::Left,
            Member::Revoked,
            Member::Other,
        ],
        nat_kind: vec![Nat::Unknown, Nat::None, Nat::Nat, Nat::Symmetric, Nat::Other],
        object_form: vec![Object::File, Object::Tree, Object::Unknown, Object::Other],
        problem_code: problem_codes(),
        publish_state: vec![Publish::Stored, Publish::Unknown, Publish::Other],
        reach_state: vec![
            Reach::Unknown,
            Reach::Direct,
            Reach::Mapped,
            Reach::Relayed,
            Reach::None,
            Reach::Other,
        ],
        service_state: vec![Service::Alive, Service::Suspect, Service::Other],
        shard: vec![Shard::Present, Shard::Silent, Shard::Suspect, Shard::Lost, Shard::Other],
        side: vec![Side::Clockwise, Side::Counterclockwise, Side::Both, Side::Other],
        start_state: vec![StartState::Missing, StartState::Damaged],
        started_with: vec![
            With::Key,
            With::Secret,
            With::Shards,
            With::Index,
            With::Segments,
            With::Claims,
            With::Keeps,
            With::Catalog,
            With::Ledger,
            With::Records,
            With::Names,
            With::Services,
            With::Other,
        ],
        target_kind: vec![Target::Link, Target::Name, Target::Text, Target::Other],
        voucher: vec![Voucher::Key, Voucher::Dns, Voucher::Other],
    };
    comparison.check("words", &words);
}

fn problem_codes() -> Vec<ProblemCode> {
    vec![
        ProblemCode::BadRequest,
        ProblemCode::BadLink,
        ProblemCode::Unavailable,
        ProblemCode::NoSuchPath,
        ProblemCode::NoSuchVolume,
        ProblemCode::BadPhrase,
        ProblemCode::NoSuchHome,
        ProblemCode::NoSuchSnapshot,
        ProblemCode::NoSuchInvite,
        ProblemCode::NotReadable,
        ProblemCode::RangeNotSatisfiable,
        ProblemCode::TooFewNodes,
        ProblemCode::NotDurable,
        ProblemCode::Forgotten,
        ProblemCode::NotKept,
        ProblemCode::Retained,
        ProblemCode::Busy,
        ProblemCode::TimedOut,
        ProblemCode::NotJoined,
        ProblemCode::ShuttingDown,
        ProblemCode::NotFound,
        ProblemCode::Unauthorized,
        ProblemCode::BadName,
        ProblemCode::NoSuchName,
        ProblemCode::Ambiguous,
        ProblemCode::NotOwned,
        ProblemCode::Conflict,
        ProblemCode::RolledBack,
        ProblemCode::NoMajority,
        ProblemCode::DiskFull,
        ProblemCode::DiskFailed,
        ProblemCode::Internal,
    ]
}
