//! What holds for all ids, metrics, records and messages.

#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use chordage_dht::{
    Address, Announcement, AnyMetric, CallId, Config, DecodeError, Digest, Direction, Distance, Gossip, Head,
    Item, ItemId, ItemKind, Key, ListingId, ListingStatement, Message, Metric, News, NodeId, Notice, Peer,
    PeerInfo, Reach, Rejection, RendezvousNotice, RendezvousRequest, RendezvousResponse, Request, Response,
    Scope, Shape, ShortIds, Signature, TopicStatement,
};
use proptest::prelude::*;

fn keys() -> impl Strategy<Value = Key> {
    // Near neighbours and extremes are rare among random keys and common among mistakes.
    prop_oneof![
        any::<[u8; 32]>(),
        any::<u8>().prop_map(|low| {
            let mut bytes = [0; 32];
            bytes[31] = low;
            bytes
        }),
        any::<u8>().prop_map(|low| {
            let mut bytes = [0xff; 32];
            bytes[31] = low;
            bytes
        }),
    ]
    .prop_map(Key::from_bytes)
}

fn metrics() -> impl Strategy<Value = AnyMetric> {
    prop_oneof![Just(AnyMetric::Ring), Just(AnyMetric::Xor), Just(AnyMetric::Classic)]
}

fn peers() -> impl Strategy<Value = Peer> {
    let address = prop::collection::vec(any::<u8>(), 0..=128).prop_map(|bytes| Address::new(&bytes).unwrap());
    let zone = prop::option::of("[a-z0-9-]{1,32}").prop_map(|zone| zone.map(|zone| zone.parse().unwrap()));
    (any::<[u8; 32]>(), prop::collection::vec(address, 0..=8), any::<u64>(), zone).prop_map(
        |(public_key, addrs, seq, zone)| {
            Arc::new(PeerInfo::new(public_key, addrs, seq).unwrap().in_zone(zone))
        },
    )
}

fn item_ids() -> impl Strategy<Value = ItemId> {
    (any::<[u8; 32]>(), any::<u16>(), any::<u64>()).prop_map(|(by, number, seq)| ItemId { by, number, seq })
}

fn items() -> impl Strategy<Value = Item> {
    let parts = (keys(), item_ids(), any::<u64>(), prop::collection::vec(any::<u8>(), 0..=1024));
    (any::<bool>(), parts).prop_map(|(is_listing, (place, ItemId { by, number, seq }, valid_until, body))| {
        let signature = Signature([number as u8; 64]);
        if is_listing {
            let id = ListingId { provider: by, number };
            let statement = ListingStatement { place, id, seq, valid_until, body };
            Item::Listing(Arc::new(statement.signed(signature).unwrap()))
        } else {
            let statement = TopicStatement { place, publisher: by, seq, body: body.repeat(4) };
            Item::Message(Arc::new(statement.signed(signature).unwrap()))
        }
    })
}

/// What is said about places.
fn meetings() -> impl Strategy<Value = Message> {
    let kind = || prop_oneof![Just(ItemKind::Listing), Just(ItemKind::Message)];
    let request = prop_oneof![
        (items(), any::<u32>()).prop_map(|(item, region)| RendezvousRequest::Keep { item, region }),
        (keys(), any::<u16>(), any::<u64>(), any::<u32>()).prop_map(|(place, number, seq, region)| {
            RendezvousRequest::Renew { place, number, seq, region }
        }),
        (keys(), kind(), prop::option::of(item_ids()), any::<bool>(), any::<u32>()).prop_map(
            |(place, kind, after, watch, region)| RendezvousRequest::Survey {
                place,
                kind,
                after,
                watch,
                region
            }
        ),
        (keys(), kind(), prop::collection::vec(item_ids(), 0..40))
            .prop_map(|(place, kind, wanted)| RendezvousRequest::Fetch { place, kind, wanted }),
    ];
    let region = || prop::collection::vec(peers(), 0..9);
    let heads =
        prop::collection::vec((item_ids(), any::<u32>()).prop_map(|(id, age)| Head { id, age }), 0..257);
    let response = prop_oneof![
        region().prop_map(|region| RendezvousResponse::Kept { region }),
        region().prop_map(|region| RendezvousResponse::Unknown { region }),
        region().prop_map(|region| RendezvousResponse::Refused { why: Rejection::Full, region }),
        (heads, any::<bool>(), any::<bool>(), region()).prop_map(|(heads, more, ready, region)| {
            RendezvousResponse::Heads { heads, more, ready, region }
        }),
        prop::collection::vec(items(), 0..3).prop_map(RendezvousResponse::Items),
    ];
    let notice = prop_oneof![
        keys().prop_map(RendezvousNotice::Changed),
        items().prop_map(|item| match item {
            Item::Message(message) => RendezvousNotice::Message(message),
            Item::Listing(listing) => RendezvousNotice::Changed(*listing.place()),
        }),
    ];
    prop_oneof![
        (any::<u32>(), request).prop_map(|(id, ask)| Message::Request(CallId(id), Request::Rendezvous(ask))),
        (any::<u32>(), response)
            .prop_map(|(id, answer)| Message::Response(CallId(id), Response::Rendezvous(answer))),
        notice.prop_map(|notice| Message::Notice(Notice::Rendezvous(notice))),
    ]
}

fn messages() -> impl Strategy<Value = Message> {
    let request = prop_oneof![
        Just(Request::Ping),
        (keys(), any::<u8>()).prop_map(|(key, count)| Request::Closest { key, count }),
        (any::<u32>(), prop::option::of((prop::collection::vec(keys(), 0..70), any::<u64>()))).prop_map(
            |(known, have)| Request::Leaves {
                known,
                have: have.map(|(keys, random)| {
                    let ids: Vec<_> = keys.iter().map(|key| NodeId::from_bytes(*key.as_bytes())).collect();
                    ShortIds::of(ids.iter(), random)
                }),
            }
        ),
        keys().prop_map(|key| Request::Reach { peer: NodeId::from_bytes(*key.as_bytes()) }),
    ];
    let many = || prop::collection::vec(peers(), 0..20);
    let response = prop_oneof![
        Just(Response::Pong),
        (many(), any::<bool>()).prop_map(|(peers, covered)| Response::Closest { peers, covered }),
        (many(), any::<u32>(), any::<[u64; 2]>(), any::<u64>()).prop_map(|(peers, digest, reach, shared)| {
            Response::Leaves { digest, reach: reach.map(Reach), shared, peers }
        }),
        Just(Response::LeavesUnchanged),
        Just(Response::LeavesChanged),
        any::<bool>().prop_map(Response::Reached),
    ];
    let notice = prop_oneof![
        peers().prop_map(|peer| Notice::Record((*peer).clone())),
        Just(Notice::Leaving),
        keys().prop_map(|key| Notice::Down(NodeId::from_bytes(*key.as_bytes()))),
    ];
    prop_oneof![
        (any::<u32>(), request).prop_map(|(id, request)| Message::Request(CallId(id), request)),
        (any::<u32>(), response).prop_map(|(id, response)| Message::Response(CallId(id), response)),
        notice.prop_map(Message::Notice),
        meetings(),
    ]
}

/// How many peers a message names.
fn named(message: &Message) -> &[Peer] {
    match message {
        Message::Response(_, Response::Closest { peers, .. } | Response::Leaves { peers, .. }) => peers,
        Message::Response(
            _,
            Response::Rendezvous(
                RendezvousResponse::Kept { region }
                | RendezvousResponse::Unknown { region }
                | RendezvousResponse::Refused { region, .. }
                | RendezvousResponse::Heads { region, .. },
            ),
        ) => region,
        _ => &[],
    }
}

proptest! {
    #[test]
    fn ids_survive_text(key in keys()) {
        prop_assert_eq!(key.to_string().parse::<Key>().unwrap(), key);
        prop_assert_eq!(key.to_string().to_uppercase().parse::<Key>().unwrap(), key);
    }

    #[test]
    fn text_that_is_no_id_is_refused(text in ".{0,80}") {
        if let Ok(key) = text.parse::<Key>() {
            prop_assert_eq!(key.to_string(), text.to_lowercase());
        }
    }

    #[test]
    fn distances_behave(metric in metrics(), a in keys(), b in keys(), c in keys()) {
        prop_assert_eq!(metric.distance(&a, &a), Distance::ZERO);
        prop_assert_eq!(a == b, metric.distance(&a, &b) == Distance::ZERO);
        if metric != AnyMetric::Classic {
            prop_assert_eq!(metric.distance(&a, &b), metric.distance(&b, &a));
        }
        let (x, y) = (NodeId::from_bytes(*a.as_bytes()), NodeId::from_bytes(*b.as_bytes()));
        prop_assert_eq!(metric.closer(&c, &x, &y), metric.closer(&c, &y, &x).reverse());
        prop_assert_eq!(metric.closer(&c, &x, &y).is_eq(), a == b);
    }

    /// Rows divide the space: their order is that of the offsets, and a key drawn in a row lies in it.
    #[test]
    fn rows_divide_the_space(metric in metrics(), bits in 1u32..=4, me in keys(), a in keys(), random in keys()) {
        match metric.row(&me, &a, bits) {
            None => prop_assert_eq!(me, a),
            Some(row) => {
                prop_assert!(row.digit >= 1 && u32::from(row.digit) < 1 << bits);
                let drawn = metric.key_in_row(&me, row, &random, bits);
                // On the two-sided ring the farthest row ends at the opposite point, in the middle of a digit.
                let folded = metric == AnyMetric::Ring && metric.row(&me, &drawn, bits).map(|r| r.direction) != Some(row.direction);
                prop_assert!(folded || metric.row(&me, &drawn, bits) == Some(row));
            }
        }
    }

    /// A member of the row of a key is nearer to the key than this node: greedy routing always gets on.
    #[test]
    fn members_of_the_right_row_are_nearer(
        metric in prop_oneof![Just(AnyMetric::Xor), Just(AnyMetric::Ring)], me in keys(), key in keys(), random in keys(),
    ) {
        let bits = 2;
        if let Some(row) = metric.row(&me, &key, bits) {
            let member = metric.key_in_row(&me, row, &random, bits);
            if metric.row(&me, &member, bits) == Some(row) && (metric.shape() == Shape::Tree || row.direction != Direction::Both) {
                prop_assert!(metric.distance(&member, &key) < metric.distance(&me, &key));
            }
        }
    }

    #[test]
    fn bits_are_the_highest_set_bit(key in keys()) {
        let distance = AnyMetric::Xor.distance(&Key::from_bytes([0; 32]), &key);
        let leading = key.as_bytes().iter().take_while(|byte| **byte == 0).count();
        let bits = key.as_bytes().get(leading).map_or(0, |byte| 256 - 8 * leading as u32 - byte.leading_zeros());
        prop_assert_eq!(distance.bits(), bits);
        prop_assert!((0.0..=1.0).contains(&distance.fraction()));
    }

    #[test]
    fn messages_survive_the_wire(message in messages()) {
        let mut bytes = vec![7];
        message.encode(&mut bytes);
        prop_assert!(bytes.len() <= 1 + 16 * 1024);
        prop_assert_eq!(bytes[0], 7, "what was there before stays");
        prop_assert_eq!(bytes.len() - 1, message.encoded_len());
        let decoded = Message::decode(&bytes[1..]).unwrap();
        if named(&decoded).len() == named(&message).len() {
            prop_assert_eq!(decoded, message);
        } else {
            // Too long for one message: the first names are kept.
            prop_assert_eq!(named(&decoded), &named(&message)[..named(&decoded).len()]);
        }
    }

    #[test]
    fn records_survive_the_wire(peer in peers()) {
        let mut bytes = Vec::new();
        peer.encode(&mut bytes);
        prop_assert_eq!(PeerInfo::decode(&bytes).unwrap(), (*peer).clone());
    }

    #[test]
    fn random_bytes_do_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Message::decode(&bytes);
        let _ = PeerInfo::decode(&bytes);
        let mut versioned = vec![2];
        versioned.extend(bytes);
        let _ = Message::decode(&versioned);
        let _ = PeerInfo::decode(&versioned);
    }

    #[test]
    fn flipped_bits_do_no_harm(message in messages(), place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        let place = place.index(bytes.len());
        bytes[place] ^= 1 << bit;
        let _ = Message::decode(&bytes);
    }
}

/// The bytes of version 7. If this fails, the format has changed and the version must too.
#[test]
fn the_format_stays() {
    let peer = Arc::new(PeerInfo::new([1; 32], vec![Address::new(b"\x04\x7f").unwrap()], 300).unwrap());
    let zoned = (*peer).clone().in_zone(Some("attic".parse().unwrap()));
    let encode = |message: &Message| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let key = Key::from_bytes([0xab; 32]);
    let ab = "ab".repeat(32);
    let record = format!("{}ac0201{}", "01".repeat(32), "02047f00");
    let cases = [
        (Message::Request(CallId(5), Request::Ping), "07000500".to_string()),
        (Message::Request(CallId(300), Request::Closest { key, count: 20 }), format!("0700ac0201{ab}14")),
        (Message::Request(CallId(5), Request::Leaves { known: 1, have: None }), "070005020100".to_string()),
        (
            Message::Request(
                CallId(5),
                Request::Leaves { known: 1, have: Some(ShortIds::of([peer.id(), peer.id()].iter(), 27)) },
            ),
            // Place 3: the twelfth byte of the id and the next.
            "07000502010105038a8c8a8c".to_string(),
        ),
        (
            Message::Response(
                CallId(5),
                Response::Leaves {
                    digest: 1,
                    reach: [Reach(2), Reach(u64::MAX)],
                    shared: 3,
                    peers: vec![peer.clone()],
                },
            ),
            format!("070105020102{}0301{record}", "ffffffffffffffffff01"),
        ),
        (Message::Response(CallId(5), Response::LeavesChanged), "07010504".to_string()),
        (Message::Response(CallId(5), Response::Pong), "07010500".to_string()),
        (
            Message::Response(CallId(5), Response::Closest { peers: vec![peer.clone()], covered: true }),
            format!("0701050101{record}01"),
        ),
        (Message::Response(CallId(5), Response::LeavesUnchanged), "07010503".to_string()),
        (
            Message::Request(
                CallId(5),
                Request::Compare { scope: Scope::SuperPeers, digests: vec![Digest([0xcd; 8])] },
            ),
            format!("070005040101{}", "cd".repeat(8)),
        ),
        (
            Message::Notice(Notice::Gossip(Gossip::Report(vec![
                News::Member(Announcement::new(peer.clone(), true, Signature([7; 64]))),
                News::Gone { peer: (&peer.id()).into(), seq: 300 },
            ]))),
            format!("0702030602{}{record}01{}{}ac02", "00", "07".repeat(64), "01a04c9c9fb9d01d1c"),
        ),
        (Message::Notice(Notice::Leaving), "070201".to_string()),
        (Message::Notice(Notice::Record((*peer).clone())), format!("070200{record}")),
        (
            Message::Notice(Notice::Record(zoned)),
            format!("070200{}0105{}", record.trim_end_matches("00"), "6174746963"),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(encode(&message), expected, "{message:?}");
    }
    assert_eq!(peer.id(), NodeId::from_public_key(&[1; 32]));
    assert_eq!(
        NodeId::from_public_key(&[1; 32]).to_string(),
        "a04c9c9fb9d01d1caefa0c8a8c0be2fad38f2fe835700e3e77eb282366ae2909",
    );
}

/// The same of what is said about places.
#[test]
fn the_format_of_listings_and_messages_stays() {
    let encode = |message: &Message| {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let (place, signature) = (Key::from_bytes([0xab; 32]), Signature([9; 64]));
    let (ab, ones, nines) = ("ab".repeat(32), "01".repeat(32), "09".repeat(64));
    let id = ListingId { provider: [1; 32], number: 300 };
    let listing = ListingStatement { place, id, seq: 5, valid_until: 6, body: b"hi".to_vec() };
    let listing = Arc::new(listing.signed(signature).unwrap());
    let message = TopicStatement { place, publisher: [1; 32], seq: 5, body: b"hi".to_vec() };
    let message = Arc::new(message.signed(signature).unwrap());
    let item = ItemId { by: [1; 32], number: 300, seq: 5 };
    let ask = |request| Message::Request(CallId(5), Request::Rendezvous(request));
    let answer = |response| Message::Response(CallId(5), Response::Rendezvous(response));
    let region = Vec::new;
    let cases = [
        (
            ask(RendezvousRequest::Keep { item: Item::Listing(listing), region: 3 }),
            format!("070005070000{ab}{ones}ac020506026869{nines}03"),
        ),
        (
            ask(RendezvousRequest::Renew { place, number: 300, seq: 5, region: 3 }),
            format!("0700050701{ab}ac020503"),
        ),
        (
            ask(RendezvousRequest::Survey {
                place,
                kind: ItemKind::Message,
                after: Some(item),
                watch: true,
                region: 3,
            }),
            format!("0700050702{ab}0101{ones}ac02050103"),
        ),
        (
            ask(RendezvousRequest::Fetch { place, kind: ItemKind::Listing, wanted: vec![item] }),
            format!("0700050703{ab}0001{ones}ac0205"),
        ),
        (answer(RendezvousResponse::Kept { region: region() }), "070105090000".to_string()),
        (answer(RendezvousResponse::Unknown { region: region() }), "070105090100".to_string()),
        (
            answer(RendezvousResponse::Refused { why: Rejection::SubnetFull, region: region() }),
            "07010509020700".to_string(),
        ),
        (
            answer(RendezvousResponse::Heads {
                heads: vec![Head { id: item, age: 7 }],
                more: true,
                ready: false,
                region: region(),
            }),
            format!("070105090301{ones}ac020507010000"),
        ),
        (
            answer(RendezvousResponse::Items(vec![Item::Message(message.clone())])),
            format!("07010509040101{ab}{ones}05026869{nines}"),
        ),
        (Message::Notice(Notice::Rendezvous(RendezvousNotice::Changed(place))), format!("07020500{ab}")),
        (
            Message::Notice(Notice::Rendezvous(RendezvousNotice::Message(message))),
            format!("07020501{ab}{ones}05026869{nines}"),
        ),
    ];
    for (message, expected) in cases {
        assert_eq!(encode(&message), expected, "{message:?}");
    }
}

#[test]
fn broken_messages_are_told_apart() {
    let mut good = Vec::new();
    Message::Request(CallId(5), Request::Ping).encode(&mut good);
    assert_eq!(Message::decode(&[]), Err(DecodeError::Empty));
    assert_eq!(Message::decode(&vec![1; 16 * 1024 + 1]), Err(DecodeError::TooLong));
    assert_eq!(Message::decode(&[9, 0, 0]), Err(DecodeError::Version(9)));
    assert_eq!(Message::decode(&good[..good.len() - 1]), Err(DecodeError::Malformed));
    good.push(0);
    assert_eq!(Message::decode(&good), Err(DecodeError::Trailing));
}

#[test]
fn crowded_messages_are_cut_and_refused() {
    let peer = |number: u8| Arc::new(PeerInfo::new([number; 32], Vec::new(), 1).unwrap());
    let message = Message::Response(
        CallId(1),
        Response::Closest { peers: (0..100).map(peer).collect(), covered: false },
    );
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    assert_eq!(named(&Message::decode(&bytes).unwrap()), &named(&message)[..64]);
    // The same with the count pushed beyond the limit by hand.
    let mut crowded = vec![7, 1, 1, 1, 100];
    for number in 0..100 {
        crowded.extend([number; 32]);
        crowded.extend([1, 0, 0]);
    }
    crowded.push(0);
    assert_eq!(Message::decode(&crowded), Err(DecodeError::TooManyPeers));
}

#[test]
fn settings_survive_text_and_refuse_strangers() {
    let config = Config::tiny();
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Config>(&text).unwrap(), config);
    assert!(text.contains("\"stabilise_every_ms\":15000"), "{text}");
    assert_eq!(serde_json::from_str::<Config>("{}").unwrap(), Config::default());
    assert!(serde_json::from_str::<Config>(r#"{"row_actve": 3}"#).is_err());
}
