mod roles;
mod succeeding;

use libp2p::PeerId;
use tempfile::TempDir;

use super::*;
use crate::address::peer_id;
use crate::network::certificate::{Rights, Role};
use crate::network::frames::{Answer, Hello};
use crate::network::invite::Invite;
use crate::wire::Doorkeeper;

const DAY: u64 = 24 * 3600;
const MEMBER: Rights = Rights { role: Role::Member, delegate: false };

/// A data directory, and what it has of a private network.
struct Machine {
    dir: TempDir,
    data: Arc<DataDir>,
}

impl Machine {
    fn new() -> Machine {
        Machine::of(tempfile::tempdir().expect("a temporary directory"))
    }

    fn of(dir: TempDir) -> Machine {
        let data = Arc::new(DataDir::open(dir.path()).expect("nobody else has it"));
        Machine { dir, data }
    }

    fn founder() -> Machine {
        let dir = tempfile::tempdir().expect("a temporary directory");
        found(dir.path(), "friends").expect("an empty directory");
        Machine::of(dir)
    }

    fn access(&self) -> Access {
        match Belongs::load(&self.data, &Config::default()).expect("readable") {
            Belongs::Private(access) => access,
            Belongs::Named | Belongs::Open(_) => panic!("it belongs to no private network"),
        }
    }

    fn peer(&self) -> PeerId {
        peer_id(&own_key(&self.data).expect("a key").public_key).expect("a key")
    }

    /// Redeems an invite at its issuer, as far as the gate. Returns what it is told.
    fn knock(&self, issuer: &Access, invite: &Invite) -> Answer {
        let key = own_key(&self.data).expect("a key").public_key;
        let hello = Hello::Invited { id: invite.id(), proof: invite.prove(&key) };
        let verdict = issuer.judge(&self.peer(), &hello.encode());
        assert!(!verdict.enters, "with an invite alone nobody enters");
        Answer::decode(&verdict.answer).expect("an answer")
    }

    /// Joins with an invite.
    fn joined(issuer: &Access, rights: Rights) -> Machine {
        let machine = Machine::new();
        let (invite, _) = invited(issuer, 1, rights);
        let Answer::Granted(papers) = machine.knock(issuer, &invite) else { panic!("it is good for one") };
        machine.data.write(PAPERS_FILE, &papers).expect("room");
        machine
    }
}

fn invited(issuer: &Access, uses: u16, rights: Rights) -> (Invite, Shown) {
    let addresses = vec!["/ip4/127.0.0.1/tcp/4700".parse().expect("an address")];
    issuer.invite((uses, DAY), rights, addresses).expect("it may")
}

/// What becomes of a connection between two; none: both let the other in.
fn met(from: (&Access, PeerId), to: (&Access, PeerId)) -> Option<String> {
    let verdict = to.0.judge(&from.1, &from.0.papers(&to.1));
    let answered = from.0.judge_answer(&to.1, &verdict.answer);
    assert_eq!(verdict.enters, answered.is_ok());
    answered.err().map(|refusal| refusal.0)
}

#[test]
fn a_founder_and_whoever_it_invites_let_each_other_in() {
    let founder = Machine::founder();
    let access = founder.access();
    let [one, other] = [0; 2].map(|_| Machine::joined(&access, MEMBER));
    let (first, second) = (one.access(), other.access());
    assert_eq!(met((&first, one.peer()), (&access, founder.peer())), None);
    assert_eq!(met((&access, founder.peer()), (&first, one.peer())), None);
    assert_eq!(met((&first, one.peer()), (&second, other.peer())), None);
    assert_eq!(first.adapt(Config::default()).expect("the usual settings").network, "friends");
    assert_eq!(first.fingerprint(), access.fingerprint());
}

#[test]
fn somebody_with_anothers_papers_or_those_of_another_network_is_not_let_in() {
    let founder = Machine::founder();
    let access = founder.access();
    let member = Machine::joined(&access, MEMBER);
    let thief = Machine::new();
    let why = met((&member.access(), thief.peer()), (&access, founder.peer())).expect("the key is another");
    assert!(why.contains("somebody else's"), "{why}");
    let elsewhere = Machine::founder();
    let why =
        met((&elsewhere.access(), elsewhere.peer()), (&access, founder.peer())).expect("another network");
    assert!(why.contains("ask somebody in it for an invite"), "{why}");
    let verdict = access.judge(&thief.peer(), b"hello?");
    assert!(
        !verdict.enters && verdict.answer.len() < 200,
        "a stranger learns what it can ask for, and nothing else"
    );
}

#[test]
fn an_invite_for_one_lets_one_in_however_often_it_asks_and_whoever_restarts() {
    let founder = Machine::founder();
    let access = founder.access();
    let (invite, shown) = invited(&access, 1, MEMBER);
    let [one, other] = [0; 2].map(|_| Machine::new());
    assert!(matches!(one.knock(&access, &invite), Answer::Granted(_)));
    assert!(matches!(one.knock(&access, &invite), Answer::Granted(_)), "its answer may have been lost");
    assert!(
        matches!(other.knock(&access, &invite), Answer::Refused(why) if why.contains("as many have joined"))
    );
    assert_eq!(access.membership().invites, [], "it is used up: {shown:?}");
    drop(access);
    let access = founder.access();
    assert!(matches!(other.knock(&access, &invite), Answer::Refused(_)), "the book is on disk");
    assert!(matches!(one.knock(&access, &invite), Answer::Granted(_)));
}

#[test]
fn an_invite_that_was_withdrawn_lets_nobody_in_also_after_a_restart() {
    let founder = Machine::founder();
    let access = founder.access();
    let (invite, shown) = invited(&access, 5, MEMBER);
    let (other, _) = invited(&access, 1, MEMBER);
    let [one, late] = [0; 2].map(|_| Machine::new());
    assert!(matches!(one.knock(&access, &invite), Answer::Granted(_)));
    let withdrawn = access.withdraw(&shown.id.to_string()[..16].to_uppercase()).expect("four are left");
    assert_eq!((withdrawn.id, withdrawn.used), (shown.id, 1));
    let refused = |access: &Access| {
        for machine in [&one, &late] {
            let answer = machine.knock(access, &invite);
            assert!(matches!(&answer, Answer::Refused(why) if why.contains("withdrawn")), "{answer:?}");
        }
    };
    refused(&access);
    drop(access);
    let access = founder.access();
    refused(&access);
    assert!(matches!(late.knock(&access, &other), Answer::Granted(_)), "the others are as they were");
}

#[test]
fn only_a_founder_and_its_delegates_let_others_in() {
    let founder = Machine::founder();
    let access = founder.access();
    let member = Machine::joined(&access, MEMBER).access();
    let addresses = vec!["/ip4/127.0.0.1/tcp/4700".parse().expect("an address")];
    let refused = member.invite((1, DAY), MEMBER, addresses.clone());
    assert!(matches!(refused, Err(IssuingError::MayNot)), "{refused:?}");

    let may_sign = Rights { delegate: true, ..MEMBER };
    let delegate = Machine::joined(&access, may_sign);
    let by_delegate = delegate.access();
    let refused = by_delegate.invite((1, DAY), may_sign, addresses);
    assert!(matches!(refused, Err(IssuingError::DelegateByDelegate)), "{refused:?}");
    let guest = Machine::joined(&by_delegate, MEMBER);
    assert_eq!(
        met((&guest.access(), guest.peer()), (&access, founder.peer())),
        None,
        "the founder never met it"
    );
    let refused = access.invite((1, DAY), MEMBER, Vec::new());
    assert!(matches!(refused, Err(IssuingError::NoAddress)), "{refused:?}");
}

#[test]
fn whoever_is_revoked_is_told_so_and_does_not_come_back_with_an_invite() {
    let founder = Machine::founder();
    let access = founder.access();
    let member = Machine::joined(&access, MEMBER);
    let gone = member.access();
    assert_eq!(met((&gone, member.peer()), (&access, founder.peer())), None);
    let id = NodeId::from_public_key(&gone.own_key()).to_string();
    assert!(matches!(access.revoke(&id[..7], "", &[]), Err(RevokingError::Unknown)), "too short to be sure");
    let own = NodeId::from_public_key(&access.own_key()).to_string();
    assert!(matches!(access.revoke(&own, "", &[]), Err(RevokingError::Itself)));
    assert!(matches!(gone.revoke(&own, "", &[]), Err(RevokingError::MayNot)));
    access.revoke(&id[..8], "sold its disk", &[]).expect("it was met");
    let why = met((&gone, member.peer()), (&access, founder.peer())).expect("revoked");
    assert!(why.contains("revoked: sold its disk"), "{why}");
    let (invite, _) = invited(&access, 5, MEMBER);
    assert!(matches!(member.knock(&access, &invite), Answer::Refused(why) if why.contains("new key")));
    drop(access);
    let access = founder.access();
    assert!(met((&gone, member.peer()), (&access, founder.peer())).is_some(), "also after a restart");
    // Another member hears of it and refuses it too.
    let other = Machine::joined(&access, MEMBER);
    let told = other.access();
    assert_eq!(met((&gone, member.peer()), (&told, other.peer())), None, "it has not heard of it");
    told.learn(access.membership().revocations).expect("room");
    assert!(met((&gone, member.peer()), (&told, other.peer())).is_some());
}

#[test]
fn a_certificate_is_renewed_by_whoever_may_sign_and_for_nobody_else() {
    let founder = Machine::founder();
    let access = founder.access();
    let member = Machine::joined(&access, MEMBER);
    let asks = member.access();
    let key = asks.own_key();
    let refused = access.sign_anew(&key).expect_err("it has not been at the gate");
    assert!(refused.contains("not been shown"), "{refused}");
    assert_eq!(met((&asks, member.peer()), (&access, founder.peer())), None);
    let chain = access.sign_anew(&key).expect("a member");
    assert_eq!(chain.certificate().rights(), MEMBER, "no more than before");
    assert_ne!(chain.certificate().serial(), asks.membership().certificate.serial());
    assert_eq!(met((&access, founder.peer()), (&asks, member.peer())), None);
    assert!(asks.sign_anew(&access.own_key()).is_err(), "a member signs nothing");
}

#[test]
fn a_directory_belongs_to_one_network_and_papers_that_are_gone_are_missed() {
    let founder = Machine::founder();
    assert!(matches!(found(founder.dir.path(), "others"), Err(AccessError::Dir(_))), "a daemon has it");
    let error = founding::check_free(&founder.data).expect_err("it belongs to one");
    assert!(matches!(&error, AccessError::Belongs { network, .. } if network == "friends"), "{error}");
    let empty = tempfile::tempdir().expect("a temporary directory");
    let error = found(empty.path(), "No Name").expect_err("blanks and capitals");
    assert!(matches!(error, AccessError::BadName(_)), "{error}");
    let used = Machine::new();
    std::fs::create_dir(used.dir.path().join("shards")).expect("room");
    let error = founding::check_free(&used.data).expect_err("it may hold what others need");
    assert!(matches!(error, AccessError::Open { .. }), "{error}");

    let config = Config { network: "elsewhere".to_owned(), ..Config::default() };
    assert!(matches!(founder.access().adapt(config), Err(AccessError::Belongs { .. })));
    founder.data.remember_opened();
    founder.data.remove(PAPERS_FILE);
    let lost =
        Belongs::load(&founder.data, &Config::default()).err().expect("it would be part of an open network");
    assert!(matches!(lost, AccessError::PapersLost(_)), "{lost}");
}

#[test]
fn whoever_joined_as_a_client_is_one() {
    let founder = Machine::founder();
    let client = Machine::joined(&founder.access(), Rights { role: Role::Client, delegate: false });
    let config = client.access().adapt(Config::default()).expect("the usual settings");
    assert_eq!(config.overlay.role, ConfiguredRole::Client);
}
