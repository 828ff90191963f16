//! The words that fields of answers choose from. Lists may grow: a client takes a word that it does not know for
//! `Other`.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An enum whose variants are words in JSON and for people.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$meaning:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
        pub enum $name {
            $($(#[$meaning])* #[serde(rename = $word)] $variant,)+
            /// A word of a newer version.
            #[serde(rename = "other", other)]
            Other,
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(match self {
                    $($name::$variant => $word,)+
                    $name::Other => "other",
                })
            }
        }
    };
}

words! {
    /// How far a daemon is with its network.
    DaemonState {
        /// It looks for its network.
        Joining = "joining",
        /// It is part of it; a client has found it.
        Joined = "joined",
        /// It takes no more shards, and hands over those it has.
        Draining = "draining",
        /// It ends.
        Leaving = "leaving",
    }
}

words! {
    /// What a daemon is to others.
    DaemonRole {
        /// It is in their tables and holds shards.
        Member = "member",
        /// It is in nobody's tables, and only stores and fetches.
        Client = "client",
    }
}

words! {
    /// How something is that a daemon has looked at.
    CheckState {
        /// As it should be.
        Ok = "ok",
        /// It works, and not as well as it could.
        Warning = "warning",
        /// It does not work.
        Fault = "fault",
        /// It could not be found out.
        Unknown = "unknown",
    }
}

words! {
    /// What a daemon looks at when it is asked how it is.
    CheckName {
        /// Where it listens.
        Ports = "ports",
        /// Whether it is part of its network.
        Network = "network",
        /// Whether others reach it.
        Reachability = "reachability",
        /// What is between it and others.
        Nat = "nat",
        /// By how much its clock differs from those of others.
        Clock = "clock",
        /// For how long its certificate lets it into a private network.
        Certificate = "certificate",
        /// How long it takes to hear from who would hold something.
        FirstHolder = "first_holder",
        /// Whether its disk can be relied on.
        Disk = "disk",
        /// Whether a daemon answers at all; asked by the client.
        Daemon = "daemon",
        /// Whether a second daemon has its key.
        Twin = "twin",
        /// Whether shards are spread over places that do not fail together.
        Zones = "zones",
        /// How many files and connections it may open.
        Descriptors = "descriptors",
        /// Whether it has room for more shards.
        Room = "room",
        /// Whether its files are as it had left them.
        Data = "data",
        /// Whether everything in the background runs.
        Tasks = "tasks",
        /// Whether the chunks that it looks after are safe.
        Shards = "shards",
        /// Whether repair gets on.
        Repair = "repair",
        /// Whether it is up to what it has to do again and again.
        Duties = "duties",
        /// Whether something can be stored, fetched and forgotten; tried by the client.
        Trial = "trial",
    }
}

words! {
    /// By which way others reach a daemon.
    ReachState {
        /// Nobody has found out yet.
        Unknown = "unknown",
        /// At an address of its own, or one that its settings announce.
        Direct = "direct",
        /// At an address of a router, which lets others through.
        Mapped = "mapped",
        /// Through other daemons.
        Relayed = "relayed",
        /// By none.
        None = "none",
    }
}

words! {
    /// What is between a daemon and others.
    NatKind {
        /// Nobody has said yet.
        Unknown = "unknown",
        /// Nothing that changes addresses.
        None = "none",
        /// A router whose port is the same towards everybody.
        Nat = "nat",
        /// A router that uses another port towards everybody.
        Symmetric = "symmetric",
    }
}

words! {
    /// What a link stands for.
    ObjectForm {
        /// One file without a name.
        File = "file",
        /// A directory.
        Tree = "tree",
        /// A verify link does not say it.
        Unknown = "unknown",
    }
}

words! {
    /// What an entry of a directory is.
    EntryForm {
        /// A regular file.
        File = "file",
        /// A directory.
        Dir = "dir",
        /// A symbolic link.
        Symlink = "symlink",
    }
}

words! {
    /// How a member is, as far as the daemon knows.
    MemberState {
        /// It answers.
        Alive = "alive",
        /// It has left a question unanswered and is being asked again, also through others.
        Suspect = "suspect",
        /// It did not answer while it was suspected.
        Dead = "dead",
        /// It said goodbye.
        Left = "left",
        /// It does not belong to the private network any more.
        Revoked = "revoked",
    }
}

words! {
    /// What a member does for others.
    MemberRole {
        /// What all do.
        Ordinary = "ordinary",
        /// It lists everybody, in a network too large for everybody to do so.
        SuperPeer = "superpeer",
        /// Only the daemon itself may be one; others never are.
        Client = "client",
    }
}

words! {
    /// How an object is kept.
    KeepState {
        /// Its holders keep it.
        Kept = "kept",
        /// Its chunks are being dropped.
        Forgetting = "forgetting",
        /// Holders keep it, and the book did not know: it was lost, or is an older copy.
        Recovered = "recovered",
    }
}

words! {
    /// What a chunk needs.
    ChunkNeed {
        /// All of its shards are there.
        Nothing = "nothing",
        /// Some are missing, and not for long enough.
        Wait = "wait",
        /// Shards that were lost long ago are to be made again.
        Restore = "restore",
        /// Lost shards are to be made again.
        Repair = "repair",
        /// So few are left that it is urgent.
        RepairUrgent = "repair_urgent",
        /// Too few are left to make any.
        Unreadable = "unreadable",
    }
}

words! {
    /// Why repairs could not be done.
    HeldBackReason {
        /// Nobody near the chunk is known.
        NobodyToAsk = "nobody_to_ask",
        /// Too few of its shards came.
        TooFewShards = "too_few_shards",
        /// Nobody who has none of its shards, or only such as others have too, took one.
        NoPlace = "no_place",
        /// Its shards do not belong together.
        Inconsistent = "inconsistent",
    }
}

words! {
    /// How a shard is.
    ShardWord {
        /// Its holder shows it.
        Present = "present",
        /// Its holder did not answer just now.
        Silent = "silent",
        /// It counts half.
        Suspect = "suspect",
        /// It counts as gone.
        Lost = "lost",
    }
}

words! {
    /// On which side of the daemon a row of the table lies.
    Side {
        /// Clockwise.
        Clockwise = "clockwise",
        /// Counterclockwise.
        Counterclockwise = "counterclockwise",
        /// The metric has no sides.
        Both = "both",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_the_same_in_json_and_for_people_and_unknown_ones_are_taken() {
        let json = serde_json::to_string(&ChunkNeed::RepairUrgent).expect("a word");
        assert_eq!(
            (json.as_str(), ChunkNeed::RepairUrgent.to_string().as_str()),
            ("\"repair_urgent\"", "repair_urgent")
        );
        assert_eq!(serde_json::from_str::<ChunkNeed>("\"wait\"").expect("known"), ChunkNeed::Wait);
        assert_eq!(serde_json::from_str::<ChunkNeed>("\"pray\"").expect("newer"), ChunkNeed::Other);
        assert_eq!(format!("{:<8}|", Side::Both), "both    |");
    }
}
