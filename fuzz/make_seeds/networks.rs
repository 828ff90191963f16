//! Papers of a private network, invites to it, and what its daemons say of both.

use chordage_storage::Redundancy;
use libp2p::Multiaddr;
use libp2p::identity::ed25519;

use crate::network::certificate::{Chain, Issuer, Rights, Role};
use crate::network::frames::{Answer, Hello, Reply, Request, Standing};
use crate::network::genesis::{Founding, Genesis, Kind};
use crate::network::invite::{Invitation, Invite};
use crate::network::invites::{Invites, Offer};
use crate::network::kept::Kept;
use crate::network::open_invite::OpenInvite;
use crate::network::papers::Papers;
use crate::network::revocations::Revocations;
use crate::network::succession::Succession;

use super::put;

fn pair(seed: u8) -> ed25519::Keypair {
    ed25519::Keypair::from(ed25519::SecretKey::try_from_bytes([seed; 32]).expect("32 bytes"))
}

fn key(seed: u8) -> [u8; 32] {
    pair(seed).public().to_bytes()
}

fn addresses() -> Vec<Multiaddr> {
    ["/ip4/192.0.2.7/tcp/4700", "/dns4/home.example/udp/4700/quic-v1"]
        .map(|address| address.parse().expect("an address"))
        .into()
}

/// The line of an invite, and what it is made of.
fn of_line(kind: &str, text: &str) {
    put("invite", &format!("{kind}text"), text.as_bytes());
    let base32 = text.split_once(':').expect("a prefix").1.to_ascii_uppercase();
    let payload = data_encoding::BASE32_NOPAD.decode(base32.as_bytes()).expect("base32");
    put("invite", &format!("{kind}payload"), &payload[..payload.len() - 4]);
}

/// The same of an open network, which asks for no work.
fn of_open(genesis: &Genesis) {
    put("invite", "open_kept", &Kept::Open(genesis.clone()).encode());
    let invite = OpenInvite::new(genesis.clone(), key(2), addresses()).expect("sound");
    of_line("open_", &invite.to_string());
}

/// Papers of a private network, and invites to it.
pub(crate) fn all() {
    let (now, a_while) = (1_800_000_000, 1_000_000);
    let found = |kind, redundancy| {
        let founding =
            Founding { name: "ours".to_owned(), metric: Default::default(), kind, redundancy, created: now };
        Genesis::sign(&pair(1), founding).expect("sound")
    };
    put("genesis", "open", &found(Kind::Open { id_bits: 9 }, Redundancy::new(4, 10).ok()).encode());
    of_open(&found(Kind::Open { id_bits: 0 }, None));
    let genesis = found(Kind::Private, None);
    put("genesis", "private", &genesis.encode());
    let network = genesis.fingerprint();
    let [founder, delegate, next] = [1, 2, 3].map(pair);
    let founder = Issuer { network, pair: &founder, proof: None };
    let rights = |role, delegate| Rights { role, delegate };
    let proof =
        founder.issue(&key(2), rights(Role::Member, true), (now, 10 * a_while), 1).expect("a network key");
    let delegate = Issuer { network, pair: &delegate, proof: Some(proof.certificate()) };
    let chain = delegate.issue(&key(4), rights(Role::Client, false), (now, a_while), 2).expect("a delegate");
    put("certificate", "of_founder", &proof.encode());
    put("certificate", "of_delegate", &chain.encode());
    let succession = Succession::sign(network, founder.pair, next.public().to_bytes(), (now, now + a_while));
    let succession = succession.expect("sound");
    put("certificate", "succession", &succession.encode());
    let revoked = [founder.revoke(&key(5), "lost", now), delegate.revoke(&key(6), "stolen", now + 1)];
    let revoked = revoked.map(|revocation| revocation.expect("they may"));
    put("revocation", "of_founder", &revoked[0].encode());
    put("revocation", "of_delegate", &revoked[1].encode());
    let mut papers = Papers::new(genesis, chain.clone());
    papers.learn(revoked);
    put("revocation", "list", &Revocations::encode(papers.revocations()));
    papers.succeed(&succession).expect("the newest key signed it");
    put("invite", "papers", &papers.encode());
    let invitation = Invitation {
        network,
        network_key: key(1),
        name: "ours".to_owned(),
        issuer: key(2),
        addresses: addresses(),
        expires: now,
    };
    let invite = Invite::new([5; 16], invitation).expect("sound");
    of_line("", &invite.to_string());
    let mut book = Invites::default();
    let offer = Offer { expires: now, uses: 2, rights: rights(Role::Member, false) };
    book.issue(&[5; 16], offer, now - 60).expect("within the limits");
    put("invite", "book", &book.encode());
    of_gate(&invite, &papers, &chain);
}

/// What is said at the gate, and of papers.
fn of_gate(invite: &Invite, papers: &Papers, chain: &Chain) {
    let revocations = papers.revocations();
    let standing =
        |successions| Standing { chain: chain.clone(), digest: papers.digest(), successions };
    let frames = [
        ("hello_member", Hello::Member(standing(Vec::new())).encode()),
        ("hello_member_of_new_key", Hello::Member(standing(papers.successions().to_vec())).encode()),
        ("hello_invited", Hello::Invited { id: invite.id(), proof: invite.prove(&key(7)) }.encode()),
        ("answer_welcome", Answer::Welcome(standing(Vec::new())).encode()),
        ("answer_welcome_of_new_key", Answer::Welcome(standing(papers.successions().to_vec())).encode()),
        ("answer_refused", Answer::Refused("the certificate has ended".to_owned()).encode()),
        ("answer_granted", Answer::Granted(papers.encode()).encode()),
        ("request_compare", Request::compare(revocations)),
        ("request_renew", Request::renew()),
        ("request_present", Request::present(chain)),
        ("request_succeed", Request::succeed(papers.successions()).expect("there is a new key")),
        ("reply_compared", Reply::compared(revocations)),
        ("reply_compared_none", Reply::compared(&Revocations::default())),
        ("reply_renewed", Reply::renewed(chain)),
        ("reply_seen", Reply::seen()),
        ("reply_refused", Reply::refused("this key may not sign that")),
    ];
    for (name, bytes) in frames {
        put("gate_frames", name, &bytes);
    }
}
