//! What a daemon says when it starts with files that were damaged, cut off or lost.

use std::fs;

use crate::harness::{Net, PATIENCE, chordage, finish, last_json, shown};

#[tokio::test]
async fn a_flipped_byte_in_a_secret_keeps_the_daemon_from_starting_as_somebody_else() {
    let mut net = Net::start(1).await;
    let before = net.net.status(0).await.unwrap().id;
    net.net.stop(&[0], PATIENCE).await.unwrap();
    let data_dir = net.net.data_dir(0);
    for (name, byte) in [("key", 5), ("secret", 31)] {
        let good = fs::read(data_dir.join(name)).unwrap();
        let mut bad = good.clone();
        bad[byte] ^= 1;
        fs::write(data_dir.join(name), &bad).unwrap();

        let mut command = chordage(["daemon", "--json", "--data-dir"]);
        command.arg(&data_dir);
        let output = finish(command).await;
        assert_eq!(output.status.code(), Some(7), "{}", shown(&output));
        let problem = last_json(&output.stderr);
        assert_eq!(problem["code"], "data_dir");
        for (field, part) in
            [("message", format!("{name} is damaged")), ("hint", "restore this file from a copy".into())]
        {
            assert!(problem[field].as_str().unwrap().contains(&part), "{problem}");
        }
        assert_eq!(fs::read(data_dir.join(name)).unwrap(), bad, "it is left for whoever looks into it");
        fs::write(data_dir.join(name), good).unwrap();
    }
    net.net.restart(&[0]).await.unwrap();
    assert_eq!(net.net.status(0).await.unwrap().id, before);
}
