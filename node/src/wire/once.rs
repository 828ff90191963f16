//! One message on a stream, whole and bounded: how a request and its reply travel on a stream of their own.

use std::io;

use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// Writes the length in four bytes, the highest first, and the content: the only ones of this side.
pub(crate) async fn write_once(stream: &mut (impl AsyncWrite + Unpin), content: &[u8]) -> io::Result<()> {
    let length = u32::try_from(content.len()).map_err(|_| io::ErrorKind::InvalidData)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(content).await?;
    stream.close().await
}

/// Reads as much as is announced, `max` bytes at most, and allocates only for what comes.
pub(crate) async fn read_once(stream: &mut (impl AsyncRead + Unpin), max: u64) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await?;
    let length = u64::from(u32::from_be_bytes(length));
    if length > max {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = Vec::new();
    stream.take(length).read_to_end(&mut content).await?;
    if content.len() as u64 == length { Ok(content) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

#[cfg(test)]
mod tests {
    use futures::io::Cursor;

    use super::*;

    #[tokio::test]
    async fn what_is_written_is_read_and_no_more_than_allowed() {
        let mut written = Cursor::new(Vec::new());
        write_once(&mut written, b"revocations").await.expect("room");
        let bytes = written.into_inner();
        assert_eq!(read_once(&mut Cursor::new(&bytes), 11).await.expect("whole"), b"revocations");
        for cut in 0..bytes.len() {
            assert!(read_once(&mut Cursor::new(&bytes[..cut]), 11).await.is_err(), "cut after {cut}");
        }
        let error = read_once(&mut Cursor::new(&bytes), 10).await.expect_err("too long");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    }
}
