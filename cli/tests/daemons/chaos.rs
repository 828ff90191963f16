//! A short chaos run; longer ones are `chordage testnet chaos`.

use crate::harness::{PATIENCE, chordage, json_of};

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_altered_in_a_storm() {
    chaos(&["--seed", "11", "--minutes", "0.01", "--faults", "kill,stop,corrupt,books,clock,twin,drain"])
        .await;
}

#[tokio::test]
async fn nor_when_packets_are_lost_and_disks_are_full() {
    let allowed = chordage_testnet::chaos::seclusion::available();
    if let Err(problem) = allowed {
        eprintln!("skipped: this system gives its users no network of their own ({problem})");
        return;
    }
    let faults = "isolate,one-way,loss,narrow,no-tcp,no-quic,fill,cut,slow";
    let report = chaos(&["--seed", "12", "--minutes", "0.3", "--faults", faults]).await;
    assert!(report["lost_packets"].as_u64().unwrap() > 0, "{report}");
}

/// Runs chaos on a small network. Returns its report, in which nothing is wrong.
async fn chaos(args: &[&str]) -> serde_json::Value {
    let temp = tempfile::tempdir().unwrap();
    let mut command =
        chordage(["testnet", "chaos", "--json", "--nodes", "7", "--redundancy", "2/5", "--hits", "2"]);
    command.args(args).env("TMPDIR", temp.path());
    let output = tokio::time::timeout(3 * PATIENCE, command.output()).await.expect("it ends").unwrap();
    let report = json_of(&output);
    let replay = format!("replay: chordage testnet chaos {}", args.join(" "));
    assert!(report["storms"].as_u64().unwrap() >= 1, "{replay}: {report}");
    assert!(
        report["gets"].as_u64().unwrap() > 0 && report["objects"].as_u64().unwrap() > 0,
        "{replay}: {report}"
    );
    for wrong in ["altered", "lost", "late", "unexplained", "left"] {
        assert_eq!(report[wrong], 0, "{replay}: {report}");
    }
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "nothing is left behind");
    report
}
