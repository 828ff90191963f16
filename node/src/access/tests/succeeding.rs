//! A network with another key in place of the founder's.

use super::super::succeeding::NewKeyError;
use super::*;

const DELEGATE: Rights = Rights { role: Role::Member, delegate: true };

/// The daemon signs its own certificate anew, or has it signed by `issuer`.
fn renewed(machine: &Machine, access: &Access, issuer: &Access) {
    let key = own_key(&machine.data).expect("a key").public_key;
    let chain = match access.signed_here() {
        Some(chain) => chain,
        None => issuer.sign_anew(&key).expect("it has been let in"),
    };
    assert_eq!(access.state().papers.renew(chain, &key, now()), Ok(true));
}

fn key_of(access: &Access) -> [u8; 32] {
    access.membership().key
}

#[test]
fn all_go_on_under_a_new_network_key_also_who_hears_of_it_last() {
    let founder = Machine::founder();
    let at_founder = founder.access();
    let old = key_of(&at_founder);
    let [one, two] = [MEMBER, MEMBER].map(|rights| Machine::joined(&at_founder, rights));
    let delegate = Machine::joined(&at_founder, DELEGATE);
    let (at_one, at_two, at_delegate) = (one.access(), two.access(), delegate.access());
    let (open, _) = invited(&at_founder, 1, MEMBER);
    for (machine, access) in [(&one, &at_one), (&delegate, &at_delegate)] {
        assert_eq!(met((access, machine.peer()), (&at_founder, founder.peer())), None);
    }

    at_founder.new_key(DAY).expect("it has the key");
    let new = key_of(&at_founder);
    assert!(new != old && at_founder.is_to_be_renewed());
    assert_eq!(at_founder.membership().key_before.map(|(key, _)| key), Some(old));
    renewed(&founder, &at_founder, &at_founder);
    assert!(!at_founder.is_to_be_renewed());

    // Whoever comes hears of it before it judges the founder's certificate, which is under the new key.
    assert_eq!(met((&at_one, one.peer()), (&at_founder, founder.peer())), None);
    assert_eq!((key_of(&at_one), key_of(&at_two)), (new, old));
    assert!(at_one.is_to_be_renewed());
    renewed(&one, &at_one, &at_founder);
    drop(at_one);
    let at_one = one.access();
    assert_eq!(key_of(&at_one), new, "also after a restart");
    // From anybody, not from the founder alone.
    assert_eq!(met((&at_one, one.peer()), (&at_two, two.peer())), None);
    assert_eq!(key_of(&at_two), new);
    // A delegate signs under the new key when it has a certificate under it.
    assert_eq!(met((&at_two, two.peer()), (&at_delegate, delegate.peer())), None);
    let two_key = own_key(&two.data).expect("a key").public_key;
    assert_eq!(at_delegate.sign_anew(&two_key).map(|chain| *chain.network_key()), Ok(old));
    renewed(&delegate, &at_delegate, &at_founder);
    renewed(&two, &at_two, &at_delegate);
    assert_eq!(met((&at_two, two.peer()), (&at_one, one.peer())), None);

    let late = Machine::new();
    let Answer::Granted(papers) = late.knock(&at_founder, &open) else { panic!("an invite of before") };
    late.data.write(PAPERS_FILE, &papers).expect("room");
    assert_eq!(key_of(&late.access()), new);
    assert_eq!(met((&late.access(), late.peer()), (&at_two, two.peer())), None);
}

#[test]
fn a_crash_loses_no_network_key() {
    let founder = Machine::founder();
    let old = founder.data.secret(KEY_FILE).expect("a key").bytes;
    let next = founder.data.secret("network.key.next").expect("made").bytes;
    // Before anybody could hear of the next one the old one counts, and the next is the next.
    assert!(founder.access().membership().founder);
    let access = founder.access();
    access.new_key(DAY).expect("it has the key");
    let new = key_of(&access);
    assert_eq!(pair_of(&next).public().to_bytes(), new);
    // Afterwards the new one counts, wherever it lies.
    founder.data.set_secret(KEY_FILE, &old).expect("room");
    founder.data.set_secret("network.key.next", &next).expect("room");
    let access = founder.access();
    assert!(access.membership().founder && key_of(&access) == new);
    assert_eq!(founder.data.secret(KEY_FILE).expect("a key").bytes, next);
    assert!(founder.data.read("network.key.next").expect("readable").is_none());
    // With the old one alone it signs nothing any more.
    founder.data.set_secret(KEY_FILE, &old).expect("room");
    let access = founder.access();
    assert!(!access.membership().founder);
    assert!(matches!(access.new_key(DAY), Err(NewKeyError::MayNot)));
}

fn pair_of(secret: &[u8; 32]) -> ed25519::Keypair {
    ed25519::SecretKey::try_from_bytes(&mut secret.clone()).expect("32 bytes").into()
}

#[test]
fn the_first_new_key_that_is_heard_of_counts_and_only_the_founder_makes_one_at_a_time() {
    let founder = Machine::founder();
    let stolen = Machine::new();
    for name in [KEY_FILE, "key", PAPERS_FILE] {
        let bytes = founder.data.read(name).expect("readable").expect("there");
        stolen.data.write(name, &bytes).expect("room");
    }
    let (at_founder, at_thief) = (founder.access(), stolen.access());
    let member = Machine::joined(&at_founder, MEMBER);
    let at_member = member.access();
    for overlap in [0, 3599, 366 * DAY + 1] {
        assert!(matches!(at_founder.new_key(overlap), Err(NewKeyError::Overlap)), "{overlap}");
    }
    assert!(matches!(at_member.new_key(DAY), Err(NewKeyError::MayNot)));
    at_founder.new_key(DAY).expect("it has the key");
    assert!(matches!(at_founder.new_key(DAY), Err(NewKeyError::TooSoon { seconds }) if seconds <= DAY));

    renewed(&founder, &at_founder, &at_founder);
    assert_eq!(met((&at_member, member.peer()), (&at_founder, founder.peer())), None);
    at_thief.new_key(DAY).expect("it has the key");
    renewed(&stolen, &at_thief, &at_thief);
    let why = met((&at_thief, stolen.peer()), (&at_member, member.peer()));
    assert!(why.is_some_and(|why| why.contains("may not do so")));
    assert_eq!(key_of(&at_member), key_of(&at_founder));
}
