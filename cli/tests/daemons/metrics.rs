//! What a daemon counts, and what its page is told, as Prometheus and a browser ask for it.

use std::io::Write;
use std::process::{Command, Stdio};

use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{IMPATIENT, Net, PATIENCE, chordage, finish, json_of};
use crate::web::{Answer, ask};

/// A network each of whose daemons serves browsers.
async fn watched(nodes: usize) -> Net {
    Net::with_settings(nodes, &format!("{IMPATIENT}[gateway]\nlisten = \"127.0.0.1:0\"\n")).await
}

async fn asked(net: &Net, node: usize, path: &str, headers: &[(&str, &str)]) -> Answer {
    let address = net.net.status(node).await.unwrap().gateways.web.unwrap().listen;
    ask(&address, "GET", path, headers, b"").await
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there: {text}")).parse().unwrap()
}

fn series(text: &str) -> usize {
    text.lines().filter(|line| !line.starts_with('#')).count()
}

/// What Prometheus' own tool says of it; nothing where there is none.
fn promtool(arguments: &[&str], input: &str) -> Option<String> {
    let mut command = Command::new("promtool");
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut child) = command.spawn() else {
        eprintln!("skipped: promtool is not installed");
        return None;
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{said}");
    Some(said)
}

#[tokio::test]
async fn risks_show_in_the_series_and_on_the_page_and_are_gone_after_repair() {
    let mut net = watched(6).await;
    let before = asked(&net, 0, "/metrics", &[]).await;
    assert_eq!(
        (before.status, before.header("content-type")),
        (200, "text/plain; version=0.0.4; charset=utf-8")
    );
    if let Some(said) = promtool(&["check", "metrics"], &before.text()) {
        assert_eq!(said.trim(), "", "promtool has something to say");
    }
    let open = asked(&net, 0, "/metrics", &[("accept", "application/openmetrics-text")]).await;
    assert!(open.header("content-type").starts_with("application/openmetrics-text; version=1.0.0"));
    assert!(open.text().ends_with("# EOF\n"), "{}", open.text());

    for seed in 0..8 {
        let link = net.put(0, "2/6", &net.random_file(&format!("file {seed}"), 100_000, seed)).await;
        net.wait_whole(0, &link).await;
    }
    let safe = async |net: &Net| {
        let text = asked(net, 0, "/metrics", &[]).await.text();
        let risky = value(&text, "chordage_chunks_at_risk");
        let unknown = value(&text, "chordage_chunks{state=\"unknown\"}");
        if risky == 0.0 && unknown == 0.0 {
            Ok(text)
        } else {
            Err(format!("{risky} at risk, {unknown} unknown"))
        }
    };
    // Before it has heard of them nothing is at risk either.
    let surveyed = async || {
        let text = safe(&net).await?;
        let whole = value(&text, "chordage_chunks{state=\"whole\"}");
        if whole >= 8.0 { Ok(text) } else { Err(format!("{whole} whole")) }
    };
    let text = wait_until("all are known and nothing is at risk", PATIENCE, surveyed).await.unwrap();
    assert_eq!(value(&text, "chordage_kept_objects"), 8.0);
    assert_eq!(value(&text, "chordage_request_seconds_count{operation=\"put\"}"), 8.0);
    assert_eq!(series(&text), series(&before.text()), "what is stored makes no series");

    // Of 4 that can be spared 2 may go without a risk; the third makes one.
    net.net.kill(&[3, 4, 5]).unwrap();
    let dead = async || {
        let now: Value = serde_json::from_str(&asked(&net, 0, "/-/now.json", &[]).await.text()).unwrap();
        let dead =
            now["members"].as_array().unwrap().iter().filter(|member| member["state"] == "dead").count();
        if dead == 3 { Ok(now) } else { Err(now["members"].to_string()) }
    };
    let now = wait_until("the page is told who is dead", PATIENCE, dead).await.unwrap();
    assert_eq!(now["status"]["state"], "joined", "{now}");
    let risky = async || {
        let risky = value(&asked(&net, 0, "/metrics", &[]).await.text(), "chordage_chunks_at_risk");
        if risky > 0.0 { Ok(()) } else { Err("nothing is at risk") }
    };
    wait_until("chunks are at risk", PATIENCE, risky).await.unwrap();
    let mut command = chordage(["doctor", "--quick", "--json"]);
    command.arg("--api").arg(net.net.data_dir(0));
    let checks = json_of(&finish(command).await);
    let shards = checks.as_array().unwrap().iter().find(|check| check["check"] == "shards").unwrap();
    assert_eq!(shards["state"], "warning", "{checks}");
    assert!(shards["remedy"].as_str().unwrap().contains("chordage members"), "{checks}");

    net.net.grow(9).await.unwrap();
    wait_until("repair has ended the risk", PATIENCE, async || safe(&net).await).await.unwrap();
}

#[tokio::test]
async fn the_page_is_told_only_by_itself() {
    let net = watched(3).await;
    let link = net.put(0, "1/3", &net.random_file("a file", 10_000, 1)).await;
    let page = asked(&net, 0, "/-/dashboard", &[]).await;
    assert!(page.status == 200 && page.text().contains("<svg id=\"ring\""), "{}", page.text());
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(asked(&net, 0, "/-/dashboard.js", &[]).await.status, 200);

    let json = async |path: &str| -> Value {
        let answer = asked(&net, 0, path, &[]).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        serde_json::from_str(&answer.text()).unwrap()
    };
    let kept = json("/-/kept.json").await;
    assert_eq!((&kept["objects"], &kept["shown"][0]["name"]), (&1.into(), &"a file".into()), "{kept}");
    assert_eq!(kept["shown"][0]["safety"]["unreadable"], 0, "{kept}");
    assert!(!kept.to_string().contains(&link[7..]), "a link is a secret");
    let trace = json(&format!("/-/trace.json?key={}", "7".repeat(64))).await;
    assert!(trace["owner"].is_string() && trace["hops"].is_array(), "{trace}");
    assert!(json("/-/doctor.json").await["checks"].as_array().unwrap().len() > 10);

    for (path, headers, status) in [
        ("/-/now.json", &[("sec-fetch-site", "cross-site")][..], 403),
        ("/-/doctor.json", &[("origin", "null")], 403),
        ("/-/now.json", &[("host", "evil.example")], 403),
        ("/metrics", &[("host", "evil.example")], 403),
        ("/-/trace.json?key=", &[], 400),
        ("/-/trace.json?key=xyz", &[], 400),
        ("/-/nothing.json", &[], 404),
    ] {
        let answer = asked(&net, 0, path, headers).await;
        assert_eq!(answer.status, status, "{path} {headers:?}: {}", answer.text());
    }
}

#[test]
fn the_alerts_say_what_they_are_tested_to_say() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitoring/chordage.rules.yml");
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/monitoring/chordage.rules.test.yml");
    promtool(&["check", "rules", rules], "");
    promtool(&["test", "rules", tests], "");
}

/// Alerts and the picture name series that there are.
#[tokio::test]
async fn what_is_watched_is_there() {
    let net = watched(1).await;
    let text = asked(&net, 0, "/metrics", &[]).await.text();
    for file in ["chordage.rules.yml", "grafana.json"] {
        let path = format!("{}/../docs/monitoring/{file}", env!("CARGO_MANIFEST_DIR"));
        let named = std::fs::read_to_string(path).unwrap();
        let mut seen = 0;
        for word in named.split(|c: char| !(c.is_ascii_lowercase() || c == '_')) {
            if word.starts_with("chordage_") {
                assert!(text.lines().any(|line| line.starts_with(word)), "{file}: {word}");
                seen += 1;
            }
        }
        assert!(seen > 5, "{file} is not understood");
    }
}
