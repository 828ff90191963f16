//! A client that goes on when the server it talks to dies: it takes another of those who offer the same service.
//!
//! ```sh
//! chordage service register echo --addr 127.0.0.1:7000      # at each machine that offers it
//! cargo run -p chordage-api --example registry -- auto echo "hello"
//! ```
//!
//! **What a registry promises.** A service whose daemon lives is found; one that was withdrawn is gone at once, and one
//! whose machine died within 20 seconds. **What it does not.** That the program at the address answers: the daemon that
//! registers it lives, and no more is known. Nor that it is who it says: anybody may register under any name. So who
//! uses it tries the next one when one fails, and checks whom it talks to by means of its own.

use std::collections::HashSet;
use std::error::Error;
use std::time::Duration;

use chordage_api::client::Client;
use chordage_api::service::Attrs;
use chordage_api::types::ServiceState;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// How long one server may take, and how long it is looked for one that answers.
const ONE: Duration = Duration::from_secs(2);
const ALL: Duration = Duration::from_secs(30);

/// Sends a line to a server, and returns the line with which it answers.
async fn ask(addr: &str, line: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = BufReader::new(TcpStream::connect(addr).await?);
    stream.get_mut().write_all(format!("{line}\n").as_bytes()).await?;
    let mut answer = String::new();
    if stream.read_line(&mut answer).await? == 0 {
        return Err("it hung up".into());
    }
    Ok(answer.trim_end().to_owned())
}

/// Who offers a service, and which of them have failed.
pub(crate) struct Service {
    daemon: Client,
    name: String,
    failed: HashSet<String>,
}

impl Service {
    /// A service that the daemon finds. Nobody is asked yet.
    pub(crate) fn new(daemon: &str, name: &str) -> Result<Self, Box<dyn Error>> {
        Ok(Service { daemon: Client::find(daemon)?, name: name.to_owned(), failed: HashSet::new() })
    }

    /// Asks whoever answers: the nearest that has not failed before the others, those that are alive before the
    /// suspects. Returns who answered, and what.
    pub(crate) async fn ask(&mut self, line: &str) -> Result<(String, String), Box<dyn Error>> {
        let until = Instant::now() + ALL;
        while Instant::now() < until {
            let mut found = self.daemon.find_service(&self.name, &Attrs::default(), true).await?;
            // Who is found no more may come back as somebody else.
            self.failed.retain(|addr| found.iter().any(|service| service.addr == *addr));
            found.sort_by_key(|service| {
                (self.failed.contains(&service.addr), service.state != ServiceState::Alive)
            });
            for service in found {
                match timeout(ONE, ask(&service.addr, line)).await {
                    Ok(Ok(answer)) => {
                        self.failed.remove(&service.addr);
                        return Ok((service.addr, answer));
                    }
                    Ok(Err(_)) | Err(_) => self.failed.insert(service.addr),
                };
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        Err(format!("nobody who offers {} answers", self.name).into())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [daemon, name, line] = &args[..] else { return Err("usage: registry DAEMON SERVICE LINE".into()) };
    let (addr, answer) = Service::new(daemon, name)?.ask(line).await?;
    println!("{addr}: {answer}");
    Ok(())
}
