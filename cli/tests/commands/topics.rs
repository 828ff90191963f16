//! Messages of topics, and those who listen.

use crate::harness::{PATIENCE, Scene, end_of};
use crate::services::{ask, json, lines_of};

#[test]
fn every_subscriber_hears_every_message_once_and_latecomers_the_last_ones() {
    let scene = Scene::with_daemons(5);
    let publish = |node: usize, text: &str| {
        json(&ask(&scene, node, &["topic", "publish", "team/news", text, "--json"]).succeeds())
    };
    let report = publish(0, "first");
    assert_eq!((&report["topic"], &report["of"]), (&"team/news".into(), &5.into()), "{report}");
    assert!(report["stored"].as_u64().unwrap() >= 3, "{report}");
    publish(1, "second");
    let subscribe = |node: usize, args: &[&str]| {
        lines_of(ask(&scene, node, &["topic", "subscribe", "team/news", "--json"]).args(args))
    };
    let both: Vec<_> = (2..4).map(|node| subscribe(node, &["--last", "5", "--count", "5"])).collect();
    for (_, lines) in &both {
        for (node, text) in [(0, "first"), (1, "second")] {
            let message = json(&lines.recv_timeout(PATIENCE).unwrap());
            let publisher = scene.net.id(node).unwrap().to_string();
            assert_eq!(
                (&message["text"], &message["publisher"]),
                (&text.into(), &publisher.into()),
                "{message}"
            );
            let micros = message["seq"].as_u64().unwrap() as f64;
            assert!((message["time"].as_f64().unwrap() - micros / 1e6).abs() < 1.0, "{message}");
        }
    }
    for text in ["third", "fourth", "fifth"] {
        publish(0, text);
    }
    for (child, lines) in both {
        for text in ["third", "fourth", "fifth"] {
            assert_eq!(json(&lines.recv_timeout(PATIENCE).unwrap())["text"], text);
        }
        assert!(end_of(child, "topic subscribe").status.success());
        assert!(lines.recv_timeout(PATIENCE).is_err(), "each comes once");
    }
    let (child, lines) = subscribe(4, &["--last", "2", "--count", "2"]);
    assert!(end_of(child, "topic subscribe").status.success());
    let told: Vec<_> = lines.iter().map(|line| json(&line)["text"].clone()).collect();
    assert_eq!(told, ["fourth", "fifth"]);
}

#[test]
fn messages_come_from_arguments_and_pipes_and_may_be_of_any_bytes() {
    let scene = Scene::with_daemons(1);
    scene.run(["topic", "publish", "t", "--", "--dashed"]).succeeds();
    scene.run(["topic", "publish", "t", "-"]).stdin(b"from a pipe\n").succeeds();
    scene.run(["topic", "publish", "t"]).stdin(b"\xff\x1b[2J").succeeds();
    scene.run(["topic", "publish", "t", &"x".repeat(4096)]).succeeds();
    let told = scene.run(["topic", "subscribe", "t", "--last", "9", "--count", "4"]).succeeds();
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told[..3], ["--dashed", "from a pipe", r"\xFF\u{1b}[2J"]);
    assert_eq!(told[3].len(), 4096);
    let told = scene.run(["topic", "subscribe", "t", "--last", "2", "--count", "1", "--json"]).succeeds();
    let message = json(&told);
    assert_eq!((&message["data"], message.get("text")), (&"/xtbMko=".into(), None));
    scene.run(["topic", "publish", "t", &"x".repeat(4097)]).fails(2, &["at most 4096 bytes", "chordage put"]);
    scene.run(["topic", "publish", "t"]).stdin(&vec![b'x'; 100_000]).fails(2, &["at most 4096 bytes"]);
    scene.run(["topic", "publish", "No", "x"]).fails(5, &["'N'", "a-z 0-9"]);
    scene.run(["topic", "subscribe", "a b"]).fails(5, &["' '"]);
}
