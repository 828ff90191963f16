//! The network of a daemon: who belongs to it, and who lets others in.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What somebody may do in a private network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MayBe {
    /// It holds what others store.
    Member,
    /// It only asks.
    Client,
}

/// Who may be in a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum NetworkKind {
    /// Who has a certificate.
    Private,
    /// Who has a key that has the work for which the network asks.
    Open,
    /// Who knows its name and an address.
    Named,
}

/// The network that a daemon belongs to. Answer of `GET /v1/network`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkInfo {
    /// Its name.
    pub network: String,
    /// Whether only those with a certificate belong to it.
    pub private: bool,
    /// Who may be in it.
    pub kind: NetworkKind,
    /// How many bits of work an open network asks of the keys of daemons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_bits: Option<u8>,
    /// Names the network among all of the same name, 32 hexadecimal digits.
    pub fingerprint: String,
    /// The key that signs for a private network, or has signed what an open one is; 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The key that it has followed, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_before: Option<NetworkKeyBefore>,
    /// Whether this daemon has the key.
    pub founder: bool,
    /// Why this daemon belongs to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateInfo>,
    /// About how many daemons hold what is stored.
    pub members: u64,
    /// Who does not belong to it any more.
    pub revoked: Vec<RevocationInfo>,
    /// Others who may let daemons in, of those that this daemon has met since it started.
    #[serde(default)]
    pub delegates: Vec<DelegateInfo>,
    /// How many revocations this daemon knows: two that know the same show the same.
    pub seq: u64,
    /// Invites that somebody can still join with, of those that this daemon has made.
    pub invites: Vec<InviteInfo>,
}

/// A network key that another one has followed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NetworkKeyBefore {
    /// 64 hexadecimal digits.
    pub key: String,
    /// Until when certificates under it count, seconds since 1970.
    pub until: i64,
}

/// That a private network is to have a new key. Body of `POST /v1/network/key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewKeyWanted {
    /// For how many seconds the old key counts beside the new one: from an hour to 366 days.
    pub overlap_seconds: u64,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateInfo {
    /// The id of the daemon whose it is.
    pub subject: String,
    /// What it may be.
    pub role: MayBe,
    /// Whether it may let others in, and revoke them.
    pub delegate: bool,
    /// Seconds since 1970.
    pub not_before: i64,
    /// Seconds since 1970. It is renewed by itself when half of its time is over.
    pub not_after: i64,
    /// Names it, 16 hexadecimal digits.
    pub serial: String,
}

/// Somebody who may let others in, and revoke them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DelegateInfo {
    /// The id of the daemon.
    pub id: String,
    /// How many certificates that it has signed this daemon has seen of those it knows. All of its certificates are
    /// void once it is revoked, also those that nobody here has seen.
    pub signed: u64,
}

/// Somebody who does not belong to the network any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RevocationInfo {
    /// The id of the daemon.
    pub subject: String,
    /// Why, as whoever did it says.
    pub reason: String,
    /// Seconds since 1970, by the clock of whoever did it.
    pub at: i64,
}

/// An invite that somebody can still join with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteInfo {
    /// Names it, 32 hexadecimal digits. It lets nobody in.
    pub id: String,
    /// Seconds since 1970.
    pub expires: i64,
    /// How many may join with it.
    pub uses: u16,
    /// How many have.
    pub used: u16,
    /// What they may be.
    pub role: MayBe,
    /// Whether they may let others in.
    pub delegate: bool,
}

/// What an invite into a private network is to be good for. Into an open one it is good for everybody and for ever, and
/// has nothing of this. Body of `POST /v1/network/invites`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InviteWanted {
    /// How many may join with it, 1 to 1,000; one unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uses: Option<u16>,
    /// For how long, at most a day, which it is unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<u64>,
    /// What they may be: members unless told otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<MayBe>,
    /// Whether they may let others in. Only the founder's daemon makes such invites.
    pub delegate: bool,
}

/// A new invite. Answer of `POST /v1/network/invites`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct InviteMade {
    /// What to give away, one line: whoever has it can join. That of a private network is said only now.
    pub invite: String,
    /// What the daemon keeps of it; nothing in an open network, whose invites have no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<InviteInfo>,
}

/// Who is to belong to the network no more. Body of `POST /v1/network/revocations`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RevocationWanted {
    /// The id of the daemon, or its beginning, at least 8 digits of it.
    pub subject: String,
    /// Why, at most 120 bytes: everybody in the network can read it.
    pub reason: String,
}
