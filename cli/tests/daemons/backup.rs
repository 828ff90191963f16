//! Backups on real daemons, two of which are killed: the story that the tour tells.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{Net, PATIENCE, chordage, json_of, random_bytes, shown};
use crate::walked::assert_same;

/// Files of the story, and bytes in each.
const FILES: usize = 200;
const BYTES: usize = 50_000;

fn number(of: &Value, field: &str) -> u64 {
    of[field].as_u64().unwrap_or_else(|| panic!("no {field} in {of}"))
}

async fn run(net: &Net, node: usize, args: &[&str]) -> Value {
    json_of(&net.run(node, ["backup", "--json"], args).await)
}

/// The objects that a command prints, one a line.
async fn lines(net: &Net, node: usize, args: &[&str]) -> Vec<Value> {
    let output = net.run(node, ["backup", "--json"], args).await;
    assert!(output.status.success(), "{}", shown(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn home_of(net: &Net) -> String {
    let home = net.path("home");
    for number in 0..FILES {
        let dir = home.join(format!("{:02}", number % 20));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join(number.to_string()), random_bytes(BYTES, number as u64)).unwrap();
    }
    symlink("00/0", home.join("link")).unwrap();
    fs::hard_link(home.join("00/0"), home.join("name")).unwrap();
    fs::set_permissions(home.join("01"), fs::Permissions::from_mode(0o2750)).unwrap();
    fs::canonicalize(home).unwrap().to_str().unwrap().to_owned()
}

#[tokio::test]
async fn everything_comes_back_when_two_daemons_are_gone() {
    let mut net = Net::start(8).await;
    let home = home_of(&net);
    run(&net, 0, &["init"]).await;
    let first = run(&net, 0, &["create", &home]).await;
    // One of the files has two names.
    assert_eq!(
        (number(&first, "files"), number(&first, "bytes")),
        (FILES as u64 + 1, (FILES * BYTES) as u64),
        "{first}"
    );
    assert_eq!((number(&first, "unreadable"), number(&first, "unchanged_files")), (0, 0));
    // Files that have just been written are read again, until a further change would show.
    let all_unchanged = async || match run(&net, 0, &["create", &home]).await {
        same if number(&same, "unchanged_files") >= FILES as u64 => Ok(same),
        same => Err(same.to_string()),
    };
    let same = wait_until("files that are known are not read", PATIENCE, all_unchanged).await.unwrap();
    assert_eq!(number(&same, "new_bytes"), 0, "{same}");
    assert!(number(&same, "sent_bytes") < number(&first, "sent_bytes") / 20, "{same}");

    // Two of a hundred.
    for changed in (0..FILES).step_by(FILES / 4) {
        let path = Path::new(&home).join(format!("{:02}/{changed}", changed % 20));
        fs::write(path, random_bytes(BYTES, 1000 + changed as u64)).unwrap();
    }
    let second = run(&net, 0, &["create", &home]).await;
    assert_eq!(number(&second, "new_bytes"), 4 * BYTES as u64, "{second}");
    assert!(number(&second, "sent_bytes") < number(&first, "sent_bytes") / 5, "{second}");
    let (old, new) = (first["snapshot"].as_str().unwrap(), second["snapshot"].as_str().unwrap());
    let snapshots = lines(&net, 0, &["list"]).await.len();
    let entries = lines(&net, 0, &["ls", "latest", &home, "--recursive"]).await;
    assert_eq!(entries.len(), FILES + 20 + 2);
    let changes = lines(&net, 0, &["diff", old, new]).await;
    let (summary, changes) = changes.split_last().unwrap();
    assert_eq!((changes.len(), number(&summary["summary"], "content")), (5, 5), "{changes:?}");
    assert_eq!(lines(&net, 0, &["find", "199", "--snapshot", "latest"]).await.len(), 1);

    net.net.kill(&[5, 6]).unwrap();
    let back = net.path("back");
    let from = format!("latest:{home}");
    let restored = run(&net, 0, &["restore", &from, "--verify", "--target", back.to_str().unwrap()]).await;
    assert_eq!((number(&restored, "files"), number(&restored, "skipped")), (FILES as u64, 0), "{restored}");
    assert_eq!(number(&restored, "wrong_files"), 0);
    assert_same(Path::new(&home), &back);
    let whole = run(&net, 0, &["verify", "--read-data"]).await;
    assert_eq!((number(&whole, "damaged"), number(&whole, "missing")), (0, 0), "{whole}");

    let forgotten = run(&net, 0, &["forget", old]).await;
    assert_eq!(number(&forgotten, "removed"), 1);
    assert_eq!(lines(&net, 0, &["undelete", old]).await[0]["id"], *old);
    let forgotten = run(&net, 0, &["forget", "--keep-last", "1", "--prune", "--grace", "0s"]).await;
    assert_eq!(
        (number(&forgotten, "removed"), number(&forgotten["pruned"], "pruned")),
        (snapshots as u64 - 1, snapshots as u64 - 1),
        "{forgotten}"
    );
    let refused = net.run(0, ["backup", "undelete"], [old]).await;
    assert_eq!(refused.status.code(), Some(4), "{}", shown(&refused));
}

/// Another machine that has nothing but the text.
#[tokio::test]
async fn another_machine_restores_with_nothing_but_the_text() {
    let mut net = Net::start(7).await;
    let home = home_of(&net);
    let opens = run(&net, 0, &["init"]).await["capability"].as_str().unwrap().to_owned();
    run(&net, 0, &["create", &home, "--host", "burnt"]).await;
    net.net.kill(&[0]).unwrap();
    let mut import = chordage(["volume", "import", "backup", "--api"]);
    import.arg(net.net.data_dir(4)).stdin(std::process::Stdio::piped());
    let mut child = import.spawn().unwrap();
    {
        use tokio::io::AsyncWriteExt;
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(opens.as_bytes()).await.unwrap();
    }
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", shown(&output));
    let back = net.path("back");
    let from = format!("latest:{home}");
    run(&net, 4, &["restore", &from, "--host", "burnt", "--target", back.to_str().unwrap()]).await;
    assert_same(Path::new(&home), &back);
    // It goes on backing up there, into the same volume, with as many holders as there are.
    net.net.wait_settled(PATIENCE).await.unwrap();
    let next = run(&net, 4, &["create", back.to_str().unwrap()]).await;
    assert!(number(&next, "sent_bytes") < (FILES * BYTES) as u64 / 2, "{next}");
    assert_eq!(lines(&net, 4, &["list"]).await.len(), 2);
}
