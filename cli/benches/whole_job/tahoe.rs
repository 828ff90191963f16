//! A Tahoe-LAFS grid on loopback: an introducer, as many storage nodes as we have daemons, one client node.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chordage_testnet::wait_until;

use crate::Failure;
use crate::meter::{Cost, Step, cpu_of, disk_use, expect_same, peak_rss_of, quietly, timed};
use crate::options::{Options, Peer};
use crate::workload::{Workload, bytes_of};

const SYSTEM: &str = "tahoe";
const PATIENCE: Duration = Duration::from_secs(90);
/// How long a client node may take to meet all storage nodes before it is started anew.
const CONNECT: Duration = Duration::from_secs(30);

/// Directories of a grid; processes run only during [`run`](Self::run).
pub(crate) struct Grid {
    dir: PathBuf,
    nodes: usize,
    web: u16,
    /// Of the storage nodes.
    ports: Vec<u16>,
}

/// Processes of the grid. They end when this is dropped.
#[derive(Default)]
struct Running {
    client: Vec<Child>,
    storage: Vec<Child>,
    introducer: Vec<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.client.iter_mut().chain(&mut self.storage).chain(&mut self.introducer) {
            // Whoever has ended already is only waited for.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Grid {
    /// Creates the directories, with ports that are free now.
    pub(crate) fn create(options: &Options, dir: &Path) -> Result<Self, Failure> {
        let tahoe = Peer::Tahoe.program();
        let (k, n) = options.code()?;
        fs::create_dir(dir)?;
        let ports = free_ports(options.nodes + 2)?;
        let listen = |name: &str, port: u16| -> Vec<String> {
            let node = dir.join(name).to_string_lossy().into_owned();
            let (at, location) = (format!("tcp:{port}:interface=127.0.0.1"), format!("tcp:127.0.0.1:{port}"));
            ["--listen=tcp", "--port", &at, "--location", &location, &node].map(str::to_owned).into()
        };
        quietly(&tahoe, ["create-introducer".to_owned()].into_iter().chain(listen("introducer", ports[0])))?;
        let grid =
            Grid { dir: dir.to_owned(), nodes: options.nodes, web: ports[1], ports: ports[2..].to_vec() };
        // It writes down its address when it first runs.
        let mut running = Running::default();
        running.introducer.push(grid.spawn("introducer")?);
        let furl_file = dir.join("introducer/private/introducer.furl");
        for _ in 0..600 {
            if furl_file.exists() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let furl = fs::read_to_string(&furl_file)?.trim().to_owned();
        drop(running);
        for node in 0..options.nodes {
            let name = format!("storage-{node}");
            let args = ["create-node", "--nickname", &name, "--introducer", &furl, "--webport=none"]
                .map(str::to_owned);
            quietly(&tahoe, args.into_iter().chain(listen(&name, ports[node + 2])))?;
        }
        let web = format!("--webport=tcp:{}:interface=127.0.0.1", grid.web);
        let shares =
            [format!("--shares-needed={k}"), format!("--shares-happy={n}"), format!("--shares-total={n}")];
        let client = dir.join("client").to_string_lossy().into_owned();
        let args = ["create-client", "--nickname", "client", "--introducer", &furl, &web].map(str::to_owned);
        quietly(&tahoe, args.into_iter().chain(shares).chain([client]))?;
        Ok(grid)
    }

    /// Job `w1`. The shares of the last run are removed first.
    pub(crate) async fn run(&mut self, options: &Options, work: &Workload) -> Result<Vec<Step>, Failure> {
        for node in 0..self.nodes {
            let shares = self.dir.join(format!("storage-{node}/storage"));
            if shares.exists() {
                fs::remove_dir_all(shares)?;
            }
        }
        let mut running = self.start().await?;
        let mut steps = Vec::new();
        let bytes = bytes_of(&work.w1);
        let object = work.w1.to_string_lossy().into_owned();
        let mut capability = String::new();
        for step in ["put", "put again"] {
            let cost = self.measured(&running, &mut steps, step, bytes, &["put", &object])?;
            capability = String::from_utf8_lossy(&cost.stdout).trim().to_owned();
            let stored: u64 =
                (0..self.nodes).map(|node| disk_use(&self.dir.join(format!("storage-{node}/storage")))).sum();
            if let Some(last) = steps.last_mut() {
                last.figures.push(("disk_bytes", stored as f64));
            }
        }
        let out = self.dir.join("out");
        let shown = out.to_string_lossy().into_owned();
        self.measured(&running, &mut steps, "get", bytes, &["get", &capability, &shown])?;
        expect_same(&work.w1, &out)?;
        fs::remove_file(&out)?;
        if options.kill > 0 {
            for child in running.storage.iter_mut().take(options.kill) {
                child.kill()?;
                child.wait()?;
            }
            self.measured(&running, &mut steps, "get, some killed", bytes, &["get", &capability, &shown])?;
            expect_same(&work.w1, &out)?;
            fs::remove_file(&out)?;
        }
        Ok(steps)
    }

    fn measured(
        &self,
        running: &Running,
        steps: &mut Vec<Step>,
        step: &'static str,
        bytes: u64,
        args: &[&str],
    ) -> Result<Cost, Failure> {
        let pids: Vec<u32> = running.client.iter().chain(&running.storage).map(Child::id).collect();
        let cpu = || pids.iter().map(|pid| cpu_of(*pid)).sum::<f64>();
        let before = cpu();
        let cost =
            timed(Command::new(Peer::Tahoe.program()).arg("-d").arg(self.dir.join("client")).args(args))?;
        let rss = pids.iter().filter_map(|pid| peak_rss_of(*pid)).max().unwrap_or(0);
        steps.push(
            Step::new(SYSTEM, "w1", step, bytes)
                .with_cost(&cost)
                .with("servers_cpu_seconds", cpu() - before)
                .with("server_rss_peak_bytes", rss as f64),
        );
        Ok(cost)
    }

    fn spawn(&self, name: &str) -> Result<Child, Failure> {
        let log = fs::File::create(self.dir.join(format!("{name}.log")))?;
        Ok(Command::new(Peer::Tahoe.program())
            .args(["run", "--allow-stdin-close"])
            .arg(self.dir.join(name))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?)
    }

    async fn start(&self) -> Result<Running, Failure> {
        let mut running = Running::default();
        running.introducer.push(self.spawn("introducer")?);
        for node in 0..self.nodes {
            running.storage.push(self.spawn(&format!("storage-{node}"))?);
        }
        // A client that is there before them gives some up for good.
        for port in &self.ports {
            let listens = async || std::net::TcpStream::connect(("127.0.0.1", *port)).map(drop);
            wait_until("a storage node listens", PATIENCE, listens).await?;
        }
        let connected = async || match connected(self.web) {
            Some(servers) if servers >= self.nodes => Ok(()),
            servers => Err(format!("{servers:?} of {} storage nodes are connected", self.nodes)),
        };
        for last in [false, false, true] {
            running.client.push(self.spawn("client")?);
            match wait_until("the grid is connected", CONNECT, connected).await {
                Ok(()) => break,
                Err(error) if last => return Err(error.into()),
                Err(_) => {
                    for mut client in running.client.drain(..) {
                        client.kill()?;
                        client.wait()?;
                    }
                }
            }
        }
        Ok(running)
    }
}

/// Storage nodes that the client node is connected to, out of its welcome page.
fn connected(web: u16) -> Option<usize> {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", web)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    stream.write_all(b"GET /?t=json HTTP/1.0\r\n\r\n").ok()?;
    let mut page = String::new();
    stream.read_to_string(&mut page).ok()?;
    let (_, body) = page.split_once("\r\n\r\n")?;
    let welcome: serde_json::Value = serde_json::from_str(body).ok()?;
    let is_up = |server: &serde_json::Value| {
        server["connection_status"].as_str().is_some_and(|status| status.eq_ignore_ascii_case("connected"))
    };
    Some(welcome["servers"].as_array()?.iter().filter(|server| is_up(server)).count())
}

/// Ports that nobody listens on at the moment.
fn free_ports(count: usize) -> Result<Vec<u16>, Failure> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0))).collect::<Result<_, _>>()?;
    Ok(listeners
        .iter()
        .map(|listener| listener.local_addr().map(|addr| addr.port()))
        .collect::<Result<_, _>>()?)
}
