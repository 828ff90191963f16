//! A short chaos run; longer ones are `chordage testnet chaos`.

use crate::harness::{PATIENCE, chordage, json_of};

#[tokio::test]
async fn nothing_acknowledged_is_lost_or_altered_in_a_storm() {
    let temp = tempfile::tempdir().unwrap();
    let mut command = chordage(["testnet", "chaos", "--json", "--seed", "11", "--minutes", "0.01"]);
    command.args(["--nodes", "7", "--redundancy", "2/5", "--hits", "2"]).env("TMPDIR", temp.path());
    let output = tokio::time::timeout(2 * PATIENCE, command.output()).await.expect("it ends").unwrap();
    let report = json_of(&output);
    assert!(report["storms"].as_u64().unwrap() >= 1, "{report}");
    assert!(report["gets"].as_u64().unwrap() > 0 && report["objects"].as_u64().unwrap() > 0, "{report}");
    for wrong in ["altered", "lost", "late", "unexplained", "left"] {
        assert_eq!(report[wrong], 0, "replay: chordage testnet chaos --seed 11 ...: {report}");
    }
    assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0, "nothing is left behind");
}
