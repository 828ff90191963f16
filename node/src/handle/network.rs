//! The network of the daemon, and what is done to it from here.

use chordage_api::types::{
    CertificateInfo, DelegateInfo, InviteInfo, InviteMade, InviteWanted, MayBe, NetworkInfo,
    NetworkKeyBefore, NetworkKind, RevocationInfo, RevocationWanted,
};
use chordage_dht::NodeId;
use libp2p::Multiaddr;
use tokio::task::spawn_blocking;

use super::NodeHandle;
use crate::access::{
    Access, Belongs, IssuingError, Membership, NewKeyError, RevokingError, WithdrawingError, hex, may_be,
};
use crate::address::dial_order;
use crate::network::NetworkFingerprint;
use crate::network::certificate::{Rights, Role};
use crate::network::invites::Shown;

/// For how many an invite into a private network is, and for how many seconds, unless somebody wants it otherwise.
const USES: u16 = 1;
const SECONDS: u64 = 24 * 3600;

/// Which network it is.
pub(crate) struct NetworkOf {
    pub(crate) name: String,
    pub(crate) fingerprint: NetworkFingerprint,
    pub(crate) belongs: Belongs,
}

/// Why nothing was done to the network. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NetworkError {
    /// There are no certificates.
    #[error(
        "this daemon belongs to no private network: in an open one there are no certificates, and nobody can be put out"
    )]
    NotPrivate,
    /// There is nothing that a line could say.
    #[error(
        "the network of this daemon is nothing but a name: whoever knows that and an address is in it, and there are no \
         invites"
    )]
    NoGenesis,
    /// Nothing can be said of who may come into an open network, for how long and as what.
    #[error(
        "in an open network an invite is good for everybody and for ever: it has no uses, no end, no role and no delegates"
    )]
    Terms,
    #[error(transparent)]
    Issuing(#[from] IssuingError),
    #[error(transparent)]
    Withdrawing(#[from] WithdrawingError),
    #[error(transparent)]
    Revoking(#[from] RevokingError),
    #[error(transparent)]
    NewKey(#[from] NewKeyError),
    /// Nobody who may sign certificates is connected, or none of them does.
    #[error("nobody who may signs a new certificate now")]
    NotRenewed,
    #[error("the daemon is shutting down")]
    Stopped,
}

impl NodeHandle {
    /// Which network this is and why the daemon belongs to it.
    pub(crate) async fn network(&self) -> NetworkInfo {
        let of = &self.inner.network;
        let members = self.inner.reader.placement.driver.nodes().await.unwrap_or_default();
        let mut info = NetworkInfo {
            network: of.name.clone(),
            private: of.belongs.access().is_some(),
            kind: match of.belongs {
                Belongs::Named => NetworkKind::Named,
                Belongs::Open(_) => NetworkKind::Open,
                Belongs::Private(_) => NetworkKind::Private,
            },
            id_bits: of.belongs.open().map(|open| open.work().bits()),
            fingerprint: hex(&of.fingerprint.0),
            key: None,
            key_before: None,
            founder: false,
            certificate: None,
            members,
            revoked: Vec::new(),
            delegates: Vec::new(),
            seq: 0,
            invites: Vec::new(),
        };
        if let Some(open) = of.belongs.open() {
            info.key = Some(hex(open.key()));
            info.founder = open.is_founder();
        }
        let Some(Membership { key, key_before, founder, certificate, revocations, invites, delegates }) =
            of.belongs.access().map(Access::membership)
        else {
            return info;
        };
        info.key = Some(hex(&key));
        info.key_before = key_before.map(|(key, until)| NetworkKeyBefore {
            key: hex(&key),
            until: i64::try_from(until).unwrap_or(i64::MAX),
        });
        info.founder = founder;
        let (not_before, not_after) = certificate.validity();
        let Rights { role, delegate } = certificate.rights();
        info.certificate = Some(CertificateInfo {
            subject: NodeId::from_public_key(certificate.subject()).to_string(),
            role: may_be(role),
            delegate,
            not_before: seconds(not_before),
            not_after: seconds(not_after),
            serial: format!("{:016x}", certificate.serial()),
        });
        info.seq = revocations.len() as u64;
        info.revoked = revocations
            .iter()
            .map(|revocation| RevocationInfo {
                subject: NodeId::from_public_key(revocation.subject()).to_string(),
                reason: revocation.reason().to_owned(),
                at: seconds(revocation.at()),
            })
            .collect();
        let delegate = |(key, signed): &([u8; 32], usize)| DelegateInfo {
            id: NodeId::from_public_key(key).to_string(),
            signed: *signed as u64,
        };
        info.delegates = delegates.iter().map(delegate).collect();
        info.invites = invites.iter().map(shown).collect();
        info
    }

    /// Makes an invite that is redeemed by this daemon; or says the way into an open network, which is no secret and
    /// needs nobody's leave.
    pub(crate) async fn invite(&self, wanted: InviteWanted) -> Result<InviteMade, NetworkError> {
        match &self.inner.network.belongs {
            Belongs::Named => Err(NetworkError::NoGenesis),
            Belongs::Open(_) if wanted != InviteWanted::default() => Err(NetworkError::Terms),
            Belongs::Open(open) => {
                let invite = open.invite(self.addresses().await?).ok_or(IssuingError::NoAddress)?;
                Ok(InviteMade { invite: invite.to_string(), info: None })
            }
            Belongs::Private(access) => {
                invite_to_private(access.clone(), wanted, self.addresses().await?).await
            }
        }
    }

    /// Where others reach this daemon, best first.
    async fn addresses(&self) -> Result<Vec<Multiaddr>, NetworkError> {
        let view = self.inner.reader.placement.driver.view().await.ok_or(NetworkError::Stopped)?;
        Ok(dial_order(&view.local))
    }

    /// Takes back an invite that this daemon has made, by its id or the beginning of it.
    pub(crate) async fn withdraw_invite(&self, id: String) -> Result<InviteInfo, NetworkError> {
        let access = self.access()?;
        let withdrawn = spawn_blocking(move || access.withdraw(&id));
        Ok(shown(&withdrawn.await.map_err(|_| NetworkError::Stopped)??))
    }

    /// Revokes a daemon; everybody who is connected hears of it at once.
    pub(crate) async fn revoke(&self, wanted: RevocationWanted) -> Result<NetworkInfo, NetworkError> {
        let access = self.access()?;
        let view = self.inner.reader.placement.driver.view().await.ok_or(NetworkError::Stopped)?;
        let listed: Vec<[u8; 32]> = view.listed.iter().map(|member| *member.peer.public_key()).collect();
        let revoked = spawn_blocking(move || access.revoke(&wanted.subject, &wanted.reason, &listed));
        revoked.await.map_err(|_| NetworkError::Stopped)??;
        Ok(self.network().await)
    }

    /// Makes a new network key, beside which the old one counts for so many seconds.
    pub(crate) async fn new_network_key(&self, overlap: u64) -> Result<NetworkInfo, NetworkError> {
        let access = self.access()?;
        let made = spawn_blocking(move || access.new_key(overlap));
        made.await.map_err(|_| NetworkError::Stopped)??;
        Ok(self.network().await)
    }

    /// Asks for a new certificate.
    pub(crate) async fn renew_certificate(&self) -> Result<NetworkInfo, NetworkError> {
        let access = self.access()?;
        if !access.renew(&self.inner.reader.placement.driver).await {
            return Err(NetworkError::NotRenewed);
        }
        Ok(self.network().await)
    }

    /// Why others of its private network do not let this daemon in, if they do not.
    pub(super) fn not_let_in(&self) -> Option<String> {
        let why = self.inner.network.belongs.refused()?;
        Some(format!("others of the network do not let this daemon in: {why}"))
    }

    fn access(&self) -> Result<Access, NetworkError> {
        self.inner.network.belongs.access().cloned().ok_or(NetworkError::NotPrivate)
    }
}

async fn invite_to_private(
    access: Access,
    wanted: InviteWanted,
    addresses: Vec<Multiaddr>,
) -> Result<InviteMade, NetworkError> {
    let role = match wanted.role.unwrap_or(MayBe::Member) {
        MayBe::Member => Role::Member,
        MayBe::Client => Role::Client,
    };
    let rights = Rights { role, delegate: wanted.delegate };
    let terms = (wanted.uses.unwrap_or(USES), wanted.seconds.unwrap_or(SECONDS));
    let made = spawn_blocking(move || access.invite(terms, rights, addresses));
    let (invite, info) = made.await.map_err(|_| NetworkError::Stopped)??;
    Ok(InviteMade { invite: invite.to_string(), info: Some(shown(&info)) })
}

fn shown(Shown { id, offer, used }: &Shown) -> InviteInfo {
    InviteInfo {
        id: id.to_string(),
        expires: seconds(offer.expires),
        uses: offer.uses,
        used: u16::try_from(*used).unwrap_or(u16::MAX),
        role: may_be(offer.rights.role),
        delegate: offer.rights.delegate,
    }
}

fn seconds(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
