//! Tasks of a daemon that end although nobody asked them to: it ends with them, or starts them again and says so.

use std::fs;

use chordage_testnet::{Plan, Testnet, wait_until};

use crate::harness::{Net, PATIENCE, PROGRAM, chordage, finish, last_json, random_bytes, shown};

#[tokio::test]
async fn without_a_task_that_it_cannot_do_without_a_daemon_ends_and_says_why() {
    for task in ["driver", "api", "shard-writer"] {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.toml"), format!("debug_panic_task = \"{task}\"\n")).unwrap();
        let mut command = chordage(["daemon", "--json", "--data-dir"]);
        command.arg(dir.path());
        let output = finish(command).await;
        assert_eq!(output.status.code(), Some(1), "{}", shown(&output));
        let error = last_json(&output.stderr);
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(task) && message.contains("debug_panic_task asks for it"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("start it again"), "{error}");
        // Nobody is sent to a daemon that is gone.
        assert!(!dir.path().join("api").exists());
    }
}

#[tokio::test]
async fn a_task_in_the_background_that_panics_is_started_again_while_all_else_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let settings = dir.path().join("settings.toml");
    fs::write(&settings, "debug_panic_task = \"freeing\"\n").unwrap();
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), 1);
    plan.daemon_args = vec!["--config".into(), settings.display().to_string()];
    let net = Net::of(Testnet::start(plan).await.unwrap(), dir);
    let again = || async {
        let status = net.net.status(0).await.map_err(|error| error.to_string())?;
        match &status.mishaps.restarted_tasks[..] {
            [task] if task.restarts >= 2 => Ok(task.clone()),
            other => Err(format!("{other:?}")),
        }
    };
    let task = wait_until("it is started again twice", PATIENCE, again).await.unwrap();
    assert_eq!(task.name, "freeing");
    assert_eq!(task.last_reason, "it panicked: debug_panic_task asks for it");
    let text = net.run(0, ["status"], [] as [&str; 0]).await;
    assert!(String::from_utf8_lossy(&text.stdout).contains("freeing was started again"), "{}", shown(&text));
    let log = fs::read_to_string(net.net.log(0)).unwrap();
    assert!(log.matches("started again after a pause").count() >= 2, "{log}");

    let link = net.put(0, "1/1", &net.random_file("file", 300_000, 1)).await;
    assert!(net.get(0, &link, "came").await == random_bytes(300_000, 1));
}
