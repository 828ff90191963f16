//! Where a service manager listens.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a manager may leave its socket full.
const PATIENCE: Duration = Duration::from_secs(5);

/// A Unix socket for datagrams.
pub(super) struct Address(SocketAddr);

impl Address {
    /// As `NOTIFY_SOCKET` names it: an absolute path, or `@` and an abstract name.
    pub(super) fn of(name: &OsStr) -> io::Result<Address> {
        match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name).map(Address),
            [b'@', name @ ..] => of_abstract(name).map(Address),
            _ => Err(io::Error::other("it is neither an absolute path nor `@` and a name")),
        }
    }

    /// By a new socket each time: a manager that was started again listens at another of the same name.
    pub(super) fn send(&self, text: &str) -> io::Result<()> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        socket.send_to_addr(text.as_bytes(), &self.0).map(drop)
    }
}

#[cfg(target_os = "linux")]
fn of_abstract(name: &[u8]) -> io::Result<SocketAddr> {
    use std::os::linux::net::SocketAddrExt;
    SocketAddr::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn of_abstract(_name: &[u8]) -> io::Result<SocketAddr> {
    Err(io::Error::other("this system has no abstract names"))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;

    use super::*;

    #[test]
    fn an_abstract_name_begins_with_an_at_sign() {
        let name = format!("chordage-test-{}", std::process::id());
        let at = SocketAddr::from_abstract_name(&name).unwrap();
        let manager = UnixDatagram::bind_addr(&at).unwrap();
        manager.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        Address::of(OsStr::new(&format!("@{name}"))).unwrap().send("READY=1").unwrap();
        let mut told = [0; 16];
        let length = manager.recv(&mut told).unwrap();
        assert_eq!(&told[..length], b"READY=1");
    }
}
