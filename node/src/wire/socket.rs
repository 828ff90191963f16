//! TCP sockets that notice when nothing gets through any more.
//!
//! What is sent and not acknowledged is sent again, ever more seldom, for a quarter of an hour before the system gives
//! up. A network that has begun to drop TCP, or large packets, would be noticed after that. With a limit of ours the
//! connection ends within seconds. Waiting for an answer does not count: the system of the other side acknowledges what
//! comes, also when its daemon is busy. Where nothing is said for minutes, as between a relay and whoever has reserved
//! there, the system asks whether the other side is still there. Only Linux can do this; elsewhere neighbours are given
//! up when their probes fail.

use std::time::Duration;

use libp2p::tcp::{self, tokio::TcpStream};
use libp2p::{Transport, core::transport::map::Map};

/// How long data may stay unacknowledged. Design: four or five attempts to send it.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(4);

/// After so long without a word the system asks. Shorter than NATs remember connections (RFC 5382: two hours; many,
/// five minutes).
const SILENT_MAX: Duration = Duration::from_secs(240);
/// How long it waits for the answer. It asks once: with a limit on what is unacknowledged, the second time is too late.
const ANSWER_MAX: Duration = Duration::from_secs(10);

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
    use rustix::net::sockopt;

    let millis = u32::try_from(UNACKNOWLEDGED_MAX.as_millis()).unwrap_or(u32::MAX);
    let limited = sockopt::set_tcp_user_timeout(&stream.0, millis)
        .and_then(|()| sockopt::set_tcp_keepidle(&stream.0, SILENT_MAX))
        .and_then(|()| sockopt::set_tcp_keepintvl(&stream.0, ANSWER_MAX))
        .and_then(|()| sockopt::set_socket_keepalive(&stream.0, true));
    if let Err(error) = limited {
        tracing::debug!(%error, "a socket keeps the system's patience");
    }
}

#[cfg(not(target_os = "linux"))]
fn limit(_: &TcpStream) {}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::net::sockopt;
    use tokio::net::{TcpListener, TcpStream as Socket};

    use super::*;

    #[tokio::test]
    async fn silence_is_noticed_with_and_without_something_to_say() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let socket = Socket::connect(listener.local_addr().expect("bound")).await.expect("loopback");
        let stream = TcpStream(socket);
        assert!(!sockopt::socket_keepalive(&stream.0).expect("a socket"), "not by itself");
        limit(&stream);
        assert_eq!(sockopt::tcp_user_timeout(&stream.0).expect("a socket"), 4_000);
        assert!(sockopt::socket_keepalive(&stream.0).expect("a socket"));
        assert_eq!(sockopt::tcp_keepidle(&stream.0).expect("a socket"), SILENT_MAX);
        assert_eq!(sockopt::tcp_keepintvl(&stream.0).expect("a socket"), ANSWER_MAX);
    }
}
