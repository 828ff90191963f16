//! Signatures: those of this daemon are made here, and those of others are checked before the overlay sees them. So is
//! the work of the keys that they tell of.

use chordage_dht::{Announcement, Input, Listing, Message, PeerInfo, Record, Signature, TopicMessage};
use libp2p::identity::{Keypair, ed25519};

use crate::network::NetworkFingerprint;
use crate::network::work::IdWork;
use crate::record::Versions;

/// Signs what this daemon says with the key that makes it itself.
#[derive(Clone)]
pub(crate) struct Signer(Keypair);

impl Signer {
    /// With the daemon's key pair.
    pub(crate) fn new(keypair: Keypair) -> Signer {
        Signer(keypair)
    }

    /// The public key under which others know this daemon.
    pub(crate) fn public_key(&self) -> [u8; 32] {
        // All keys are Ed25519, as below.
        self.0.public().try_into_ed25519().map_or([0; 32], |key| key.to_bytes())
    }

    pub(super) fn sign(&self, record: &PeerInfo, seat: bool) -> Signature {
        self.sign_bytes(&Announcement::signed_bytes(record, seat))
    }

    /// Signs bytes, which have to begin with what they are for.
    pub(crate) fn sign_bytes(&self, bytes: &[u8]) -> Signature {
        // The key is Ed25519 (`Identity`), whose signatures always succeed and have 64 bytes; any other would leave an
        // invalid one, which others refuse.
        let signed = self.0.sign(bytes).unwrap_or_default();
        Signature(signed.try_into().unwrap_or([0; 64]))
    }
}

/// What others know this daemon by.
pub(super) struct OwnRecord {
    pub(super) versions: Versions,
    pub(super) signer: Signer,
}

impl OwnRecord {
    /// Signs a version of it; what the overlay is told.
    pub(super) fn sign(&self, record: &PeerInfo, seat: bool) -> Input {
        Input::Signed { seq: record.seq(), signature: self.signer.sign(record, seat) }
    }
}

/// What is believed of what others tell.
#[derive(Clone, Copy, Debug)]
pub(super) struct Credence {
    /// Which network it has to be signed for.
    pub(super) network: NetworkFingerprint,
    /// What the keys of daemons have to show.
    pub(super) work: IdWork,
}

impl Credence {
    /// Whether everything in a message may be believed: whoever is to have said it has signed it, and each daemon that
    /// it tells of has done the work that the network asks for. Who tells of one that has not is not honest, because
    /// honest daemons do not believe in it themselves. Owners of records are no daemons.
    pub(super) fn believes(self, message: &Message) -> bool {
        let Credence { network, work } = self;
        // First what costs one hash.
        message.peers().iter().all(|peer| work.is_shown_by(peer.public_key()))
            && message
                .announcements()
                .all(|told| work.is_shown_by(told.record().public_key()) && is_genuine(told))
            && message.records().all(|record| is_signed(record, network))
            && message.listings().all(|listing| {
                work.is_shown_by(&listing.statement().id.provider) && is_listed(listing, network)
            })
            && message.topic_messages().all(|message| {
                work.is_shown_by(&message.statement().publisher) && is_published(message, network)
            })
    }
}

/// Whether the owner of the record has signed it.
fn is_genuine(announcement: &Announcement) -> bool {
    let record = announcement.record();
    ed25519::PublicKey::try_from_bytes(record.public_key()).is_ok_and(|key| {
        let signed = Announcement::signed_bytes(record, announcement.seat());
        key.verify(&signed, &announcement.signature().0)
    })
}

/// Whether the owner of a record has signed it for this network.
fn is_signed(record: &Record, network: NetworkFingerprint) -> bool {
    let statement = record.statement();
    has_signed(statement.name.owner(), &statement.signed_bytes(&network.0), record.signature())
}

/// Whether the provider of a listing has signed it for this network.
fn is_listed(listing: &Listing, network: NetworkFingerprint) -> bool {
    let statement = listing.statement();
    has_signed(&statement.id.provider, &statement.signed_bytes(&network.0), listing.signature())
}

/// Whether the publisher of a message has signed it for this network.
fn is_published(message: &TopicMessage, network: NetworkFingerprint) -> bool {
    let statement = message.statement();
    has_signed(&statement.publisher, &statement.signed_bytes(&network.0), message.signature())
}

fn has_signed(key: &[u8; 32], bytes: &[u8], signature: &Signature) -> bool {
    ed25519::PublicKey::try_from_bytes(key).is_ok_and(|key| key.verify(bytes, &signature.0))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use chordage_dht::{
        AnyMetric, CallId, Gossip, Item, Key, ListingId, ListingStatement, News, Notice, PeerInfo, Reach,
        RendezvousNotice, RendezvousResponse, Response, TopicStatement,
    };

    use super::*;

    #[test]
    fn only_the_owner_signs_a_record() {
        let pair = ed25519::Keypair::generate();
        let record = PeerInfo::new(pair.public().to_bytes(), Vec::new(), 7).expect("no addresses");
        let signature = Signer::new(pair.into()).sign(&record, false);
        let newer = record.with_addresses(Vec::new(), 8).expect("no addresses");
        assert!(is_genuine(&Announcement::new(Arc::new(record.clone()), false, signature)));
        assert!(!is_genuine(&Announcement::new(Arc::new(record.clone()), true, signature)));
        assert!(!is_genuine(&Announcement::new(Arc::new(newer), false, signature)));
        let other = Signer::new(Keypair::generate_ed25519()).sign(&record, false);
        assert!(!is_genuine(&Announcement::new(Arc::new(record), false, other)));
    }

    #[test]
    fn only_the_provider_and_the_publisher_sign_and_for_one_network_only() {
        let pair = ed25519::Keypair::generate();
        let (own, signer) = (pair.public().to_bytes(), Signer::new(pair.into()));
        let [here, there] = ["here", "there"].map(|name| NetworkFingerprint::of(name, AnyMetric::Ring));
        let listing = |provider: [u8; 32]| {
            let id = ListingId { provider, number: 0 };
            let statement = ListingStatement {
                place: Key::from_bytes([1; 32]),
                id,
                seq: 1,
                valid_until: 2,
                body: vec![3],
            };
            let signature = signer.sign_bytes(&statement.signed_bytes(&here.0));
            statement.signed(signature).expect("short")
        };
        assert!(is_listed(&listing(own), here) && !is_listed(&listing(own), there));
        assert!(!is_listed(&listing([7; 32]), here));
        let message = |publisher: [u8; 32]| {
            let statement =
                TopicStatement { place: Key::from_bytes([1; 32]), publisher, seq: 1, body: vec![3] };
            let signature = signer.sign_bytes(&statement.signed_bytes(&here.0));
            statement.signed(signature).expect("short")
        };
        assert!(is_published(&message(own), here) && !is_published(&message(own), there));
        assert!(!is_published(&message([7; 32]), here));
    }

    /// A pair whose key has this much work, or lacks it.
    fn pair(work: IdWork, sound: bool) -> ed25519::Keypair {
        let pairs =
            (0..=255_u8).map(|seed| ed25519::SecretKey::try_from_bytes([seed; 32]).expect("32 bytes").into());
        let mut pairs =
            pairs.filter(|pair: &ed25519::Keypair| work.is_shown_by(&pair.public().to_bytes()) == sound);
        pairs.next().expect("among so many")
    }

    /// Everything in which a daemon can be told of, each of this one and in order.
    fn told_of(pair: &ed25519::Keypair, network: NetworkFingerprint) -> Vec<(&'static str, Message)> {
        let (key, signer) = (pair.public().to_bytes(), Signer::new(pair.clone().into()));
        let info = Arc::new(PeerInfo::new(key, Vec::new(), 7).expect("no addresses"));
        let announcement = Announcement::new(info.clone(), false, signer.sign(&info, false));
        let place = Key::from_bytes([1; 32]);
        let id = ListingId { provider: key, number: 0 };
        let listing = ListingStatement { place, id, seq: 1, valid_until: 2, body: vec![3] };
        let signature = signer.sign_bytes(&listing.signed_bytes(&network.0));
        let listing = Item::Listing(Arc::new(listing.signed(signature).expect("short")));
        let message = TopicStatement { place, publisher: key, seq: 1, body: vec![3] };
        let signature = signer.sign_bytes(&message.signed_bytes(&network.0));
        let message = Arc::new(message.signed(signature).expect("short"));
        let respond = |response| Message::Response(CallId(1), response);
        let items = |item| respond(Response::Rendezvous(RendezvousResponse::Items(vec![item])));
        let (digest, reach, shared) = (1, [Reach(0); 2], 0);
        vec![
            ("closest", respond(Response::Closest { peers: vec![info.clone()], covered: true })),
            ("leaves", respond(Response::Leaves { digest, reach, shared, peers: vec![info.clone()] })),
            ("region", respond(Response::Rendezvous(RendezvousResponse::Kept { region: vec![info] }))),
            ("records", respond(Response::Records { records: vec![announcement.clone()] })),
            ("gossip", Message::Notice(Notice::Gossip(Gossip::News(vec![News::Member(announcement)])))),
            ("listing", items(listing)),
            ("message", Message::Notice(Notice::Rendezvous(RendezvousNotice::Message(message)))),
        ]
    }

    #[test]
    fn nobody_believes_in_a_daemon_whose_key_lacks_the_work() {
        let network = NetworkFingerprint::of("here", AnyMetric::Ring);
        let asks = |bits| Credence { network, work: IdWork::of(bits) };
        for (what, message) in told_of(&pair(IdWork::of(3), true), network) {
            assert!(asks(3).believes(&message), "{what}");
        }
        for (what, message) in told_of(&pair(IdWork::of(3), false), network) {
            assert!(!asks(3).believes(&message), "{what}");
            assert!(asks(0).believes(&message), "{what} where nothing is asked for");
        }
    }
}
