//! What is shown at the gate, and who is let in.

use libp2p::PeerId;

use super::issuing::issuer;
use super::{Access, INVITES_FILE, State, now, serial};
use crate::address::public_key;
use crate::network::certificate::CertificateError;
use crate::network::frames::{Answer, Hello, Standing};
use crate::network::invite::{InviteId, Proof};
use crate::network::papers::Papers;
use crate::wire::{Doorkeeper, Refusal, Verdict};

/// What strangers are told: that there is something to be asked for, and of whom.
const STRANGER: &str = "it belongs to a private network: ask somebody in it for an invite";

impl Doorkeeper for Access {
    fn papers(&self, _: &PeerId) -> Vec<u8> {
        Hello::Member(self.state().standing()).encode()
    }

    fn judge(&self, from: &PeerId, papers: &[u8]) -> Verdict {
        let answer = match (public_key(from), Hello::decode(papers)) {
            (Some(key), Ok(Hello::Member(standing))) => self.greet(&key, standing),
            (Some(key), Ok(Hello::Invited { id, proof })) => self.redeem(&key, id, &proof),
            _ => Answer::Refused(STRANGER.to_owned()),
        };
        Verdict { enters: matches!(answer, Answer::Welcome(_)), answer: answer.encode() }
    }

    fn judge_answer(&self, from: &PeerId, answer: &[u8]) -> Result<(), Refusal> {
        let key = public_key(from)
            .ok_or_else(|| Refusal("its key is of a kind that is not used here".to_owned()))?;
        match Answer::decode(answer) {
            Ok(Answer::Welcome(standing)) => {
                self.state().refused = None;
                self.admit(&key, standing).map_err(|error| Refusal(error.to_string()))
            }
            Ok(Answer::Refused(why)) => {
                self.state().refused = Some(why.clone());
                Err(Refusal(why))
            }
            _ => Err(Refusal("what it answered is none of the answers there are".to_owned())),
        }
    }
}

impl State {
    /// What this daemon shows others.
    fn standing(&self) -> Standing {
        Standing {
            chain: self.papers.own().clone(),
            digest: self.papers.digest(),
            successions: self.papers.successions().to_vec(),
        }
    }
}

impl Access {
    /// Lets in whoever has a certificate, and shows it that of this daemon.
    fn greet(&self, key: &[u8; 32], standing: Standing) -> Answer {
        match self.admit(key, standing) {
            Ok(()) => Answer::Welcome(self.state().standing()),
            Err(error) => Answer::Refused(self.why_not(key, error)),
        }
    }

    /// Whoever is of another network learns no more than a stranger, and whoever was revoked hears why.
    fn why_not(&self, key: &[u8; 32], error: CertificateError) -> String {
        match error {
            CertificateError::OtherNetwork | CertificateError::Malformed(_) => STRANGER.to_owned(),
            CertificateError::Revoked => {
                let state = self.state();
                let reason =
                    state.papers.revocations().about(key).next().map(|revocation| revocation.reason());
                match reason.filter(|reason| !reason.is_empty()) {
                    Some(reason) => format!("{error}: {reason}"),
                    None => error.to_string(),
                }
            }
            _ => error.to_string(),
        }
    }

    /// Notes who is there, if its certificate is good: also under a network key that this daemon hears of by it.
    pub(super) fn admit(&self, key: &[u8; 32], standing: Standing) -> Result<(), CertificateError> {
        let Standing { chain, digest, successions } = standing;
        if let Err(error) = self.succeed(&successions) {
            // The certificate is judged by what is believed here.
            tracing::debug!(%error, "what somebody says of network keys is not believed");
        }
        let mut state = self.state();
        let admitted = state.papers.admit(&chain, key, now())?;
        self.has_role(&admitted);
        let differs = digest != state.papers.digest();
        state.admitted(chain, admitted, digest);
        if differs {
            self.inner.changed.notify_one();
        }
        Ok(())
    }

    /// Gives papers to whoever has an invite. What it uses up is on disk before the answer is given: otherwise a crash
    /// would make two of one use. That happens seldom enough to be waited for.
    fn redeem(&self, joiner: &[u8; 32], id: InviteId, proof: &Proof) -> Answer {
        let now = now();
        let own = self.own_key();
        let mut state = self.state();
        let mut invites = state.invites.clone();
        let grant = match invites.redeem(id, proof, (joiner, &own), now) {
            Ok(grant) => grant,
            Err(error) => return Answer::Refused(error.to_string()),
        };
        if state.papers.revocations().is_revoked(joiner, false, state.papers.trusted()) {
            return Answer::Refused(
                "this daemon has been revoked: it can come back with a new key only".to_owned(),
            );
        }
        let granted = self.grant(&state, joiner, grant.rights, now);
        let papers = match granted {
            Ok(papers) => papers,
            Err(why) => return Answer::Refused(why),
        };
        if grant.is_new
            && let Err(error) = self.inner.dir.write(INVITES_FILE, &invites.encode())
        {
            tracing::warn!(%error, "somebody with an invite was not let in, because that cannot be written down");
            return Answer::Refused(
                "it cannot write down that the invite is used: try again later".to_owned(),
            );
        }
        state.invites = invites;
        Answer::Granted(papers)
    }

    /// The papers of a new member.
    fn grant(
        &self,
        state: &State,
        joiner: &[u8; 32],
        rights: crate::network::certificate::Rights,
        now: u64,
    ) -> Result<Vec<u8>, String> {
        let issuer = issuer(&self.inner, state).ok_or("it may not let anybody in any more")?;
        let serial = serial().map_err(|error| error.to_string())?;
        let chain = issuer
            .issue(joiner, rights, (now, self.inner.validity), serial)
            .map_err(|error| error.to_string())?;
        let mut papers = Papers::new(state.papers.genesis().clone(), chain);
        for succession in state.papers.successions() {
            papers.succeed(succession).map_err(|error| error.to_string())?;
        }
        Ok(papers.encode())
    }
}
