//! What somebody without an invite learns of a private network: that there is a daemon at the address that it knew.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};

use chordage_testnet::wait_until;
use libp2p::{Multiaddr, PeerId};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::{PATIENCE, chordage, finish, json_of, shown};
use crate::namespaces::Running;
use crate::private::{SOON, id, invite, json, on, others, soon};

const NETWORK: &str = "friends";
/// What the founder sends a stranger on one connection, at most. Measured are 426 bytes at first and 360 later: names
/// of protocols, the handshake with its key and signature, and the refusal. The rest is room for a longer sentence.
const SENT_MAX: usize = 600;
/// And at least: most of the handshake. Fewer would mean that the test looks at something else.
const SENT_MIN: usize = 200;

/// A way to a daemon that keeps what the daemon sends, connection by connection.
struct Proxy {
    address: SocketAddr,
    sent: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    async fn to(daemon: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, sent) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<Vec<u8>>>>::default());
        let kept = sent.clone();
        tokio::spawn(async move {
            while let Ok((stranger, _)) = listener.accept().await {
                let number = {
                    let mut kept = kept.lock().unwrap();
                    kept.push(Vec::new());
                    kept.len() - 1
                };
                tokio::spawn(carry(stranger, daemon, number, kept.clone()));
            }
        });
        Proxy { address, sent }
    }

    fn multiaddr(&self) -> String {
        format!("/ip4/127.0.0.1/tcp/{}", self.address.port())
    }

    fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.lock().unwrap().clone()
    }
}

/// Carries what two ends say to each other, until both have said all.
async fn carry(stranger: TcpStream, daemon: SocketAddr, number: usize, kept: Arc<Mutex<Vec<Vec<u8>>>>) {
    let Ok(daemon) = TcpStream::connect(daemon).await else { return };
    let ((mut from_stranger, mut to_stranger), (mut from_daemon, mut to_daemon)) =
        (stranger.into_split(), daemon.into_split());
    let up = async {
        let _ = tokio::io::copy(&mut from_stranger, &mut to_daemon).await;
        let _ = to_daemon.shutdown().await;
    };
    let down = async {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(read @ 1..) = from_daemon.read(&mut buffer).await {
            kept.lock().unwrap()[number].extend_from_slice(&buffer[..read]);
            if to_stranger.write_all(&buffer[..read]).await.is_err() {
                break;
            }
        }
        let _ = to_stranger.shutdown().await;
    };
    tokio::join!(up, down);
}

/// A founder and two more, who know each other.
async fn friends(dir: &Path) -> Vec<Running> {
    let at = |name: &str| dir.join(name);
    json_of(&on(&at("founder"), &["network", "create", NETWORK]).await);
    let founder = Running::here(at("founder"), &["--listen", "/ip4/127.0.0.1/tcp/0"]);
    founder.joined(1).await;
    let invite = invite(&founder, &["--uses", "2"]).await;
    let mut friends = vec![founder];
    for name in ["one", "other"] {
        json_of(&on(&at(name), &["join", &invite]).await);
        friends.push(Running::here(at(name), &[]));
    }
    for friend in &friends {
        friend.joined(3).await;
    }
    friends
}

/// All by which somebody could be found, and the name of the network, as text and as bytes.
async fn secrets(friends: &[Running]) -> Vec<Vec<u8>> {
    let mut secrets = vec![NETWORK.as_bytes().to_vec()];
    for (friend, running) in friends.iter().enumerate() {
        let status = running.status(|_| true).await;
        let (id, peer) = (status["id"].as_str().unwrap(), status["peer_id"].as_str().unwrap());
        secrets.extend([id.as_bytes().to_vec(), peer.as_bytes().to_vec()]);
        secrets.push(data_encoding::HEXLOWER.decode(id.as_bytes()).unwrap());
        secrets.push(peer.parse::<PeerId>().unwrap().to_bytes());
        // The stranger knows the address of the founder.
        for address in status["listen"].as_array().unwrap().iter().filter(|_| friend > 0) {
            let address = address.as_str().unwrap();
            secrets.extend([address.as_bytes().to_vec(), address.parse::<Multiaddr>().unwrap().to_vec()]);
        }
    }
    secrets
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

#[tokio::test]
async fn a_stranger_is_told_to_ask_for_an_invite_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let friends = friends(dir.path()).await;
    let before = others(&friends[0]).await;
    let secrets = secrets(&friends).await;
    assert!(secrets.len() > 15 && secrets.iter().all(|secret| secret.len() >= 7), "{secrets:?}");
    let listens = friends[0].status(|_| true).await["listen"][0].as_str().unwrap().to_owned();
    let port = listens.strip_prefix("/ip4/127.0.0.1/tcp/").unwrap().split('/').next().unwrap();
    let founder = SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap()));

    let named = ["--network", NETWORK];
    for (name, network) in [("unnamed", &[] as &[&str]), ("named", &named)] {
        let proxy = Proxy::to(founder).await;
        let address = proxy.multiaddr();
        let args = [&["--bootstrap", &address], network].concat();
        let stranger = Running::here(dir.path().join(name), &args);
        let status = soon(&stranger, |status| status["join_problem"].is_string()).await;
        assert_ne!(status["state"], "joined", "{status}");
        // It tries again: nothing comes of that either.
        let tried = async || match proxy.sent().iter().filter(|sent| sent.len() >= SENT_MIN).count() {
            tries @ ..2 => Err(format!("{tries} tries")),
            _ => Ok(()),
        };
        wait_until("it tries twice", SOON, tried).await.unwrap();
        let status = stranger.status(|_| true).await;
        assert_ne!(status["state"], "joined", "{status}");

        for sent in proxy.sent() {
            assert!(sent.is_empty() || contains(&sent, b"/multistream/1.0.0"), "{sent:?}");
            assert!(sent.len() <= SENT_MAX, "{name}: the founder has sent {} bytes", sent.len());
            for secret in &secrets {
                let text = String::from_utf8_lossy(secret);
                assert!(!contains(&sent, secret), "{name}: {text} is in {sent:?}");
            }
        }
        assert_eq!(json(&stranger, &["peers"]).await, Value::Array(Vec::new()), "{name}");
        let myself = id(&stranger).await;
        let members = json(&stranger, &["members"]).await;
        let strangers: Vec<&Value> =
            members.as_array().unwrap().iter().filter(|member| member["id"] != myself.as_str()).collect();
        assert!(strangers.is_empty(), "{name}: {strangers:?}");
        stranger.leave().await;
        assert_eq!(others(&friends[0]).await, before);
    }
}

/// The daemon of a member would be part of an open network without it, with all that it holds.
#[tokio::test]
async fn a_copy_without_the_papers_does_not_start() {
    let dir = tempfile::tempdir().unwrap();
    let (founder, member, copy) =
        (dir.path().join("founder"), dir.path().join("member"), dir.path().join("copy"));
    json_of(&on(&founder, &["network", "create", NETWORK]).await);
    let founder = Running::here(founder, &[]);
    founder.joined(1).await;
    json_of(&on(&member, &["join", &invite(&founder, &[]).await]).await);
    let running = Running::here(member.clone(), &[]);
    running.joined(2).await;
    running.leave().await;

    copy_dir(&member, &copy);
    fs::remove_file(copy.join("network")).unwrap();
    for network in [&[] as &[&str], &["--network", NETWORK]] {
        let mut command = chordage(["daemon", "--json"]);
        command.arg("--data-dir").arg(&copy).args(network);
        let output = finish(command).await;
        assert!(!output.status.success(), "{}", shown(&output));
        let (said, papers) = (String::from_utf8_lossy(&output.stderr), copy.join("network"));
        let gone = format!("{} is gone", papers.display());
        assert!(said.contains(&gone) && said.contains("private network"), "{}", shown(&output));
        assert!(!papers.exists(), "it has not made itself any");
    }
    // They are all that was missing.
    fs::copy(member.join("network"), copy.join("network")).unwrap();
    let running = Running::here(copy, &[]);
    running.joined(2).await;
    assert_eq!(json(&running, &["network", "show"]).await["network"], NETWORK);
    tokio::time::timeout(PATIENCE, running.leave()).await.unwrap();
}

fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => copy_dir(&entry.path(), &target),
            kind if kind.is_file() => drop(fs::copy(entry.path(), target).unwrap()),
            // The socket of the daemon that ran there.
            _ => {}
        }
    }
}
