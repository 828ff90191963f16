//! What a gateway does for many at a time: readers of ranges, readers that take next to nothing, connections that say
//! nothing, and puts through it beside puts by the command line.
//!
//! ```text
//! cargo bench -p chordage-cli --bench crowd -- [--readers 200] [--seconds 30] [--slow 100] [--idle 1000] [--puts 5]
//! ```
//!
//! Six daemons on this machine, an object of 64 MiB that another daemon has put. Every byte that comes is looked at.
//! What is printed of memory is the whole process of the daemon that has the gateway.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chordage_testnet::{Plan, Testnet};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::task::JoinSet;
use tokio::time::sleep;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const PROGRAM: &str = env!("CARGO_BIN_EXE_chordage");
/// Bytes of the object that is read.
const OBJECT: usize = 64 << 20;
/// Bytes of each object that is put.
const PUT: usize = 128 << 20;
/// Lengths of ranges, bytes.
const RANGES: [usize; 3] = [1 << 16, 1 << 18, 1 << 20];
/// What a slow reader takes in a second, bytes.
const SIP: usize = 512;
/// How long slow readers have been there before others come.
const SETTLED: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(120);

/// What is done.
struct Wanted {
    readers: usize,
    seconds: u64,
    slow: usize,
    idle: usize,
    puts: usize,
}

/// The gateway, and what it serves.
struct Scene {
    net: Testnet,
    address: String,
    link: String,
    content: Vec<u8>,
}

/// What came back.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

fn main() -> ExitCode {
    let run = || -> Result<(), Failure> {
        let mut wanted = Wanted { readers: 200, seconds: 30, slow: 100, idle: 1000, puts: 5 };
        let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
        while let Some(name) = args.next() {
            let value: usize = args.next().ok_or_else(|| format!("{name} needs a value"))?.parse()?;
            match name.as_str() {
                "--readers" => wanted.readers = value,
                "--seconds" => wanted.seconds = value as u64,
                "--slow" => wanted.slow = value,
                "--idle" => wanted.idle = value,
                "--puts" => wanted.puts = value,
                _ => return Err(format!("unknown option {name}").into()),
            }
        }
        tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(measure(&wanted))
    };
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn measure(wanted: &Wanted) -> Result<(), Failure> {
    let dir = tempfile::tempdir()?;
    let mut plan = Plan::new(PROGRAM, dir.path().join("net"), 6);
    plan.daemon_args = ["--gateway", "127.0.0.1:0"].map(str::to_owned).into();
    let net = Testnet::start(plan).await?;
    net.wait_listed(PATIENCE).await?;
    let content = bytes_of(OBJECT, 1);
    let file = dir.path().join("object");
    tokio::fs::write(&file, &content).await?;
    let put = Command::new(PROGRAM)
        .args(["put", "--quiet"])
        .arg(&file)
        .arg("--api")
        .arg(net.data_dir(1))
        .output()
        .await?;
    let link = String::from_utf8(put.stdout)?.trim().to_owned();
    let address = net.status(0).await?.gateways.web.ok_or("there is no gateway")?.listen;
    let scene = Arc::new(Scene { net, address, link, content });
    println!("before                  {}", scene.memory().await?);
    scene.read_ranges(wanted).await?;
    scene.beside_slow(wanted.slow).await?;
    scene.beside_idle(wanted.idle).await?;
    scene.read_ranges(wanted).await?;
    scene.put(wanted.puts, dir.path()).await?;
    let mut scene = Arc::into_inner(scene).ok_or("somebody still reads")?;
    scene.net.down(Duration::from_secs(10)).await?;
    Ok(())
}

impl Scene {
    async fn memory(&self) -> Result<String, Failure> {
        let process = self.net.status(0).await?.process;
        Ok(format!("resident {} MiB, at most {} MiB", process.rss_bytes >> 20, process.rss_peak_bytes >> 20))
    }

    /// A connection on which a range of the object was asked for.
    async fn ask(&self, start: usize, length: usize) -> Result<TcpStream, Failure> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let (link, end) = (&self.link, start + length - 1);
        let head = format!(
            "GET /{link} HTTP/1.1\r\nhost: {}\r\nrange: bytes={start}-{end}\r\nconnection: close\r\n\r\n",
            self.address
        );
        stream.write_all(head.as_bytes()).await?;
        Ok(stream)
    }

    /// A range, and whether it is what was put.
    async fn range(&self, start: usize, length: usize) -> Result<Result<(), u16>, Failure> {
        let mut stream = self.ask(start, length).await?;
        let answer = answer(&mut stream).await?;
        match answer.status {
            206 if answer.body == self.content[start..start + length] => Ok(Ok(())),
            206 => Err(format!("other bytes from {start} on, or {} of {length}", answer.body.len()).into()),
            status => Ok(Err(status)),
        }
    }

    async fn read_ranges(self: &Arc<Self>, wanted: &Wanted) -> Result<(), Failure> {
        let ends = Instant::now() + Duration::from_secs(wanted.seconds);
        let mut readers = JoinSet::new();
        for reader in 0..wanted.readers {
            let scene = Arc::clone(self);
            readers.spawn(async move {
                let mut random = ChaCha8Rng::seed_from_u64(reader as u64);
                let (mut times, mut bytes, mut refused) = (Vec::new(), 0, 0);
                while Instant::now() < ends {
                    let length = RANGES[random.next_u32() as usize % RANGES.len()];
                    let start = random.next_u32() as usize % (OBJECT - length);
                    let begun = Instant::now();
                    match scene.range(start, length).await? {
                        Ok(()) => {
                            times.push(begun.elapsed());
                            bytes += length;
                        }
                        Err(_) => refused += 1,
                    }
                }
                Ok::<_, Failure>((times, bytes, refused))
            });
        }
        let (mut times, mut bytes, mut refused) = (Vec::new(), 0, 0);
        while let Some(reader) = readers.join_next().await {
            let (its_times, its_bytes, its_refused) = reader??;
            times.extend(its_times);
            bytes += its_bytes;
            refused += its_refused;
        }
        times.sort_unstable();
        let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
        println!(
            "{:4} readers of ranges   {} ranges, {refused} refused, {:.1} MiB/s, median {:.2} s, p99 {:.2} s; {}",
            wanted.readers,
            times.len(),
            bytes as f64 / wanted.seconds as f64 / f64::from(1 << 20),
            at(50).as_secs_f64(),
            at(99).as_secs_f64(),
            self.memory().await?
        );
        Ok(())
    }

    async fn beside_slow(self: &Arc<Self>, count: usize) -> Result<(), Failure> {
        let mut slow = JoinSet::new();
        for _ in 0..count {
            let scene = Arc::clone(self);
            slow.spawn(async move {
                let mut stream = scene.ask(0, OBJECT).await?;
                let mut sip = [0; SIP];
                while stream.read(&mut sip).await? > 0 {
                    sleep(Duration::from_secs(1)).await;
                }
                Ok::<_, Failure>(())
            });
        }
        sleep(SETTLED).await;
        for (what, length) in [("short", 100_000), ("long", 4_000_000)] {
            let begun = Instant::now();
            let outcome = self.range(1000, length).await?;
            println!(
                "{count:4} slow readers       a {what} range beside them: {}, {:.2} s; {}",
                outcome.map_or_else(|status| status.to_string(), |()| "206".to_owned()),
                begun.elapsed().as_secs_f64(),
                self.memory().await?
            );
        }
        slow.shutdown().await;
        Ok(())
    }

    async fn beside_idle(&self, count: usize) -> Result<(), Failure> {
        let mut idle = Vec::new();
        for _ in 0..count {
            idle.push(TcpStream::connect(&self.address).await?);
        }
        let begun = Instant::now();
        let outcome = self.range(1000, 5000).await?;
        println!(
            "{count:4} idle connections   a short range beside them: {}, {:.2} s; {}",
            outcome.map_or_else(|status| status.to_string(), |()| "206".to_owned()),
            begun.elapsed().as_secs_f64(),
            self.memory().await?
        );
        Ok(())
    }

    /// The same file through the gateway and by the command line, in turn.
    async fn put(&self, rounds: usize, dir: &std::path::Path) -> Result<(), Failure> {
        let (mut by_gateway, mut by_program) = (Vec::new(), Vec::new());
        for round in 0..rounds {
            for through in [true, false] {
                let bytes = bytes_of(PUT, 100 + 2 * round as u64 + u64::from(through));
                let file = dir.join("put");
                tokio::fs::write(&file, &bytes).await?;
                let begun = Instant::now();
                if through {
                    self.upload(&bytes).await?;
                    by_gateway.push(begun.elapsed());
                } else {
                    let mut put = Command::new(PROGRAM);
                    put.args(["put", "--quiet"]).arg(&file).arg("--api").arg(self.net.data_dir(0));
                    if !put.output().await?.status.success() {
                        return Err("a put failed".into());
                    }
                    by_program.push(begun.elapsed());
                }
            }
        }
        let median = |times: &mut Vec<Duration>| {
            times.sort_unstable();
            times.get(times.len() / 2).map_or(0.0, Duration::as_secs_f64)
        };
        let (gateway, program) = (median(&mut by_gateway), median(&mut by_program));
        println!(
            "puts of 128 MiB         {gateway:.2} s through the gateway, {program:.2} s by the command line: {:.2}; {}",
            gateway / program,
            self.memory().await?
        );
        Ok(())
    }

    async fn upload(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let (host, length) = (&self.address, bytes.len());
        let head = format!(
            "POST /-/upload?name=put HTTP/1.1\r\nhost: {host}\r\norigin: http://{host}\r\ncontent-length: {length}\r\n\
             content-type: application/octet-stream\r\nconnection: close\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(bytes).await?;
        match answer(&mut stream).await?.status {
            200 | 201 => Ok(()),
            status => Err(format!("an upload was answered {status}").into()),
        }
    }
}

/// Reads an answer to its end.
async fn answer(stream: &mut TcpStream) -> Result<Answer, Failure> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await?;
    let head = bytes
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .ok_or("an answer without an end of its head")?;
    let status = std::str::from_utf8(&bytes[..head])?.split(' ').nth(1).ok_or("no status")?.parse()?;
    bytes.drain(..head + 4);
    Ok(Answer { status, body: bytes })
}

fn bytes_of(count: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; count];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}
