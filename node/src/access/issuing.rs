//! What a founder or a delegate signs for others: invites, certificates, revocations.

use chordage_dht::NodeId;
use libp2p::Multiaddr;

use super::{Access, INVITES_FILE, Inner, PAPERS_FILE, State, now, serial};
use crate::datadir::DataDirError;
use crate::network::certificate::{Certificate, Chain, Issuer, Rights};
use crate::network::invite::{Invitation, Invite};
use crate::network::invites::{Offer, OfferError, Shown, WithdrawError};
use crate::network::revocation::{Revocation, RevocationError};
use crate::network::text::ADDRESSES_MAX;

/// Why no invite was made. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IssuingError {
    #[error(
        "this daemon may not let others in: the founder's can, and those that joined with `invite --delegate`"
    )]
    MayNot,
    #[error("only the founder's daemon makes invites for those who may let others in")]
    DelegateByDelegate,
    #[error("this daemon has no address at which somebody could join")]
    NoAddress,
    #[error(transparent)]
    Offer(#[from] OfferError),
    #[error(transparent)]
    Dir(#[from] DataDirError),
    #[error("the system has no random numbers: {0}")]
    NoRandomness(#[from] getrandom::Error),
}

/// Why no invite was withdrawn. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WithdrawingError {
    #[error(transparent)]
    Book(#[from] WithdrawError),
    #[error(transparent)]
    Dir(#[from] DataDirError),
}

/// Why nobody was revoked. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RevokingError {
    #[error("this daemon may not revoke: the founder's can, and those that joined with `invite --delegate`")]
    MayNot,
    #[error("this is the daemon itself")]
    Itself,
    #[error("no daemon is known whose id begins so")]
    Unknown,
    #[error("several daemons have ids that begin so: give more of it")]
    Several,
    #[error("only the founder's daemon can revoke one that may let others in")]
    Delegate,
    #[error(transparent)]
    Statement(#[from] RevocationError),
    #[error(transparent)]
    Dir(#[from] DataDirError),
}

/// Who signs at this daemon: the network's key, or its own if it is a delegate's.
pub(super) fn issuer<'a>(inner: &'a Inner, state: &'a State) -> Option<Issuer<'a>> {
    let network = state.papers.network();
    if let Some(founder) = &state.founder {
        return Some(Issuer { network, pair: founder, proof: None });
    }
    let own: &Certificate = state.papers.own().certificate();
    own.rights().delegate.then_some(Issuer { network, pair: &inner.pair, proof: Some(own) })
}

impl Access {
    /// Makes an invite that somebody can redeem at these addresses. Waits for the disk.
    pub(crate) fn invite(
        &self,
        (uses, seconds): (u16, u64),
        rights: Rights,
        addresses: Vec<Multiaddr>,
    ) -> Result<(Invite, Shown), IssuingError> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let (own, now) = (self.own_key(), now());
        let mut state = self.state();
        let issuer = issuer(&self.inner, &state).ok_or(IssuingError::MayNot)?;
        if rights.delegate && issuer.proof.is_some() {
            return Err(IssuingError::DelegateByDelegate);
        }
        let offer = Offer { expires: now.saturating_add(seconds), uses, rights };
        let invitation = Invitation {
            network: state.papers.network(),
            network_key: *state.papers.trusted().newest().unwrap_or(state.papers.genesis().key()),
            name: state.papers.genesis().founding().name.clone(),
            issuer: own,
            addresses: addresses.into_iter().take(ADDRESSES_MAX).collect(),
            expires: offer.expires,
        };
        let invite = Invite::new(secret, invitation).ok_or(IssuingError::NoAddress)?;
        let mut invites = state.invites.clone();
        let id = invites.issue(&secret, offer, now)?;
        self.inner.dir.write(INVITES_FILE, &invites.encode())?;
        state.invites = invites;
        Ok((invite, Shown { id, offer, used: 0 }))
    }

    /// Takes back the invite whose id begins with these digits: nobody joins with it any more. Waits for the disk.
    pub(crate) fn withdraw(&self, digits: &str) -> Result<Shown, WithdrawingError> {
        let mut state = self.state();
        let mut invites = state.invites.clone();
        let withdrawn = invites.withdraw(&digits.to_ascii_lowercase(), now())?;
        self.inner.dir.write(INVITES_FILE, &invites.encode())?;
        state.invites = invites;
        Ok(withdrawn)
    }

    /// Revokes the daemon whose id begins with these digits, among those that are known by certificate or by list
    /// (`listed`). Waits for the disk.
    pub(crate) fn revoke(
        &self,
        digits: &str,
        reason: &str,
        listed: &[[u8; 32]],
    ) -> Result<(), RevokingError> {
        let digits = digits.to_ascii_lowercase();
        let own = self.own_key();
        let mut state = self.state();
        let signer = issuer(&self.inner, &state).ok_or(RevokingError::MayNot)?;
        let mut found: Vec<[u8; 32]> = state.peers.keys().chain(listed).copied().collect();
        found
            .retain(|key| digits.len() >= 8 && NodeId::from_public_key(key).to_string().starts_with(&digits));
        found.sort_unstable();
        found.dedup();
        let subject = match found[..] {
            [] if digits.len() >= 8 && NodeId::from_public_key(&own).to_string().starts_with(&digits) => {
                return Err(RevokingError::Itself);
            }
            [] => return Err(RevokingError::Unknown),
            [subject] if subject == own => return Err(RevokingError::Itself),
            [subject] => subject,
            _ => return Err(RevokingError::Several),
        };
        let is_delegate = state.peers.get(&subject).is_some_and(|known| known.admitted.rights.delegate);
        if is_delegate && signer.proof.is_some() {
            return Err(RevokingError::Delegate);
        }
        let revocation: Revocation = signer.revoke(&subject, reason, now())?;
        let mut papers = state.papers.clone();
        papers.learn([revocation]);
        self.inner.dir.write(PAPERS_FILE, &papers.encode())?;
        state.papers = papers;
        self.inner.changed.notify_one();
        Ok(())
    }

    /// A new certificate for a member that was let in, with the rights of its old one.
    pub(super) fn sign_anew(&self, key: &[u8; 32]) -> Result<Chain, String> {
        let (state, now) = (self.state(), now());
        let known = state.peers.get(key).ok_or("its certificate has not been shown")?;
        state.papers.admit(&known.chain, key, now).map_err(|error| error.to_string())?;
        let issuer = issuer(&self.inner, &state).ok_or("this daemon signs no certificates")?;
        let serial = serial().map_err(|error| error.to_string())?;
        let rights = known.admitted.rights;
        issuer.issue(key, rights, (now, self.inner.validity), serial).map_err(|error| error.to_string())
    }
}
