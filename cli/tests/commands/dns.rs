//! Names as DNS shows them, and keys that DNS names.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chordage_api::name::NameKey;
use hickory_proto::op::{Edns, Message, Query, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::Value;

use crate::harness::{PATIENCE, Run, Scene};

/// Daemons that answer DNS.
fn scene(nodes: usize) -> Scene {
    Scene::with_args(nodes, &["--dns", "127.0.0.1:0"])
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Of labels as they are: DNS takes every byte, and the library's own reader of texts does not take an @.
fn name(text: &str) -> Name {
    Name::from_labels(text.trim_end_matches('.').split('.').map(str::as_bytes)).unwrap()
}

/// Where a daemon answers DNS.
fn server(scene: &Scene, node: usize) -> SocketAddr {
    let status = Run::new(["status", "--json"]).api(&scene.net.data_dir(node)).succeeds();
    json(&status)["gateways"]["dns"]["listen"].as_str().unwrap().parse().unwrap()
}

fn question(text: &str, kind: RecordType, payload: Option<u16>) -> Message {
    let mut question = Message::query();
    question.add_query(Query::query(name(text), kind));
    if let Some(payload) = payload {
        let mut edns = Edns::new();
        edns.set_max_payload(payload);
        question.set_edns(edns);
    }
    question
}

fn udp(server: SocketAddr, question: &Message) -> Message {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect(server).unwrap();
    socket.send(&question.to_vec().unwrap()).unwrap();
    let mut buffer = [0; 65_535];
    let length = socket.recv(&mut buffer).unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    assert_eq!((answer.metadata.id, &answer.queries), (question.metadata.id, &question.queries));
    answer
}

fn exchange(stream: &mut TcpStream, question: &Message) -> Message {
    let bytes = question.to_vec().unwrap();
    stream.write_all(&[&(bytes.len() as u16).to_be_bytes(), &bytes[..]].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    stream.read_exact(&mut bytes).unwrap();
    Message::from_vec(&bytes).unwrap()
}

/// Asks over UDP and over TCP, which have to say the same; returns the code and what is answered.
fn dig(server: SocketAddr, text: &str, kind: RecordType) -> (ResponseCode, Vec<String>) {
    let question = question(text, kind, Some(1232));
    let answer = udp(server, &question);
    let mut stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let data = |answer: &Message| answer.answers.iter().map(|found| shown(&found.data)).collect::<Vec<_>>();
    let over_tcp = exchange(&mut stream, &question);
    assert_eq!(data(&answer), data(&over_tcp));
    assert!(answer.metadata.authoritative || answer.metadata.response_code == ResponseCode::Refused);
    if answer.metadata.response_code != ResponseCode::Refused && answer.answers.is_empty() {
        assert_eq!(answer.authorities[0].record_type(), RecordType::SOA, "{answer}");
    }
    (answer.metadata.response_code, data(&answer))
}

fn shown(data: &RData) -> String {
    match data {
        RData::TXT(text) => String::from_utf8(text.txt_data.concat()).unwrap(),
        other => other.to_string(),
    }
}

#[test]
fn names_are_answered_over_udp_and_tcp() {
    use RecordType::{A, AAAA, MX, SOA, TXT};
    let scene = scene(3);
    let servers: Vec<SocketAddr> = (0..3).map(|node| server(&scene, node)).collect();
    let key = scene.run(["name", "create", "team"]).succeeds().trim().to_owned();
    let link = scene.put(&scene.file("file", b"content"));
    let long = "long ".repeat(200);
    for (path, target) in [
        ("team/notes", &*link),
        ("team/host", "192.0.2.7"),
        ("team/host6", "2001:db8::7"),
        ("team/web/db", "db.example:5432"),
        ("team/long", &long),
    ] {
        scene.run(["name", "publish", path, target, "--ttl", "2m"]).succeeds();
    }
    let there = |data: &str| (ResponseCode::NoError, vec![data.to_owned()]);
    let (empty, nothing) = ((ResponseCode::NoError, vec![]), (ResponseCode::NXDomain, vec![]));
    assert_eq!(dig(servers[0], "notes.team.chord.alt.", TXT), there(&link));
    assert_eq!(dig(servers[0], "Host.TEAM.chord.ALT.", A), there("192.0.2.7"));
    assert_eq!(dig(servers[0], "host6.team.chord.alt.", AAAA), there("2001:db8::7"));
    assert_eq!(dig(servers[0], "host.team.chord.alt.", AAAA), empty);
    assert_eq!(dig(servers[0], "db.web.team.chord.alt.", TXT), there("db.example:5432"));
    assert_eq!(dig(servers[0], "db.web.team.chord.alt.", MX), empty);
    // Nothing stands there, but something below it: to say that it does not exist would deny that too.
    assert_eq!(dig(servers[0], "web.team.chord.alt.", TXT), empty);
    assert_eq!(dig(servers[0], "team.chord.alt.", TXT), empty);
    assert_eq!(dig(servers[0], "we.team.chord.alt.", TXT), nothing);
    assert_eq!(dig(servers[0], "x.notes.team.chord.alt.", TXT), nothing);
    assert_eq!(dig(servers[0], "chord.alt.", A), empty);
    assert_eq!(dig(servers[0], "chord.alt.", SOA).1.len(), 1);
    assert_eq!(dig(servers[0], "example.org.", A).0, ResponseCode::Refused);
    for server in &servers[1..] {
        assert_eq!(dig(*server, "host.team.chord.alt.", A), nothing, "a petname is known at one daemon");
        let bare = key.trim_start_matches('@');
        assert_eq!(dig(*server, &format!("host.{bare}.chord.alt."), A), there("192.0.2.7"));
        assert_eq!(dig(*server, &format!("host.@{bare}.chord.alt."), A), there("192.0.2.7"));
    }
    // Cut short where it does not fit, whole where it does.
    let short = udp(servers[0], &question("long.team.chord.alt.", TXT, None));
    assert!(short.metadata.truncation && short.answers.is_empty());
    let mut stream = TcpStream::connect(servers[0]).unwrap();
    for _ in 0..2 {
        let whole = exchange(&mut stream, &question("long.team.chord.alt.", TXT, None));
        assert_eq!(shown(&whole.answers[0].data), long.trim());
    }
    // Time runs, and never beyond what the record says of itself.
    let ttl = |text: &str| udp(servers[0], &question(text, A, None)).answers[0].ttl;
    assert!((1..=120).contains(&ttl("host.team.chord.alt.")));
    scene.run(["name", "publish", "team/host", "192.0.2.8", "--ttl", "2h", "--valid", "60s"]).succeeds();
    assert_eq!(
        dig(servers[0], "host.team.chord.alt.", A),
        there("192.0.2.8"),
        "what is published here is known at once"
    );
    assert!((1..=60).contains(&ttl("host.team.chord.alt.")));
    scene.run(["name", "publish", "team/we", "now there"]).succeeds();
    assert_eq!(dig(servers[0], "we.team.chord.alt.", TXT), there("now there"), "so is what was not there");
    let status = scene.run(["status"]).succeeds();
    assert!(status.contains(&format!("dns        answers for chord.alt at {}", servers[0])), "{status}");
}

/// Of a network that stands still. The daemon that is asked is a client, which keeps no records itself.
#[test]
fn what_was_known_is_answered_while_those_who_keep_it_are_silent() {
    let scene = Scene::with_daemons(3);
    let status = json(&scene.run(["status", "--json"]).succeeds());
    let (dir, network) = (scene.path("client"), scene.network());
    let flags = ["--role", "client", "--dns", "127.0.0.1:0", "--exit-on-stdin-close", "--network", &network];
    let client = Run::new(["daemon", "--bootstrap", status["listen"][0].as_str().unwrap()]);
    // Its end is that of its standard input, which goes with the child.
    let client = client.args(flags).arg("--data-dir").arg(&dir).start();
    let ask = |args: &[&str]| Run::new(args).api(&dir).output();
    crate::harness::eventually("the client has joined", || {
        let status = ask(&["status", "--json"]);
        status.status.success() && json(&String::from_utf8_lossy(&status.stdout))["state"] == "joined"
    });
    let dns =
        || json(&String::from_utf8_lossy(&ask(&["status", "--json"]).stdout))["gateways"]["dns"].clone();
    let server: SocketAddr = dns()["listen"].as_str().unwrap().parse().unwrap();

    let key = scene.run(["name", "create", "team"]).succeeds().trim().trim_start_matches('@').to_owned();
    scene.run(["name", "publish", "team/host", "192.0.2.7", "--ttl", "1s"]).succeeds();
    let text = format!("host.{key}.chord.alt.");
    assert_eq!(dig(server, &text, RecordType::A).1, ["192.0.2.7"]);
    (0..3).for_each(|node| scene.net.freeze(node).unwrap());
    // As soon as the second is over for which that may be used.
    crate::harness::eventually("it is told because it was known", || {
        let answer = udp(server, &question(&text, RecordType::A, None));
        assert_eq!(answer.answers.iter().map(|found| shown(&found.data)).collect::<Vec<_>>(), ["192.0.2.7"]);
        assert!(answer.answers[0].ttl <= 30);
        dns()["stale"] == 1
    });
    // Of what was never seen it says that it does not know, and not that it is not there.
    let begun = Instant::now();
    let stranger = NameKey([7; 32]).to_string();
    let answer = udp(server, &question(&format!("{}.chord.alt.", &stranger[1..]), RecordType::A, None));
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let dns = dns();
    assert_eq!((&dns["stale"], &dns["failed"]), (&1.into(), &1.into()), "{dns}");
    (0..3).for_each(|node| scene.net.thaw(node).unwrap());
    crate::harness::end_of(client, "the client");
}

#[test]
fn services_are_found_by_programs_that_know_only_dns() {
    use RecordType::{A, AAAA, SRV, TXT};
    let scene = scene(3);
    let server = server(&scene, 1);
    scene.run(["service", "register", "web", "--addr", "192.0.2.7:80", "--attr", "zone=attic"]).succeeds();
    let other = Run::new(["service", "register", "web", "--addr", "[2001:db8::7]:8080"]);
    other.api(&scene.net.data_dir(2)).succeeds();
    scene.run(["service", "register", "db", "--addr", "db.example:5432"]).succeeds();
    let mut stream = TcpStream::connect(server).unwrap();
    let answer = exchange(&mut stream, &question("_web._tcp.chord.alt.", SRV, None));
    let mut places: Vec<String> = answer.answers.iter().map(|record| record.data.to_string()).collect();
    places.sort();
    let (v6, v4) = ("20010db8000000000000000000000007.web.svc.chord.alt.", "c0000207.web.svc.chord.alt.");
    assert_eq!(places, [format!("0 0 80 {v4}"), format!("0 0 8080 {v6}")]);
    assert_eq!(answer.additionals.len(), 2, "{answer}");
    assert!(answer.answers[0].ttl <= 5);
    let there = |data: &str| (ResponseCode::NoError, vec![data.to_owned()]);
    let (empty, nothing) = ((ResponseCode::NoError, vec![]), (ResponseCode::NXDomain, vec![]));
    assert_eq!(dig(server, v4, A), there("192.0.2.7"));
    assert_eq!(dig(server, v6, AAAA), there("2001:db8::7"));
    assert_eq!(dig(server, v4, AAAA), empty);
    assert_eq!(dig(server, "web.svc.chord.alt.", A), there("192.0.2.7"));
    let mut attributes = dig(server, "web.svc.chord.alt.", TXT).1;
    attributes.sort();
    assert_eq!(attributes, ["", "zone=attic"]);
    assert_eq!(dig(server, "_db._udp.chord.alt.", SRV), there("0 0 5432 db.example."));
    assert_eq!(dig(server, "db.svc.chord.alt.", A), empty);
    assert_eq!(dig(server, "_mail._tcp.chord.alt.", SRV), nothing);
    assert_eq!(dig(server, "c0000208.web.svc.chord.alt.", A), nothing);
    assert_eq!(dig(server, "_tcp.chord.alt.", SRV), empty);
    scene.run(["service", "withdraw", "web"]).succeeds();
    // Asked once at a time: it may go between two questions.
    let is_gone = || udp(server, &question(v4, A, None)).metadata.response_code == ResponseCode::NXDomain;
    crate::harness::eventually("what was withdrawn is gone", is_gone);
    assert_eq!(dig(server, "web.svc.chord.alt.", AAAA), there("2001:db8::7"));
}

#[test]
fn strangers_bytes_and_crowds_leave_it_answering() {
    let scene = scene(1);
    let server = server(&scene, 0);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for seed in 0..200 {
        let mut bytes = crate::harness::noise(seed * 7 % 600, seed as u64);
        if seed % 2 == 0 && bytes.len() > 6 {
            (bytes[2], bytes[4], bytes[5]) = (0, 0, 1);
        }
        socket.send_to(&bytes, server).unwrap();
    }
    for bytes in [&b""[..], b"\0", b"\0\0", b"\0\x05abcde", b"\xff\xff\0\0\0\0", b"GET / HTTP/1.1\r\n\r\n"] {
        TcpStream::connect(server).unwrap().write_all(bytes).unwrap();
    }
    let crowd: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(server).unwrap()).collect();
    let turned_away = || {
        let status = scene.run(["status", "--json"]).succeeds();
        json(&status)["gateways"]["dns"]["turned_away"].as_u64().unwrap()
    };
    crate::harness::eventually("some are turned away", || turned_away() > 0);
    assert_eq!(udp(server, &question("chord.alt.", RecordType::SOA, None)).answers.len(), 1);
    drop(crowd);
    crate::harness::eventually("there is a place again", || {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let question = question("chord.alt.", RecordType::SOA, None).to_vec().unwrap();
        let framed = [&(question.len() as u16).to_be_bytes(), &question[..]].concat();
        stream.write_all(&framed).is_ok() && stream.read_exact(&mut [0; 2]).is_ok()
    });
}

#[test]
fn it_listens_on_loopback_alone_unless_the_settings_say_otherwise() {
    let dir = tempfile::tempdir().unwrap();
    let daemon =
        |address: &str| Run::new(["daemon", "--dns", address, "--data-dir"]).arg(dir.path().join("daemon"));
    daemon("0.0.0.0:0").fails(2, &["dns.listen = 0.0.0.0:0", "a loopback address", "beyond_loopback = true"]);
    daemon("here").fails(2, &["--dns"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    daemon(&address).fails(9, &[&*address, "in use"]);
}

/// What a resolver of DNS knows.
type Texts = Arc<Mutex<BTreeMap<Name, Vec<String>>>>;

/// A resolver that knows these texts, and says that all else does not exist. Of `silent.example` it says nothing.
fn resolver(texts: Texts) -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let question = Message::from_vec(&buffer[..length]).unwrap();
            let asked = question.queries[0].clone();
            if asked.name == name("_chordage.silent.example.") {
                continue;
            }
            let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
            match texts.lock().unwrap().get(&asked.name) {
                Some(texts) => texts.iter().for_each(|text| {
                    let data = RData::TXT(TXT::new(vec![text.clone()]));
                    answer.add_answer(Record::from_rdata(asked.name.clone(), 40, data));
                }),
                None => answer.metadata.response_code = ResponseCode::NXDomain,
            }
            answer.add_query(asked);
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    });
    address
}

#[test]
fn a_domain_leads_to_the_key_that_dns_names_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let texts = Texts::default();
    let address = resolver(texts.clone());
    let config = dir.path().join("config.toml");
    std::fs::write(&config, format!("[dns]\nresolvers = [\"{address}\"]\n")).unwrap();
    let scene = Scene::with_args(1, &["--config", config.to_str().unwrap()]);
    let own = scene.run(["name", "create", "team"]).succeeds().trim().to_owned();
    scene.run(["name", "publish", "team/notes", "found"]).succeeds();
    let (key, other) = (NameKey([7; 32]).to_string(), NameKey([8; 32]).to_string());
    let own_text = format!("pk={}", &own[1..]);
    texts.lock().unwrap().extend([
        (name("_chordage.example.org."), vec!["v=spf1 -all".to_owned(), own_text]),
        (name("_chordage.two.example."), vec![format!("pk={key}"), format!("pk={other}")]),
        (name("_chordage.none.example."), vec!["something else".to_owned()]),
        (name("_chordage.wrong.example."), vec![format!("pk={}", &key[..40])]),
    ]);
    let found = json(&scene.run(["name", "resolve", "--json", "dns:Example.ORG/notes"]).succeeds());
    assert_eq!(found["target"], "found");
    let [in_dns, signed] = &found["steps"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&in_dns["voucher"], &in_dns["domain"]), (&"dns".into(), &"_chordage.example.org".into()));
    assert_eq!((&in_dns["key"], &in_dns["agree"]), (&own.as_str().into(), &0.into()));
    assert_eq!(
        (&signed["voucher"], &signed["key"], &signed["seq"]),
        (&"key".into(), &own.as_str().into(), &1.into())
    );
    assert!(found["ttl_seconds"].as_u64().unwrap() <= 40, "{found}");
    let output = scene.run(["name", "resolve", "dns:example.org/notes"]).output();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("_chordage.example.org in DNS names") && said.contains("nobody has signed that"),
        "{said}"
    );
    let watched = scene.run(["name", "watch", "--count", "1", "dns:example.org/notes"]).succeeds();
    assert_eq!(watched, "found\n");

    let resolve = |name: &str| scene.run(["name", "resolve", "--json", name]);
    resolve("dns:two.example").fails(4, &["ambiguous", &key, &other]);
    resolve("dns:none.example/x").fails(4, &["no_such_name", "_chordage.none.example"]);
    resolve("dns:gone.example").fails(4, &["no_such_name", "names no key"]);
    resolve("dns:wrong.example").fails(4, &["no_such_name", "is no key"]);
    resolve("dns:example..org").fails(5, &["bad_name", "is no domain"]);
    resolve("dns:silent.example").fails(8, &["timed_out", "silent.example"]);
    scene.run(["name", "publish", "team", &key]).succeeds();
    resolve("dns:example.org").fails(4, &["does not exist", &key]);
}
