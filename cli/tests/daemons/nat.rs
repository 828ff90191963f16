//! Two daemons behind two NATs, and members on a network that both reach: in network namespaces, with the kernel's own NAT.
//!
//! ```text
//!   192.168.77.2 ── router ── 198.51.100.101 ─┐
//!                                             ├─ bridge: members at 198.51.100.10, .11, .12, .13
//!   192.168.77.2 ── router ── 198.51.100.102 ─┘
//! ```
//!
//! The namespaces have no names: each lasts as long as the processes in it, and those end when the test does, however it ends.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chordage_testnet::wait_until;
use serde_json::Value;

use crate::harness::{PATIENCE, PROGRAM, chordage, finish, json_of, random_bytes, shown};

const MEMBERS: usize = 4;
const BYTES: usize = 3_000_000;

/// A process that ends with this value.
struct Owned(Child);

impl Drop for Owned {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A network namespace: that of a process which only waits for its standard input to end.
struct Namespace(Owned);

impl Namespace {
    fn new() -> Result<Self, String> {
        let mut command = Command::new("unshare");
        command.args(["--net", "cat"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let namespace =
            Namespace(Owned(command.spawn().map_err(|error| format!("unshare cannot be run: {error}"))?));
        let network = |process: &str| fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let (ours, process) = (network("self"), namespace.process());
        let started = Instant::now();
        // Before that, whatever is run there would be run here.
        while network(&process).is_none_or(|theirs| Some(theirs) == ours) {
            let ended = fs::read_link(format!("/proc/{process}/exe")).is_err();
            if ended || started.elapsed() > Duration::from_secs(20) {
                return Err("no network namespace can be made (root is needed)".to_owned());
            }
            std::thread::yield_now();
        }
        namespace.run("ip link set lo up")?;
        Ok(namespace)
    }

    fn process(&self) -> String {
        self.0.0.id().to_string()
    }

    /// A command that will run in this namespace.
    fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.process(), program]);
        command
    }

    /// Runs a command of plain words.
    fn run(&self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let output = self
            .command(words.next().unwrap_or_default())
            .args(words)
            .output()
            .map_err(|error| format!("nsenter cannot be run: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("`{line}`: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }

    /// Makes it translate the addresses of what it forwards, with whichever of the two tools is there.
    fn masquerade(&self) -> Result<(), String> {
        self.run("sysctl -q -w net.ipv4.ip_forward=1")?;
        let nft = || {
            self.run("nft add table ip nat")?;
            self.run("nft add chain ip nat post { type nat hook postrouting priority 100 ; }")?;
            self.run("nft add rule ip nat post oifname wan masquerade")
        };
        nft().or_else(|nft| {
            self.run("iptables -t nat -A POSTROUTING -o wan -j MASQUERADE")
                .map_err(|iptables| format!("{nft}; {iptables}"))
        })
    }
}

/// The picture above.
struct World {
    public: Namespace,
    homes: Vec<Namespace>,
    _routers: Vec<Namespace>,
}

impl World {
    fn build() -> Result<Self, String> {
        let public = Namespace::new()?;
        public.run("ip link add bridge type bridge")?;
        public.run("ip link set bridge up")?;
        for member in 0..MEMBERS {
            public.run(&format!("ip address add {}/24 dev bridge", member_ip(member)))?;
        }
        let (mut homes, mut routers) = (Vec::new(), Vec::new());
        for number in 1..=2 {
            let (router, home) = (Namespace::new()?, Namespace::new()?);
            let (router_is, home_is) = (router.process(), home.process());
            public.run(&format!("ip link add port{number} type veth peer name wan netns {router_is}"))?;
            public.run(&format!("ip link set port{number} master bridge up"))?;
            router.run(&format!("ip link add lan type veth peer name eth netns {home_is}"))?;
            router.run(&format!("ip address add 198.51.100.10{number}/24 dev wan"))?;
            router.run("ip address add 192.168.77.1/24 dev lan")?;
            router.run("ip link set wan up")?;
            router.run("ip link set lan up")?;
            router.masquerade()?;
            home.run("ip address add 192.168.77.2/24 dev eth")?;
            home.run("ip link set eth up")?;
            home.run("ip route add default via 192.168.77.1")?;
            homes.push(home);
            routers.push(router);
        }
        Ok(World { public, homes, _routers: routers })
    }
}

fn member_ip(number: usize) -> String {
    format!("198.51.100.{}", 10 + number)
}

/// A daemon in a namespace.
struct Running {
    _process: Owned,
    dir: PathBuf,
}

impl Running {
    fn start(namespace: &Namespace, dir: PathBuf, args: &[&str]) -> Self {
        let log = || fs::File::options().create(true).append(true).open(dir.with_extension("log")).unwrap();
        let mut command = namespace.command(PROGRAM);
        command
            .args(["daemon", "--network", "nat", "--exit-on-stdin-close", "--data-dir"])
            .arg(&dir)
            .args(args);
        for variable in ["CHORDAGE_API", "CHORDAGE_API_TOKEN", "CHORDAGE_DATA_DIR", "SSLKEYLOGFILE"] {
            command.env_remove(variable);
        }
        let child = command.stdin(Stdio::piped()).stdout(log()).stderr(log()).spawn().unwrap();
        Running { _process: Owned(child), dir }
    }

    async fn run(&self, args: &[&str]) -> std::process::Output {
        let mut command = chordage(args.iter().copied());
        command.arg("--api").arg(&self.dir);
        finish(command).await
    }

    /// Its status, once it knows so many members.
    async fn joined(&self, members: usize) -> Value {
        let joined = async || {
            let output = self.run(&["status", "--json"]).await;
            let status = if output.status.success() { json_of(&output) } else { Value::Null };
            match status["state"] == "joined" && status["network_nodes"] == members {
                true => Ok(status),
                false => Err(format!("{}\n{}", shown(&output), self.log())),
            }
        };
        wait_until("the daemon joins", PATIENCE, joined).await.unwrap()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.with_extension("log")).unwrap_or_default()
    }

    async fn put(&self, path: &Path) -> String {
        let output = self.run(&["put", "--json", "--redundancy", "2/4", path.to_str().unwrap()]).await;
        json_of(&output)["link"].as_str().unwrap().to_owned()
    }

    async fn get(&self, link: &str, path: &Path) -> Vec<u8> {
        let output = self.run(&["get", "--json", link, "-o", path.to_str().unwrap()]).await;
        assert!(output.status.success(), "{}\n{}", shown(&output), self.log());
        fs::read(path).unwrap()
    }
}

#[tokio::test]
async fn a_file_goes_from_behind_one_nat_to_behind_another() {
    let world = match World::build() {
        Ok(world) => world,
        Err(why) => {
            // Not a macro that prints: what those write is shown only of tests that fail.
            let _ =
                writeln!(io::stderr(), "skipped: a network with NAT cannot be built on this machine: {why}");
            return;
        }
    };
    // Nobody outside knows a way to those behind NAT, and they have the same address.
    assert!(world.public.run("ip route get 192.168.77.2").is_err());

    let dir = tempfile::tempdir().unwrap();
    let mut members: Vec<Running> = Vec::new();
    let mut bootstrap = String::new();
    for number in 0..MEMBERS {
        let ip = member_ip(number);
        let (tcp, quic) = (format!("/ip4/{ip}/tcp/0"), format!("/ip4/{ip}/udp/0/quic-v1"));
        let mut args = vec!["--listen", &tcp, "--listen", &quic];
        if number > 0 {
            args.extend(["--bootstrap", &bootstrap]);
        }
        let member = Running::start(&world.public, dir.path().join(format!("member-{number}")), &args);
        let status = member.joined(number + 1).await;
        status["listen"][0].as_str().unwrap().clone_into(&mut bootstrap);
        members.push(member);
    }

    let mut clients = Vec::new();
    for (number, home) in world.homes.iter().enumerate() {
        let args = ["--role", "client", "--bootstrap", &bootstrap];
        let client = Running::start(home, dir.path().join(format!("client-{number}")), &args);
        assert_eq!(client.joined(MEMBERS).await["role"], "client");
        clients.push(client);
    }

    let file = dir.path().join("file");
    fs::write(&file, random_bytes(BYTES, 31)).unwrap();
    let link = clients[0].put(&file).await;
    assert!(clients[1].get(&link, &dir.path().join("there")).await == random_bytes(BYTES, 31));

    // Also with the writer gone, and a member that is not the one through which they came.
    drop(clients.remove(0));
    drop(members.remove(0));
    assert!(clients[0].get(&link, &dir.path().join("later")).await == random_bytes(BYTES, 31));
    for member in &members {
        let peers = json_of(&member.run(&["peers", "--json"]).await);
        let text = peers.to_string();
        let behind_nat = ["192.168.77.", "/198.51.100.101/", "/198.51.100.102/"];
        assert!(behind_nat.iter().all(|ip| !text.contains(ip)), "{text}");
    }
}
