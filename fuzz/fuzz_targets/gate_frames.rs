#![no_main]
// The daemon's own files: they are private to its crate, and linking all of libp2p would make this slow.
#![allow(dead_code, unreachable_pub)]

use libfuzzer_sys::fuzz_target;

use crate::network::certificate::Chain;
use crate::network::frames::{Answer, Hello, Reply, Request, Standing};
use crate::network::genesis::Genesis;
use crate::network::papers::{Papers, SUCCESSIONS_MAX};
use crate::network::revocation::Revocation;
use crate::network::revocations::{REVOCATIONS_MAX, Revocations};
use crate::network::succession::{Succession, Trusted};

#[path = "../../node/src/network/mod.rs"]
mod network;

/// Whose network it is: nobody here has its key.
const GENESIS: &[u8] = include_bytes!("../seeds/genesis/private");
/// Longest reason, bytes.
const WHY_MAX: usize = 300;

// What strangers say at the gate of a private network, and its members of papers: it encodes to the same bytes, and
// reasons can be shown. It admits nobody unless a network key has signed it, as in the seeds.
fuzz_target!(|bytes: &[u8]| {
    if let Ok(hello) = Hello::decode(bytes) {
        assert_eq!(hello.encode(), bytes);
        if let Hello::Member(standing) = &hello {
            check_standing(standing);
        }
    }
    if let Ok(answer) = Answer::decode(bytes) {
        assert_eq!(answer.encode(), bytes);
        match &answer {
            Answer::Welcome(standing) => check_standing(standing),
            Answer::Refused(why) => check_why(why),
            Answer::Granted(papers) => {
                if let Ok(granted) = Papers::decode(papers) {
                    assert_eq!(&granted.encode(), papers);
                    check_chain(granted.own());
                }
            }
        }
    }
    match Request::decode(bytes) {
        Ok(Request::Compare(list)) => check_list(&list, bytes, Request::compare),
        Ok(Request::Renew) => assert_eq!(Request::renew(), bytes),
        Ok(Request::Present(chain)) => {
            assert_eq!(Request::present(&chain), bytes);
            check_chain(&chain);
        }
        Ok(Request::Succeed(successions)) => {
            assert_eq!(Request::succeed(&successions).as_deref(), Some(bytes));
            check_successions(&successions);
        }
        Err(_) => {}
    }
    match Reply::decode(bytes) {
        Ok(Reply::Compared(list)) => check_list(&list, bytes, Reply::compared),
        Ok(Reply::Renewed(chain)) => {
            assert_eq!(Reply::renewed(&chain), bytes);
            check_chain(&chain);
        }
        Ok(Reply::Seen) => assert_eq!(Reply::seen(), bytes),
        Ok(Reply::Refused(why)) => {
            assert_eq!(Reply::refused(&why), bytes);
            check_why(&why);
        }
        Err(_) => {}
    }
    // What a daemon itself gives as a reason, however long, is cut to what others take.
    if let Ok(text) = core::str::from_utf8(bytes) {
        let is_cut = |why: &str| text.starts_with(why) && (why == text || why.len() + 3 >= WHY_MAX);
        let answer = Answer::decode(&Answer::Refused(text.to_owned()).encode());
        let reply = Reply::decode(&Reply::refused(text));
        match (answer, reply) {
            (Ok(Answer::Refused(why)), Ok(Reply::Refused(same))) => assert!(why == same && is_cut(&why)),
            (Err(_), Err(_)) => assert!(text.chars().take(WHY_MAX).any(char::is_control)),
            other => panic!("{other:?}"),
        }
    }
});

/// A reason can be shown.
fn check_why(why: &str) {
    assert!(why.len() <= WHY_MAX && !why.chars().any(char::is_control));
}

fn check_standing(standing: &Standing) {
    check_chain(&standing.chain);
    check_successions(&standing.successions);
}

/// They are within their limit, and the newest network key is one that the one before it has named.
fn check_successions(successions: &[Succession]) {
    assert!(successions.len() <= SUCCESSIONS_MAX);
    let mut trusted = Trusted::of(&Genesis::decode(GENESIS).expect("our own"));
    for succession in successions {
        let before = trusted.clone();
        match trusted.succeed(succession) {
            Ok(true) => assert_eq!(trusted.older().map(|(key, _)| key), before.newest()),
            Ok(false) | Err(_) => assert_eq!(trusted, before),
        }
    }
}

/// A chain admits its subject alone, and only under a network key.
fn check_chain(chain: &Chain) {
    let trusted = Trusted::of(&Genesis::decode(GENESIS).expect("our own"));
    let certificate = chain.certificate();
    let (from, _) = certificate.validity();
    if let Ok(admitted) = chain.verify(&trusted, certificate.subject(), from, &|_, _| false) {
        assert!(admitted.subject == *certificate.subject() && admitted.rights == certificate.rights());
        assert!(trusted.is_network_key(chain.proof().unwrap_or(certificate).issuer()));
        assert!(chain.verify(&trusted, &[0; 32], from, &|_, _| false).is_err());
    }
}

/// A list is within its limits and stands in the frame as it came. If all of it counts, it is sent on with the same
/// bytes.
fn check_list(list: &[Revocation], bytes: &[u8], encode: impl Fn(&Revocations) -> Vec<u8>) {
    assert!(list.len() <= REVOCATIONS_MAX);
    let entries: Vec<u8> = list.iter().flat_map(Revocation::encode).collect();
    // Behind the kind of the frame and the list's version.
    assert_eq!(bytes[2..6], (list.len() as u32).to_be_bytes());
    assert_eq!(bytes[6..], entries);
    list.iter().for_each(|revocation| check_why(revocation.reason()));
    let trusted = Trusted::of(&Genesis::decode(GENESIS).expect("our own"));
    let mut revocations = Revocations::default();
    let merged = revocations.merge(list.iter().cloned(), &trusted);
    assert_eq!(merged.refused + revocations.len(), list.len());
    assert_eq!(merged.refused == 0, encode(&revocations) == bytes);
}
