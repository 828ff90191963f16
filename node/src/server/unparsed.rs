//! Requests that are none. The HTTP library answers them itself, with a status and nothing else, before any of our code
//! sees them; on the way out that answer gets the body that all others have.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::problem;

/// `S`, on which the library's own answers become problems.
pub(super) struct Explained<S> {
    io: S,
    /// What is written in place of the library's answer, as long as not all of it is taken.
    instead: Vec<u8>,
    taken: usize,
}

impl<S> Explained<S> {
    pub(super) fn new(io: S) -> Self {
        Explained { io, instead: Vec::new(), taken: 0 }
    }
}

impl<S: AsyncWrite + Unpin> Explained<S> {
    /// Writes what stands for `bytes` if they are the library's answer. `None` if they are not.
    fn poll_instead(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Option<Poll<io::Result<usize>>> {
        if self.instead.is_empty() {
            self.instead = explained(bytes)?;
        }
        Some(self.poll_all(cx).map_ok(|()| bytes.len()))
    }

    fn poll_all(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.taken < self.instead.len() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.instead[self.taken..]))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                taken => self.taken += taken,
            }
        }
        self.instead.clear();
        self.taken = 0;
        Poll::Ready(Ok(()))
    }
}

/// The answer with a body, if it is one of those that the library makes: a head alone, of a status for a request that
/// cannot be read. Ours have a body all of them.
fn explained(bytes: &[u8]) -> Option<Vec<u8>> {
    let head = std::str::from_utf8(bytes.strip_suffix(b"\r\n\r\n")?).ok()?;
    let mut lines = head.split("\r\n");
    let status_line = lines.next()?;
    let (version, status) = status_line.split_once(' ')?;
    let empty = |line: &&str| line.eq_ignore_ascii_case("content-length: 0");
    if !version.starts_with("HTTP/1.") || !head.split("\r\n").any(|line| empty(&line)) {
        return None;
    }
    let (message, hint) = match status.get(..3)? {
        "400" => (
            "this is no HTTP/1.1 request: its first line or a header is malformed",
            "percent-encode what is not ASCII in a path: /v1/openapi.json says what there is",
        ),
        "414" => {
            ("the URI is too long", "see /v1/openapi.json for what goes into a path and what into a body")
        }
        "431" => ("the headers are too long", "send fewer or shorter headers"),
        _ => return None,
    };
    let body = serde_json::to_string(&problem::bad_request(message, hint)).ok()?;
    let rest = lines.filter(|line| !empty(line)).map(|line| format!("{line}\r\n")).collect::<String>();
    let length = body.len();
    let answer = format!(
        "{status_line}\r\n{rest}content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    Some(answer.into_bytes())
}

impl<S: AsyncRead + Unpin> AsyncRead for Explained<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Explained<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.poll_instead(cx, bytes) {
            Some(written) => written,
            None => Pin::new(&mut self.io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // The library's answer comes in one piece.
        if let [only] = bytes
            && let Some(written) = self.poll_instead(cx, only)
        {
            return written;
        }
        Pin::new(&mut self.io).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use chordage_api::types::Problem;

    use super::*;

    #[test]
    fn only_the_librarys_own_answers_get_a_body() {
        let answer =
            explained(b"HTTP/1.1 414 URI Too Long\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
                .unwrap();
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 414 URI Too Long\r\nconnection: close\r\n"), "{head}");
        assert!(head.ends_with(&format!("content-length: {}", body.len())), "{head}");
        assert!(serde_json::from_str::<Problem>(body).is_ok());
        for other in [
            &b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"[..],
            b"HTTP/1.1 400 Bad Request\r\ncontent-length: 20\r\n\r\n",
            b"HTTP/1.1 414 URI Too Long\r\ncontent-length: 0\r\n",
            b"\xff\r\n\r\n",
        ] {
            assert_eq!(explained(other), None, "{}", other.escape_ascii());
        }
    }
}
