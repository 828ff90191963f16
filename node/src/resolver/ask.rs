//! One question to one resolver.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hickory_proto::op::{Edns, Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::{answers, decode};

/// Longest answer that is taken over UDP, bytes: what passes every usual path in one piece.
const PAYLOAD: u16 = 1232;

/// Asks over UDP, and over TCP if the answer does not fit.
pub(super) async fn ask(server: SocketAddr, name: &Name) -> io::Result<Message> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(name.clone(), RecordType::TXT));
    let mut edns = Edns::new();
    edns.set_max_payload(PAYLOAD);
    question.set_edns(edns);
    let id = question.metadata.id;
    let bytes = question.to_vec().map_err(io::Error::other)?;
    let answer = over_udp(server, &bytes, id, name).await?;
    if answer.metadata.truncation { over_tcp(server, &bytes, id, name).await } else { Ok(answer) }
}

async fn over_udp(server: SocketAddr, question: &[u8], id: u16, name: &Name) -> io::Result<Message> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    // Each question has a port of its own, so that a stranger has to guess that too.
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut buffer = [0; PAYLOAD as usize];
    loop {
        let length = socket.recv(&mut buffer).await?;
        // Whatever else arrives is not for us, and may be an attempt to be first.
        if let Some(answer) = decode(&buffer[..length]).filter(|answer| answers(answer, id, name)) {
            return Ok(answer);
        }
    }
}

async fn over_tcp(server: SocketAddr, question: &[u8], id: u16, name: &Name) -> io::Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    let nonsense = || io::Error::new(io::ErrorKind::InvalidData, "its answer makes no sense");
    decode(&answer).filter(|answer| answers(answer, id, name)).ok_or_else(nonsense)
}
