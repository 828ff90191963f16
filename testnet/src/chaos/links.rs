//! Faults of the ways between daemons: packets of one daemon that are lost, all of them or some.

use std::time::Duration;

use rustix::process::Signal;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::{ChaosError, Fault, seclusion};
use crate::network::Testnet;
use crate::process::ProcessId;

/// One packet of so many is lost.
const LOSS: u32 = 10;
/// Larger packets are lost, as where a tunnel is narrower than it says. QUIC begins below that, TCP does not.
const NARROW: u32 = 1300;
/// A slow daemon stands still for so long, and then runs for so long.
const STANDS: Duration = Duration::from_millis(300);
const RUNS: Duration = Duration::from_millis(100);

/// Has packets lost that go to a daemon, or come from one.
pub(super) async fn hit(net: &Testnet, index: usize, fault: Fault) -> Result<(), ChaosError> {
    let listen = match net.status(index).await {
        Ok(status) => status.membership.listen,
        // It is too busy to say where it listens: this storm leaves it alone.
        Err(_) => return Ok(()),
    };
    let rules: Vec<String> =
        listen.iter().filter_map(|address| port(address)).flat_map(|way| rules(way, fault)).collect();
    seclusion::add_rules(&rules).map_err(|problem| ChaosError::Links { problem })
}

/// A protocol and a port, out of a listen address.
fn port(address: &str) -> Option<(&'static str, u16)> {
    let mut parts = address.split('/');
    let protocol = parts.find_map(|part| ["tcp", "udp"].into_iter().find(|known| part == *known))?;
    Some((protocol, parts.next()?.parse().ok()?))
}

fn rules((protocol, port): (&'static str, u16), fault: Fault) -> Vec<String> {
    let [to, from] = ["dport", "sport"].map(|end| format!("{protocol} {end} {port}"));
    let what = match fault {
        Fault::Loss => format!("numgen random mod {LOSS} == 0 counter drop"),
        Fault::Narrow => format!("meta length > {NARROW} counter drop"),
        _ => "counter drop".to_owned(),
    };
    match fault {
        Fault::OneWay => vec![format!("{to} {what}")],
        Fault::NoTcp if protocol != "tcp" => Vec::new(),
        Fault::NoQuic if protocol != "udp" => Vec::new(),
        _ => vec![format!("{to} {what}"), format!("{from} {what}")],
    }
}

/// A daemon all of whose answers come late, until this is ended.
pub(super) struct Slow {
    process: ProcessId,
    task: JoinHandle<()>,
}

impl Slow {
    pub(super) fn begin(process: ProcessId) -> Slow {
        let task = tokio::spawn(async move {
            // Whoever has ended needs no signals.
            while process.signal(Signal::STOP).is_ok() {
                sleep(STANDS).await;
                if process.signal(Signal::CONT).is_err() {
                    break;
                }
                sleep(RUNS).await;
            }
        });
        Slow { process, task }
    }

    pub(super) async fn end(self) {
        self.task.abort();
        let _ = self.task.await;
        let _ = self.process.signal(Signal::CONT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_name_both_ends_of_what_a_daemon_listens_on() {
        let all = |address, fault| port(address).map(|way| rules(way, fault)).unwrap_or_default();
        let tcp = "/ip4/127.0.0.1/tcp/4001/p2p/12D3";
        let quic = "/ip4/127.0.0.1/udp/4002/quic-v1";
        assert_eq!(all(tcp, Fault::Isolate), ["tcp dport 4001 counter drop", "tcp sport 4001 counter drop"]);
        assert_eq!(all(quic, Fault::OneWay), ["udp dport 4002 counter drop"]);
        assert_eq!(all(quic, Fault::NoTcp), [""; 0]);
        assert_eq!(all(tcp, Fault::NoQuic), [""; 0]);
        assert_eq!(all(quic, Fault::Narrow)[1], "udp sport 4002 meta length > 1300 counter drop");
        assert_eq!(all("/dns4/host", Fault::Isolate), [""; 0]);
    }
}
