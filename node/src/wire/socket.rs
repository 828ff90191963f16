//! TCP sockets that notice when nothing gets through any more.
//!
//! What is sent and not acknowledged is sent again, ever more seldom, for a quarter of an hour before the system gives up. A
//! network that has begun to drop TCP, or large packets, would be noticed after that. With a limit of ours the connection
//! ends within seconds. Waiting for an answer does not count: the system of the other side acknowledges what comes, also when
//! its daemon is busy. Only Linux can do this; elsewhere neighbours are given up when their probes fail.

use std::time::Duration;

use libp2p::tcp::{self, tokio::TcpStream};
use libp2p::{Transport, core::transport::map::Map};

/// How long data may stay unacknowledged. Design: four or five attempts to send it.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(4);

/// TCP whose sockets, on both sides, end after [`UNACKNOWLEDGED_MAX`].
pub(super) fn tcp()
-> Map<tcp::tokio::Transport, impl FnOnce(TcpStream, libp2p::core::ConnectedPoint) -> TcpStream + Clone> {
    tcp::tokio::Transport::new(tcp::Config::default()).map(|stream, _| {
        limit(&stream);
        stream
    })
}

#[cfg(target_os = "linux")]
fn limit(stream: &TcpStream) {
    let millis = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&stream.0, millis) {
        tracing::debug!(%error, "a socket keeps the system's patience");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit(_: &TcpStream) {}
