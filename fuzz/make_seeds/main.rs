//! Writes the seeds that carry messages, volumes and papers, in the version of today: `cargo run --bin make_seeds`.
//! What is sealed or has sums of its own stays as it is.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use chordage_api::volume::Capability;

use chordage_dht::params::WIRE_VERSION;
use chordage_dht::{
    Address, Announcement, ArcMembers, CallId, Digest, Gossip, Head, Held, IdPrefix, Item, ItemId, ItemKind,
    Key, Listing, ListingId, ListingStatement, Message, Namespace, News, NodeId, Notice, PeerInfo, Reach,
    Record, RecordName, RecordRequest, RecordResponse, RecordTag, Refusal, Rejection, RendezvousNotice,
    RendezvousRequest, RendezvousResponse, Request, Response, Scope, ShortIds, Signature, Statement,
    TopicMessage, TopicStatement, Write,
};
use chordage_storage::volume::{ChunkWriter, Content, FileNode, MapBuilder, MapRoot, NodeKind, Piece, Value};
use chordage_storage::{ChunkId, ChunkKey, ChunkRef, ChunkSink, Metadata, Pack, Redundancy};

mod networks;

// The daemon's own files, as the targets have them.
#[allow(dead_code, unreachable_pub)]
#[path = "../../node/src/network/mod.rs"]
mod network;

const CALL: CallId = CallId(5);
const SIGNATURE: Signature = Signature([3; 64]);

fn peer(number: u8) -> PeerInfo {
    let address = Address::new(&[4, 127, 0, 0, 1, 6, 18, number]).expect("short");
    PeerInfo::new([number; 32], vec![address], 2).expect("one address")
}

fn peers() -> Vec<Arc<PeerInfo>> {
    (1..=5).map(|number| Arc::new(peer(number))).collect()
}

fn record(seq: u64, value: &[u8]) -> Arc<Record> {
    let name = RecordName::new(Namespace::NAMES, [7; 32], b"salt").expect("short");
    let (valid_until, value) = (2_000_000_000, value.to_vec());
    let statement = Statement { name, seq, valid_until, ttl: 300, previous: None, value };
    Arc::new(statement.signed(SIGNATURE).expect("short"))
}

fn held(seq: u64) -> Held {
    Held { record: record(seq, b"value"), ballot: Default::default() }
}

fn place() -> Key {
    Key::from_bytes([0xab; 32])
}

/// What the first peer lists: only a provider itself brings it.
fn listing(seq: u64, body: &[u8]) -> Arc<Listing> {
    let id = ListingId { provider: [1; 32], number: 300 };
    let statement =
        ListingStatement { place: place(), id, seq, valid_until: u32::MAX.into(), body: body.to_vec() };
    Arc::new(statement.signed(SIGNATURE).expect("short"))
}

fn message() -> Arc<TopicMessage> {
    let statement = TopicStatement { place: place(), publisher: [1; 32], seq: 5, body: b"hi".to_vec() };
    Arc::new(statement.signed(SIGNATURE).expect("short"))
}

fn of_overlay() -> Vec<(&'static str, Message)> {
    let request = |request| Message::Request(CALL, request);
    let response = |response| Message::Response(CALL, response);
    let have = ShortIds::of([peer(1).id(), peer(2).id()].iter(), 3);
    let reach = [Reach(7), Reach(u64::MAX)];
    let announcement = || Announcement::new(Arc::new(peer(3)), true, SIGNATURE);
    let gone = News::Gone { peer: IdPrefix([4; 8]), seq: 2 };
    let arcs = vec![ArcMembers { arc: 0, members: vec![(IdPrefix([4; 8]), 2)] }];
    vec![
        ("ping", request(Request::Ping)),
        ("closest", request(Request::Closest { key: Key::from_bytes([5; 32]), count: 20 })),
        ("answer", response(Response::Closest { peers: peers(), covered: true })),
        ("leaves", request(Request::Leaves { known: 9, have: Some(have) })),
        ("leaves_told", response(Response::Leaves { digest: 9, reach, shared: 3, peers: peers() })),
        ("reach", request(Request::Reach { peer: peer(2).id() })),
        (
            "members_compare",
            request(Request::Compare { scope: Scope::Everybody, digests: vec![Digest([1; 8]); 2] }),
        ),
        ("members_differ", response(Response::Differences { kept: true, arcs, more: false })),
        ("members_wanted", request(Request::Records { wanted: vec![IdPrefix([4; 8])] })),
        ("members_told", response(Response::Records { records: vec![announcement()] })),
        ("gossip", Message::Notice(Notice::Gossip(Gossip::News(vec![News::Member(announcement()), gone])))),
        ("record", Message::Notice(Notice::Record(peer(4)))),
        ("leaving", Message::Notice(Notice::Leaving)),
        ("down", Message::Notice(Notice::Down(NodeId::from_bytes(*peer(2).id().as_bytes())))),
    ]
}

fn of_records() -> Vec<(&'static str, Message)> {
    let request = |request| Message::Request(CALL, Request::Record(request));
    let response = |response| Message::Response(CALL, Response::Record(response));
    let (address, region) = (*record(1, b"").address(), 7);
    let prepare = Some(Default::default());
    let tags = vec![RecordTag { prefix: 1, seq: 2, tag: 3 }];
    let write = Write::Repair(Default::default());
    let state = RecordResponse::State {
        ready: true,
        promised: Default::default(),
        held: Some(held(1)),
        region: peers(),
    };
    let why = Refusal::SubnetFull;
    vec![
        ("record_read", request(RecordRequest::Read { address, prepare, region })),
        ("record_watch", request(RecordRequest::Watch { address, region })),
        ("record_write", request(RecordRequest::Write { record: record(1, b"value"), write, region })),
        ("record_compare", request(RecordRequest::Compare { digests: vec![1, 2, 3, 4], around: 9 })),
        ("record_give", request(RecordRequest::Give(vec![held(1), held(2)]))),
        ("record_want", request(RecordRequest::Want(vec![1, 2]))),
        ("record_state", response(state)),
        ("record_stored", response(RecordResponse::Stored { region: Vec::new() })),
        ("record_newer", response(RecordResponse::Newer { held: held(2), region: Vec::new() })),
        ("record_refused", response(RecordResponse::Refused { why, region: vec![Arc::new(peer(1))] })),
        (
            "record_differences",
            response(RecordResponse::Differences { parts: vec![0], tags, more: false, agreed: true }),
        ),
        ("record_given", response(RecordResponse::Given(vec![held(1)]))),
        ("record_changed", Message::Notice(Notice::RecordChanged(held(1)))),
    ]
}

fn of_places() -> Vec<(&'static str, Message)> {
    let request = |request| Message::Request(CALL, Request::Rendezvous(request));
    let response = |response| Message::Response(CALL, Response::Rendezvous(response));
    let (place, region) = (place(), 3);
    let id = ItemId { by: [1; 32], number: 300, seq: 5 };
    let keep = |item| request(RendezvousRequest::Keep { item, region });
    let survey = |kind, after| request(RendezvousRequest::Survey { place, kind, after, watch: true, region });
    let heads = vec![Head { id, age: 4 }];
    vec![
        ("place_keep_listing", keep(Item::Listing(listing(5, b"hi")))),
        ("place_keep_message", keep(Item::Message(message()))),
        ("place_renew", request(RendezvousRequest::Renew { place, number: 300, seq: 5, region })),
        ("place_survey", survey(ItemKind::Message, Some(id))),
        ("place_survey_listings", survey(ItemKind::Listing, None)),
        (
            "place_fetch",
            request(RendezvousRequest::Fetch { place, kind: ItemKind::Listing, wanted: vec![id] }),
        ),
        ("place_withdraw", keep(Item::Listing(listing(6, b"")))),
        ("place_kept", response(RendezvousResponse::Kept { region: Vec::new() })),
        (
            "place_heads",
            response(RendezvousResponse::Heads { heads, more: false, ready: true, region: Vec::new() }),
        ),
        ("place_items", response(RendezvousResponse::Items(vec![Item::Message(message())]))),
        (
            "place_refused",
            response(RendezvousResponse::Refused { why: Rejection::SubnetFull, region: Vec::new() }),
        ),
        ("place_changed", Message::Notice(Notice::Rendezvous(RendezvousNotice::Changed(place)))),
        ("place_pushed", Message::Notice(Notice::Rendezvous(RendezvousNotice::Message(message())))),
    ]
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut bytes = Vec::new();
    message.encode(&mut bytes);
    assert_eq!(Message::decode(&bytes).as_ref(), Ok(message));
    bytes
}

/// As the target `overlay` reads it: a sender, tenths of a second, a length and a message, one after the other.
fn conversation(messages: &[(&'static str, Message)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (_, message) in messages {
        let body = encoded(message);
        if let Ok(len) = u8::try_from(body.len()) {
            bytes.extend([1, 3, len]);
            bytes.extend(body);
        }
    }
    bytes
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let len = u16::try_from(body.len()).expect("short");
    [&len.to_be_bytes()[..], &[tag], body].concat()
}

fn put(target: &str, name: &str, bytes: &[u8]) {
    let dir = format!("{}/seeds/{target}", env!("CARGO_MANIFEST_DIR"));
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(format!("{dir}/{name}"), bytes).expect("writable");
}

/// A service, a name's record and a card, as strangers say them.
fn of_programs() {
    let attrs = BTreeMap::from([("zone", "a"), ("proto", "http")]);
    let service = postcard::to_allocvec(&("db.example.org:5432", &attrs)).expect("it is in memory");
    put("service", "name", &[&[1][..], &service].concat());
    let service = postcard::to_allocvec(&("[fd00::1]:80", &attrs)).expect("it is in memory");
    put("service", "address", &[&[1][..], &service].concat());
    // Path, kind of target and target: a text and a delegation.
    let mut name = b"web/db/x\0\x01\x02\x00\x02\x05hello\x03web\x03".to_vec();
    name.extend([7; 32]);
    put("name", "delegation", &name);
    let network = blake3::derive_key("chordage 2026 network fingerprint", b"ring\0a");
    let network = format!("net={}", data_encoding::HEXLOWER.encode(&network[..16]));
    let id = "id=12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X";
    let mut card = vec![2, 192, 168, 1, 9, 10, 0, 0, 1];
    for text in ["v=1", &network, id, "tcp4=4700", "quic4=4701"] {
        card.push(u8::try_from(text.len()).expect("short"));
        card.extend(text.as_bytes());
    }
    put("card", "daemon", &card);
}

/// Chunks of a map, one behind the other: the first byte of an id says which it is.
#[derive(Default)]
struct Chunks {
    all: Vec<Vec<u8>>,
    settled: usize,
}

fn chunk(number: u8, plain_len: usize) -> ChunkRef {
    let (id, key) = (ChunkId([number; 32]), ChunkKey([7; 32]));
    ChunkRef { id, key, plain_len: plain_len as u32, redundancy: Redundancy::new(2, 3).ok() }
}

impl ChunkSink for Chunks {
    type Error = std::convert::Infallible;

    fn submit(&mut self, pack: Pack) -> Result<(), Self::Error> {
        self.all.push(pack.to_vec());
        Ok(())
    }

    fn barrier(&mut self) -> Result<Vec<ChunkRef>, Self::Error> {
        let settled = std::mem::replace(&mut self.settled, self.all.len());
        Ok((settled..self.all.len()).map(|number| chunk(number as u8, self.all[number].len())).collect())
    }
}

/// A map as the target `volume_map` reads it: the level of its root, and chunks behind their lengths, the root last.
fn map(content: &BTreeMap<Vec<u8>, Value>) -> (MapRoot, Vec<u8>) {
    let mut writer = ChunkWriter::new(Chunks::default());
    let mut builder = MapBuilder::new();
    for (key, value) in content {
        builder.push(&mut writer, key.clone(), value.clone()).expect("in order");
    }
    let root = builder.finish(&mut writer).expect("in memory");
    let mut bytes = vec![root.level];
    for chunk in writer.into_sink().all {
        bytes.extend((chunk.len() as u16).to_le_bytes());
        bytes.extend(chunk);
    }
    (root, bytes)
}

fn entry(kind: NodeKind) -> FileNode {
    FileNode {
        kind,
        metadata: Metadata { mode: 0o644, mtime_s: -5, mtime_ns: 7 },
        uid: 1000,
        gid: 100,
        user: b"ada".to_vec(),
        group: Vec::new(),
        xattrs: vec![(b"user.a".to_vec(), b"b".to_vec())],
        link_group: 1,
    }
}

fn of_volumes() {
    let value = |chunks: u8| Value {
        bytes: vec![5; 3],
        chunks: (100..100 + chunks).map(|at| chunk(at, 9)).collect(),
    };
    let few = [("a", value(0)), ("a/b", value(1)), ("b", value(9))]
        .map(|(key, value)| (key.as_bytes().to_vec(), value));
    put("volume_map", "leaf", &map(&few.into()).1);
    let two_leaves = (64..2000u32).find_map(|count| {
        let key = |number: u32| format!("{number:03x}").into_bytes();
        let (root, bytes) = map(&(0..count).map(|number| (key(number), Value::default())).collect());
        (root.level == 1).then_some((root, bytes))
    });
    let (root, bytes) = two_leaves.expect("nodes are cut");
    put("volume_map", "two_leaves", &bytes);
    put("volume_head", "root", &root.encode());
    put("volume_value", "value", &[&[0, 3, 1, 2, 3][..], &chunk(1, 9).encode()].concat());
    // Two pieces of one chunk, and one of another, around holes.
    let piece =
        |number: u8, offset, len| Piece { chunk: chunk(number, 1000 * usize::from(number)), offset, len };
    let pieces = vec![piece(1, 0, 10), piece(2, 5, 10), piece(1, 20, 10)];
    let segments = Some(vec![(5, 20), (50, 10)]);
    for (name, kind) in [
        ("file", NodeKind::File(Content { size: 100, segments, pieces })),
        ("directory", NodeKind::Directory),
        ("symlink", NodeKind::Symlink(b"../a".to_vec())),
        ("device", NodeKind::BlockDevice { major: 8, minor: 1 }),
    ] {
        put("file_entry", name, &[&[2][..], &entry(kind).to_value().bytes].concat());
    }
    let capabilities = [
        ("write", Capability::Write { secret: [3; 32] }),
        ("read", Capability::Read { volume: [1; 32], read_key: [2; 32] }),
    ];
    for (name, capability) in capabilities {
        put("capability", name, capability.to_string().as_bytes());
    }
    let id = "00112233445566778899aabbccddeeff".repeat(2);
    put("restic_path", "file", format!("/alice/my-laptop/data/{id}").as_bytes());
    put("restic_path", "config", b"/a%40b.example/caf%C3%A9/config");
    put("restic_path", "petname", b"restic._41lice_40x.a_5fb");
}

fn main() {
    for (name, message) in [of_overlay(), of_records(), of_places()].concat() {
        put("message", name, &encoded(&message));
    }
    put("overlay", "conversation", &conversation(&of_overlay()));
    put("overlay", "records", &conversation(&of_records()));
    put("overlay", "places", &conversation(&of_places()));
    let mut record = Vec::new();
    peer(7).encode(&mut record);
    assert_eq!(record.first(), Some(&WIRE_VERSION));
    put("peer", "record", &record);
    let frames = of_overlay().iter().map(|(_, message)| frame(1, &encoded(message))).collect::<Vec<_>>();
    put("frames", "conversation", &[vec![frame(0, &record)], frames].concat().concat());
    put("place_item", "listing", &postcard::to_allocvec(&*listing(5, b"hi")).expect("it is in memory"));
    put("place_item", "message", &postcard::to_allocvec(&*message()).expect("it is in memory"));
    of_programs();
    of_volumes();
    networks::all();
}
