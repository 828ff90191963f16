//! Which resolvers the system asks.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::fs::File;
use tokio::io::AsyncReadExt;

const FILE: &str = "/etc/resolv.conf";
/// What is read of the file at most, bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Where resolvers listen.
const PORT: u16 = 53;

/// Those of the system at this moment; that of this machine if it names none, as resolv.conf(5) has it.
pub(super) async fn servers() -> Vec<SocketAddr> {
    let mut text = Vec::new();
    if let Ok(file) = File::open(FILE).await {
        let _ = file.take(FILE_BYTES_MAX).read_to_end(&mut text).await;
    }
    let servers = listed(&String::from_utf8_lossy(&text));
    if servers.is_empty() { vec![(Ipv4Addr::LOCALHOST, PORT).into()] } else { servers }
}

/// Those that a file names.
fn listed(text: &str) -> Vec<SocketAddr> {
    let named = text.lines().filter_map(|line| {
        let mut words = line.split_ascii_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        address.parse::<IpAddr>().ok()
    });
    named.map(|ip| (ip, PORT).into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolvers_are_found_among_what_else_stands_there() {
        let text = "# nameserver 192.0.2.9\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # near\n\
                    nameserver\nnameservers 192.0.2.3\noptions edns0\nnameserver somewhere";
        let found: Vec<String> = listed(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53"]);
        assert!(listed("").is_empty());
    }
}
