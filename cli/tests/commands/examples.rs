//! The examples of the client crate, as applications of several people that run at once.

use std::path::Path;

use chordage_api::client::Client;
use chordage_api::service::Attrs;
use chordage_api::types::ServiceRequest;
use chordage_testnet::wait_until;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::harness::{PATIENCE, Scene};

#[path = "../../../node/api/examples/chat.rs"]
#[allow(dead_code, reason = "its command line is not used here")]
mod chat;
#[path = "../../../node/api/examples/registry.rs"]
#[allow(dead_code, reason = "its command line is not used here")]
mod registry;

#[path = "../../../node/api/examples/counter.rs"]
#[allow(dead_code, reason = "its command line is not used here")]
mod counter;

fn daemon(scene: &Scene, node: usize) -> String {
    let dir: &Path = &scene.net.data_dir(node);
    dir.to_str().unwrap().to_owned()
}

/// Three writers at three daemons, which have the same key.
#[test]
fn those_who_count_together_lose_nothing() {
    const PASSPHRASE: &str = "counting together";
    let scene = Scene::with_daemons(5);
    let daemons: Vec<String> = (0..3).map(|node| daemon(&scene, node)).collect();
    let clients: Vec<Client> = daemons.iter().map(|daemon| Client::find(daemon).unwrap()).collect();
    let counted = scene.block_on(async {
        clients[0].create_name("hits").await.unwrap();
        let key = clients[0].export_name("hits", PASSPHRASE).await.unwrap();
        for client in &clients[1..] {
            client.import_name("hits", PASSPHRASE, &key.sealed).await.unwrap();
        }
        let count = |node: usize, writer| counter::run(&daemons[node], "hits", writer, 8);
        futures::future::join3(count(0, "alice"), count(1, "bob"), count(2, "carol")).await
    });
    let [a, b, c] = [counted.0, counted.1, counted.2].map(Result::unwrap);
    assert_eq!(a.max(b).max(c), 24, "whoever is last sees what all have counted: {a}, {b}, {c}");
    let found = scene.block_on(clients[2].resolve_name("hits", true, None)).unwrap();
    assert_eq!((found.target.as_str(), found.seq), ("alice=8 bob=8 carol=8", 24));
}

/// Two talk; a third comes when all has been said, and hears it too.
#[test]
fn who_comes_late_to_a_chat_hears_what_was_said() {
    let scene = Scene::with_daemons(4);
    let daemons: Vec<String> = (0..3).map(|node| daemon(&scene, node)).collect();
    let talk = |node: usize, name: &'static str, says: &'static str, lines: usize| {
        let daemon = daemons[node].clone();
        async move {
            let (mut heard, mut seen) = (Vec::new(), 0);
            let enough = |_: &str| {
                seen += 1;
                seen == lines
            };
            let talking = chat::run(&daemon, "lobby", name, says.as_bytes(), &mut heard, enough);
            timeout(PATIENCE, talking).await.expect("everybody hears everybody").unwrap();
            String::from_utf8(heard).unwrap()
        }
    };
    let (alice, bob) = scene.block_on(async {
        tokio::join!(talk(0, "alice", "hello\nis anybody there?\n", 3), talk(1, "bob", "\x1b[31mhi\n", 3))
    });
    let carol = scene.block_on(talk(2, "carol", "", 3));
    for heard in [&alice, &bob, &carol] {
        let mut lines: Vec<&str> = heard.lines().map(|line| &line[11..]).collect();
        lines.sort_unstable();
        assert_eq!(lines, ["alice: hello", "alice: is anybody there?", "bob:  [31mhi"], "{heard}");
    }
}

/// A server that says who it is, for as long as it is not aborted.
async fn serve(name: &'static str) -> (String, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut stream = BufReader::new(stream);
            let mut line = String::new();
            if stream.read_line(&mut line).await.is_ok() {
                let _ = stream.get_mut().write_all(format!("{name}: {line}").as_bytes()).await;
            }
        }
    });
    (addr, serving)
}

#[test]
fn who_uses_a_service_goes_on_with_another_server() {
    let mut scene = Scene::with_daemons(5);
    let client = |node: usize| Client::find(&daemon(&scene, node)).unwrap();
    let (offering, asking) = ([client(0), client(1)], daemon(&scene, 4));
    let ((first_addr, first), (second_addr, _second)) = scene.block_on(async {
        let servers = (serve("one").await, serve("two").await);
        for (client, addr) in offering.iter().zip([&servers.0.0, &servers.1.0]) {
            let (name, addr) = ("echo".to_owned(), addr.clone());
            client.register_service(&ServiceRequest { name, addr, attrs: Attrs::default() }).await.unwrap();
        }
        servers
    });
    let mut service = registry::Service::new(&asking, "echo").unwrap();
    let answer = scene.block_on(service.ask("hello")).unwrap();
    assert!(
        [(first_addr, "one: hello".to_owned()), (second_addr.clone(), "two: hello".to_owned())]
            .contains(&answer)
    );
    // The program dies, and its daemon does not know; then the daemon goes as well.
    first.abort();
    let second = (second_addr.clone(), "two: hello".to_owned());
    assert_eq!(scene.block_on(service.ask("hello")).unwrap(), second);
    scene.net.kill(&[0]).unwrap();
    assert_eq!(scene.block_on(service.ask("hello")).unwrap(), second);
    let client = Client::find(&asking).unwrap();
    let one_left = async || match client.find_service("echo", &Attrs::default(), false).await.unwrap() {
        found if found.len() == 1 => Ok(found),
        found => Err(format!("{} are found", found.len())),
    };
    let left = scene.block_on(wait_until("the dead one is found no more", PATIENCE, one_left)).unwrap();
    assert_eq!(left[0].addr, second_addr);
}
