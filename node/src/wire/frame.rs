//! Framing of both stream classes. Big-endian lengths, hard limits, no trust in what a length claims.
//!
//! ```text
//! dht stream    | u16 length of body | u8 tag: 0 record, 1 message | body            |
//! shard stream  | u32 length of head + payload | u16 length of head | head | payload |
//! ```

use std::io;

use bytes::Bytes;
use futures::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The largest body of a dht frame.
const DHT_BODY_MAX: usize = 16 * 1024;
/// The largest head of a shard frame.
pub(crate) const HEAD_MAX: usize = 48 * 1024;
/// The largest payload of a shard frame: the largest shard with its descriptor.
pub(crate) const PAYLOAD_MAX: usize = (4 << 20) + 64 * 1024;

/// Why a frame could not be read. The stream is unusable afterwards.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    /// The stream broke.
    #[error("the stream broke: {0}")]
    Io(#[from] io::Error),
    /// A length beyond the limit.
    #[error("a frame of {0} bytes is beyond the limit")]
    TooLong(usize),
    /// Bytes that are no frame of this protocol.
    #[error("bytes that are not a frame of this protocol")]
    Malformed,
}

/// A frame of a dht stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum DhtFrame {
    /// The sender's own record: the first frame, and again whenever its addresses change.
    Record(Vec<u8>),
    /// An overlay message.
    Message(Vec<u8>),
}

const TAG_RECORD: u8 = 0;
const TAG_MESSAGE: u8 = 1;

/// Reads one dht frame; `None` when the stream ended between frames.
pub(crate) async fn read_dht<R: AsyncRead + Unpin>(reader: &mut R) -> Result<Option<DhtFrame>, FrameError> {
    let mut head = [0; 3];
    if reader.read(&mut head[..1]).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut head[1..]).await?;
    let len = usize::from(u16::from_be_bytes([head[0], head[1]]));
    if len > DHT_BODY_MAX {
        return Err(FrameError::TooLong(len));
    }
    let mut body = vec![0; len];
    reader.read_exact(&mut body).await?;
    match head[2] {
        TAG_RECORD => Ok(Some(DhtFrame::Record(body))),
        TAG_MESSAGE => Ok(Some(DhtFrame::Message(body))),
        _ => Err(FrameError::Malformed),
    }
}

/// Writes one dht frame without flushing.
pub(crate) async fn write_dht<W: AsyncWrite + Unpin>(writer: &mut W, frame: &DhtFrame) -> io::Result<()> {
    let (tag, body) = match frame {
        DhtFrame::Record(body) => (TAG_RECORD, body),
        DhtFrame::Message(body) => (TAG_MESSAGE, body),
    };
    let len =
        u16::try_from(body.len()).ok().filter(|len| usize::from(*len) <= DHT_BODY_MAX).ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "overlay message beyond the frame limit")
        })?;
    let mut bytes = Vec::with_capacity(3 + body.len());
    bytes.extend_from_slice(&len.to_be_bytes());
    bytes.push(tag);
    bytes.extend_from_slice(body);
    writer.write_all(&bytes).await
}

/// A frame of a shard stream: a typed head and raw bytes, which are never copied into the head's encoding.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ShardFrame<H> {
    pub(crate) head: H,
    /// Written one after the other; read back as one.
    pub(crate) payload: Vec<Bytes>,
}

/// What the lengths at the beginning of a shard frame claim, within the limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShardLengths {
    head: usize,
    payload: usize,
}

impl ShardLengths {
    /// Bytes of the head.
    pub(crate) fn head(self) -> usize {
        self.head
    }

    /// Bytes of the payload.
    pub(crate) fn payload(self) -> usize {
        self.payload
    }
}

/// Reads one shard frame; `None` when the stream ended between frames.
pub(crate) async fn read_shard<R, H>(reader: &mut R) -> Result<Option<(H, Bytes)>, FrameError>
where
    R: AsyncRead + Unpin,
    H: DeserializeOwned,
{
    match read_shard_lengths(reader).await? {
        Some(lengths) => {
            let head = read_shard_head(reader, lengths).await?;
            Ok(Some((head, read_shard_payload(reader, lengths).await?)))
        }
        None => Ok(None),
    }
}

/// Reads the lengths of a shard frame; `None` when the stream ended between frames.
pub(crate) async fn read_shard_lengths<R>(reader: &mut R) -> Result<Option<ShardLengths>, FrameError>
where
    R: AsyncRead + Unpin,
{
    let mut lengths = [0; 6];
    if reader.read(&mut lengths[..1]).await? == 0 {
        return Ok(None);
    }
    reader.read_exact(&mut lengths[1..]).await?;
    let [a, b, c, d, e, f] = lengths;
    let total = u32::from_be_bytes([a, b, c, d]) as usize;
    let head_len = usize::from(u16::from_be_bytes([e, f]));
    if head_len > total || head_len > HEAD_MAX {
        return Err(FrameError::Malformed);
    }
    if total - head_len > PAYLOAD_MAX {
        return Err(FrameError::TooLong(total));
    }
    Ok(Some(ShardLengths { head: head_len, payload: total - head_len }))
}

/// Reads the head, which comes behind the lengths.
pub(crate) async fn read_shard_head<R, H>(reader: &mut R, lengths: ShardLengths) -> Result<H, FrameError>
where
    R: AsyncRead + Unpin,
    H: DeserializeOwned,
{
    let mut head = vec![0; lengths.head];
    reader.read_exact(&mut head).await?;
    postcard::from_bytes(&head).map_err(|_| FrameError::Malformed)
}

/// Reads the payload, which comes behind the head.
pub(crate) async fn read_shard_payload<R>(reader: &mut R, lengths: ShardLengths) -> Result<Bytes, FrameError>
where
    R: AsyncRead + Unpin,
{
    // Zeroed memory of this size comes untouched from the system: a peer that claims a long payload and
    // sends none costs address space, not memory.
    let mut payload = vec![0; lengths.payload];
    reader.read_exact(&mut payload).await?;
    Ok(payload.into())
}

/// Writes one shard frame without flushing.
pub(crate) async fn write_shard<W, H>(writer: &mut W, frame: &ShardFrame<H>) -> io::Result<()>
where
    W: AsyncWrite + Unpin,
    H: Serialize,
{
    let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "shard frame beyond the limit");
    let head = postcard::to_allocvec(&frame.head).map_err(|_| too_long())?;
    let payload: usize = frame.payload.iter().map(Bytes::len).sum();
    if head.len() > HEAD_MAX || payload > PAYLOAD_MAX {
        return Err(too_long());
    }
    let total = u32::try_from(head.len() + payload).map_err(|_| too_long())?;
    let head_len = u16::try_from(head.len()).map_err(|_| too_long())?;
    let mut bytes = Vec::with_capacity(6 + head.len());
    bytes.extend_from_slice(&total.to_be_bytes());
    bytes.extend_from_slice(&head_len.to_be_bytes());
    bytes.extend_from_slice(&head);
    writer.write_all(&bytes).await?;
    for part in &frame.payload {
        writer.write_all(part).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use futures::io::Cursor;

    use super::*;

    fn written<H: Serialize>(frame: &ShardFrame<H>) -> Vec<u8> {
        let mut bytes = Vec::new();
        block_on(write_shard(&mut bytes, frame)).expect("within limits");
        bytes
    }

    #[test]
    fn shard_frames_come_back_and_end_cleanly() {
        let frame = ShardFrame {
            head: (7u32, "put".to_owned()),
            payload: vec![Bytes::from_static(b"ab"), Bytes::from_static(b"c")],
        };
        let mut reader = Cursor::new(written(&frame));
        let (head, payload): ((u32, String), Bytes) =
            block_on(read_shard(&mut reader)).expect("valid").expect("one frame");
        assert_eq!((head, payload.as_ref()), (frame.head, b"abc".as_ref()));
        assert!(block_on(read_shard::<_, (u32, String)>(&mut reader)).expect("end").is_none());
    }

    #[test]
    fn a_cut_frame_is_an_error_and_not_an_end() {
        let bytes = written(&ShardFrame { head: 1u8, payload: vec![Bytes::from_static(&[9; 40])] });
        for cut in 1..bytes.len() {
            let read = block_on(read_shard::<_, u8>(&mut Cursor::new(&bytes[..cut])));
            assert!(matches!(read, Err(FrameError::Io(_))), "cut at {cut}");
        }
    }

    #[test]
    fn lengths_beyond_the_limits_are_refused_before_anything_is_reserved() {
        let mut claim = u32::MAX.to_be_bytes().to_vec();
        claim.extend_from_slice(&[0, 1, 0]);
        assert!(matches!(
            block_on(read_shard::<_, u8>(&mut Cursor::new(claim))),
            Err(FrameError::TooLong(_))
        ));
        let head_longer_than_all = [0, 0, 0, 1, 0, 9, 0, 0, 0];
        assert!(matches!(
            block_on(read_shard::<_, u8>(&mut Cursor::new(head_longer_than_all))),
            Err(FrameError::Malformed)
        ));
        assert!(matches!(block_on(read_dht(&mut Cursor::new([0xff, 0xff, 1]))), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn dht_frames_come_back() {
        let frames = [DhtFrame::Record(vec![1, 2]), DhtFrame::Message(vec![3; 900])];
        let mut bytes = Vec::new();
        for frame in &frames {
            block_on(write_dht(&mut bytes, frame)).expect("within limits");
        }
        let mut reader = Cursor::new(bytes);
        for frame in frames {
            assert_eq!(block_on(read_dht(&mut reader)).expect("valid"), Some(frame));
        }
        assert_eq!(block_on(read_dht(&mut reader)).expect("end"), None);
    }
}
