//! Where a daemon's API listens, and how a client finds it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// File in a data directory that holds the endpoint of its running daemon, one line.
pub const ENDPOINT_FILE: &str = "api";
/// File in a data directory that holds the bearer token of a TCP endpoint.
pub const TOKEN_FILE: &str = "api.token";
/// Socket in a data directory.
pub const SOCKET_FILE: &str = "api.sock";

/// An endpoint file and a token are short; whatever is longer is something else.
const FILE_BYTES_MAX: u64 = 4096;

/// Address of a daemon's API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A Unix socket; file permissions decide who may use it.
    Unix(PathBuf),
    /// A loopback TCP port; a bearer token decides who may use it.
    Tcp(SocketAddr),
}

/// Why an address is not one, or no daemon stands behind it.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// The text is none of the accepted forms.
    #[error("`{0}` is not an API address")]
    Malformed(String),
    /// The API speaks plain HTTP with a bearer token, so it stays on the machine.
    #[error("{0} is not a loopback address; the API does not leave the machine")]
    NotLoopback(IpAddr),
    /// The data directory has no endpoint file: no daemon runs there, or it has not finished starting.
    #[error("no daemon is running in {}", .0.display())]
    NoDaemon(PathBuf),
    /// Neither a socket nor a directory is at the path.
    #[error("there is no socket and no data directory at {}", .0.display())]
    NoSuchPath(PathBuf),
    /// The endpoint or token file is there but cannot be used.
    #[error("cannot read {}: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    /// Reads `unix:/path` or `http://127.0.0.1:PORT`. Touches no file.
    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(EndpointError::Malformed(text.to_owned()));
            }
            return Ok(Endpoint::Unix(PathBuf::from(path)));
        }
        let Some(authority) = text.strip_prefix("http://") else {
            return Err(EndpointError::Malformed(text.to_owned()));
        };
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let numeric = match authority.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => authority.to_owned(),
        };
        let address: SocketAddr = numeric.parse().map_err(|_| EndpointError::Malformed(text.to_owned()))?;
        if !address.ip().is_loopback() {
            return Err(EndpointError::NotLoopback(address.ip()));
        }
        Ok(Endpoint::Tcp(address))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Unix(path) => write!(f, "unix:{}", path.display()),
            Endpoint::Tcp(address) => write!(f, "http://{address}"),
        }
    }
}

/// An endpoint together with the token that was found beside it.
#[derive(Clone, Debug)]
pub struct Located {
    /// Where to connect.
    pub endpoint: Endpoint,
    /// Token from the data directory, when the endpoint needs one and came from there.
    pub token: Option<String>,
}

impl Located {
    /// Finds the endpoint meant by `text`: `unix:/path`, `http://127.0.0.1:PORT`, the path of a socket, or a data
    /// directory.
    pub fn find(text: &str) -> Result<Self, EndpointError> {
        if text.starts_with("unix:") || text.contains("://") {
            return Ok(Located { endpoint: text.parse()?, token: None });
        }
        let path = Path::new(text);
        match path.metadata() {
            Ok(metadata) if metadata.is_dir() => Self::in_data_dir(path),
            // Connecting tells best whether it is a socket and somebody listens.
            Ok(_) => Ok(Located { endpoint: Endpoint::Unix(path.to_owned()), token: None }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(EndpointError::NoSuchPath(path.to_owned()))
            }
            Err(source) => Err(EndpointError::Unreadable { path: path.to_owned(), source }),
        }
    }

    /// The endpoint of the daemon that runs in `dir`, from the file it writes when it is ready.
    pub fn in_data_dir(dir: &Path) -> Result<Self, EndpointError> {
        let path = dir.join(ENDPOINT_FILE);
        let line = match read_short(&path) {
            Ok(line) => line,
            Err(EndpointError::Unreadable { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Err(EndpointError::NoDaemon(dir.to_owned()));
            }
            Err(error) => return Err(error),
        };
        let endpoint: Endpoint = line.parse()?;
        let token = match &endpoint {
            Endpoint::Unix(_) => None,
            Endpoint::Tcp(_) => Some(read_short(&dir.join(TOKEN_FILE))?),
        };
        Ok(Located { endpoint, token })
    }
}

/// The first line of a small text file: an endpoint or a token.
pub fn read_short(path: &Path) -> Result<String, EndpointError> {
    let unreadable = |source| EndpointError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, FILE_BYTES_MAX), &mut text).map_err(unreadable)?;
    let line = text.lines().next().unwrap_or_default().trim();
    if line.is_empty() {
        return Err(unreadable(io::Error::new(io::ErrorKind::InvalidData, "the file is empty")));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn reads_both_kinds_and_prints_them_back() {
        for text in ["unix:/tmp/a b/api.sock", "http://127.0.0.1:4711", "http://[::1]:4711"] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        assert_eq!(
            "http://localhost:80/".parse::<Endpoint>().unwrap(),
            Endpoint::Tcp("127.0.0.1:80".parse().unwrap())
        );
    }

    #[test]
    fn refuses_addresses_beyond_the_machine() {
        let error = "http://10.0.0.1:80".parse::<Endpoint>().unwrap_err();
        assert!(matches!(error, EndpointError::NotLoopback(_)), "{error}");
        for text in
            ["", "unix:", "https://127.0.0.1:1", "http://127.0.0.1", "http://example.org:80", "ftp://x"]
        {
            let error = text.parse::<Endpoint>().unwrap_err();
            assert!(matches!(error, EndpointError::Malformed(_)), "{text:?}: {error}");
        }
    }

    #[test]
    fn finds_the_daemon_of_a_data_directory() {
        let dir = tempfile::tempdir().unwrap();
        let spec = dir.path().to_str().unwrap();
        assert!(matches!(Located::find(spec), Err(EndpointError::NoDaemon(_))));

        std::fs::write(dir.path().join(ENDPOINT_FILE), "unix:/run/x.sock\n").unwrap();
        let located = Located::find(spec).unwrap();
        assert_eq!(located.endpoint, Endpoint::Unix("/run/x.sock".into()));

        std::fs::write(dir.path().join(ENDPOINT_FILE), "http://127.0.0.1:9\n").unwrap();
        assert!(matches!(Located::find(spec), Err(EndpointError::Unreadable { .. })), "the token is missing");
        std::fs::write(dir.path().join(TOKEN_FILE), "secret\n").unwrap();
        assert_eq!(Located::find(spec).unwrap().token.as_deref(), Some("secret"));

        let missing = dir.path().join("nowhere");
        assert!(matches!(Located::find(missing.to_str().unwrap()), Err(EndpointError::NoSuchPath(_))));
    }
}
