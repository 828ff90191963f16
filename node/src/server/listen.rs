//! Where the server listens.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use chordage_api::endpoint::{SOCKET_FILE, TOKEN_FILE};
use chordage_api::hex;
use tokio::net::{TcpListener, UnixListener};

use crate::datadir::{DataDir, DataDirError};

/// Longest path of a socket, bytes. The system's limit is 107 on Linux and 103 on macOS.
const SOCKET_PATH_MAX: usize = 100;

/// Why the API cannot be served. Nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The Unix socket cannot be made.
    #[error("cannot listen on {path}: {source}", path = path.display())]
    Socket {
        /// Its path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder for sockets belongs to somebody else or is open to others.
    #[error("{} is not a directory of ours alone; remove it, or set XDG_RUNTIME_DIR", .0.display())]
    UnsafeFolder(PathBuf),
    /// The address would reach beyond the machine.
    #[error("{0} is not a loopback address; the API does not leave the machine")]
    NotLoopback(SocketAddr),
    /// The port is taken, or the system refused.
    #[error("cannot listen on {address}: {source}")]
    Port {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A file in the data directory cannot be written.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

/// Listens on a socket in `dir`, or in a shorter place when the path is too long for the system.
pub(super) fn bind_unix(dir: &Path) -> Result<(UnixListener, PathBuf), ServeError> {
    let path = socket_path(dir)?;
    let failed = |source| ServeError::Socket { path: path.clone(), source };
    // The data directory is locked by us, so a socket that is there is a dead daemon's.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&path).map_err(failed)?;
    // Until here the folder, which only we may enter, protected it.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
    Ok((listener, path))
}

fn socket_path(dir: &Path) -> Result<PathBuf, ServeError> {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let path = absolute.join(SOCKET_FILE);
    if path.as_os_str().len() <= SOCKET_PATH_MAX {
        return Ok(path);
    }
    let name = format!("{}.sock", hex(&blake3::hash(absolute.as_os_str().as_bytes()).as_bytes()[..8]));
    Ok(socket_folder()?.join(name))
}

/// A folder with a short path that only we may enter.
fn socket_folder() -> Result<PathBuf, ServeError> {
    let own = rustix::process::geteuid().as_raw();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let folder = match runtime {
        // Clients are told the path in a line of text.
        Some(runtime)
            if runtime.is_absolute()
                && runtime.to_str().is_some_and(|text| text.len() <= 60 && !text.contains(['\n', '\r'])) =>
        {
            runtime.join("chordage")
        }
        _ => PathBuf::from(format!("/tmp/chordage-{own}")),
    };
    let failed = |source| ServeError::Socket { path: folder.clone(), source };
    match fs::DirBuilder::new().mode(0o700).create(&folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(failed(error)),
        _ => {}
    }
    // Anybody may have made a folder of that name in /tmp, or a symlink.
    let metadata = fs::symlink_metadata(&folder).map_err(failed)?;
    if metadata.is_dir() && metadata.uid() == own && metadata.mode() & 0o077 == 0 {
        Ok(folder)
    } else {
        Err(ServeError::UnsafeFolder(folder))
    }
}

/// Listens on a loopback port with a fresh token, which goes into the data directory.
pub(super) async fn bind_tcp(
    dir: &DataDir,
    address: SocketAddr,
) -> Result<(TcpListener, SocketAddr, String), ServeError> {
    if !address.ip().is_loopback() {
        return Err(ServeError::NotLoopback(address));
    }
    let failed = |source| ServeError::Port { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).map_err(|error| failed(io::Error::other(error.to_string())))?;
    let token = hex(&secret);
    dir.write(TOKEN_FILE, format!("{token}\n").as_bytes())?;
    Ok((listener, bound, token))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_socket_is_ours_alone_and_replaces_a_dead_one() {
        let dir = tempfile::tempdir().unwrap();
        let (first, path) = bind_unix(dir.path()).unwrap();
        assert_eq!(path, dir.path().join(SOCKET_FILE));
        drop(first);
        assert!(path.exists(), "a killed daemon leaves its socket");
        let (_second, path) = bind_unix(dir.path()).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn a_path_too_long_for_the_system_gets_a_short_one() {
        let dir = tempfile::tempdir().unwrap();
        let long = dir.path().join("x".repeat(120));
        fs::create_dir(&long).unwrap();
        let (_listener, path) = bind_unix(&long).unwrap();
        assert!(path.as_os_str().len() <= SOCKET_PATH_MAX, "{}", path.display());
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        fs::remove_file(path).unwrap();
    }
}
