//! Asking a router to forward ports (UPnP IGD): finding it on the LAN, reading what it says of itself, and the three
//! requests that are needed.
//!
//! Anybody on the LAN can answer, and say anything. So everything has a deadline and a largest size, nobody is fetched
//! from but whoever answered, and what is forwarded is no more than a hint of how this daemon may be reached.

mod description;
mod document;
mod location;
mod soap;
mod ssdp;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST};
use hyper::http::request::Builder;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpSocket, UdpSocket};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use self::description::{Service, services};
use self::document::DOCUMENT_MAX;
use self::location::Location;
use self::soap::{Action, Answer, AnswerError};
pub(crate) use self::soap::{Fault, Mapping, Transport};
pub(crate) use self::ssdp::EVERYBODY;
use self::ssdp::{ANSWER_MAX, location, search};

/// How long a mapping lasts unless it is renewed.
pub(crate) const LEASE: Duration = Duration::from_secs(3600);
/// How long answers to a search are waited for.
const SEARCH: Duration = Duration::from_secs(3);
/// How long after the first search the second one is sent: datagrams get lost.
const SEARCH_AGAIN: Duration = Duration::from_millis(500);
/// How many of those who answer are looked at, one answer of each.
const ANSWERS_MAX: usize = 8;
/// Datagrams that are read in one search.
const DATAGRAMS_MAX: usize = 256;
/// How far a search goes: devices in other subnets of a house may be meant (UPnP Device Architecture 1.1, section
/// 1.3.2).
const SEARCH_TTL: u32 = 2;
/// How long one request may take, from dialling to the end of the answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why a router forwards nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PortmapError {
    #[error("no router answers")]
    NoRouter,
    #[error("the router is not reached: {0}")]
    Io(#[from] io::Error),
    #[error("the router does not speak HTTP: {0}")]
    Http(#[from] hyper::Error),
    #[error("the router does not answer in time")]
    TimedOut,
    #[error("the router answers with more than {DOCUMENT_MAX} bytes")]
    TooLong,
    #[error("the router answers with HTTP status {0}")]
    Status(StatusCode),
    #[error("the router forwards no ports")]
    NoService,
    #[error("the address of the router, {0}, is none that others reach")]
    Address(Ipv4Addr),
    #[error(transparent)]
    Answer(#[from] AnswerError),
}

/// A router that forwards ports.
#[derive(Clone, Debug)]
pub(crate) struct Gateway {
    /// The address of this machine from which it is asked, and to which it forwards.
    local: Ipv4Addr,
    service: Service,
    /// Where others see it, by its own word.
    external: Ipv4Addr,
}

impl Gateway {
    /// The first router to answer a search from `local`, sent to `target`, whose address is one that is wanted.
    pub(crate) async fn find(
        local: Ipv4Addr,
        target: SocketAddrV4,
        wanted: impl Fn(Ipv4Addr) -> bool,
    ) -> Result<Gateway, PortmapError> {
        let socket = UdpSocket::bind((local, 0)).await?;
        socket.set_multicast_ttl_v4(SEARCH_TTL)?;
        rustix::net::sockopt::set_ip_multicast_if(&socket, &local).map_err(io::Error::from)?;
        socket.send_to(search().as_bytes(), target).await?;
        let begun = Instant::now();
        let mut again_at = Some(begun + SEARCH_AGAIN);
        let (mut datagrams, mut met) = (0, BTreeSet::new());
        let (mut attempts, mut last) = (FuturesUnordered::new(), PortmapError::NoRouter);
        let mut buffer = [0; ANSWER_MAX];
        loop {
            let listens = datagrams < DATAGRAMS_MAX && met.len() < ANSWERS_MAX && begun.elapsed() < SEARCH;
            if !listens && attempts.is_empty() {
                return Err(last);
            }
            tokio::select! {
                received = socket.recv_from(&mut buffer), if listens => {
                    datagrams += 1;
                    // An error is that of what was sent before: somebody does not listen there.
                    let Ok((length, SocketAddr::V4(from))) = received else { continue };
                    if let Some(at) = location(&buffer[..length], *from.ip())
                        && met.insert(*from.ip())
                    {
                        attempts.push(Gateway::at(local, at));
                    }
                }
                Some(found) = attempts.next() => match found {
                    Ok(gateway) if wanted(gateway.external) => return Ok(gateway),
                    Ok(gateway) => last = PortmapError::Address(gateway.external),
                    Err(error) => last = error,
                },
                () = sleep_until(again_at.unwrap_or(begun + SEARCH)), if listens => {
                    if again_at.take().is_some() {
                        socket.send_to(search().as_bytes(), target).await?;
                    }
                }
            }
        }
    }

    /// The router whose description is there.
    async fn at(local: Ipv4Addr, at: Location) -> Result<Gateway, PortmapError> {
        let request = Request::builder().method(Method::GET);
        let (status, description) = exchange(local, &at, request, String::new()).await?;
        if !status.is_success() {
            return Err(PortmapError::Status(status));
        }
        let mut last = PortmapError::NoService;
        for service in services(&description, &at) {
            match external(local, &service).await {
                Ok(external) => return Ok(Gateway { local, service, external }),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// The address of this machine to which it forwards.
    pub(crate) fn local(&self) -> Ipv4Addr {
        self.local
    }

    /// Where others see it, as it said when it was found.
    pub(crate) fn external(&self) -> Ipv4Addr {
        self.external
    }

    /// Whether it is still there, with the same address.
    pub(crate) async fn is_same(&self) -> bool {
        external(self.local, &self.service).await.is_ok_and(|external| external == self.external)
    }

    /// Has a port of this machine forwarded from the first of these that the router gives.
    pub(crate) async fn map(
        &self,
        transport: Transport,
        internal: u16,
        externals: &[u16],
    ) -> Result<Mapping, PortmapError> {
        let mut last = PortmapError::NoService;
        for external in externals {
            let mapping = Mapping { transport, external: *external, internal };
            let mut added = self.add(mapping, LEASE.as_secs() as u32).await;
            if added.as_ref().is_err_and(|error| error.is(Fault::PermanentOnly)) {
                added = self.add(mapping, 0).await;
            }
            match added {
                Ok(()) => return Ok(mapping),
                Err(error) if error.is(Fault::Conflict) => last = error,
                Err(error) => return Err(error),
            }
        }
        Err(last)
    }

    async fn add(&self, mapping: Mapping, lease: u32) -> Result<(), PortmapError> {
        ask(self.local, &self.service, Action::Add { mapping, client: self.local, lease }).await.map(drop)
    }

    /// Has it forwarded no longer.
    pub(crate) async fn unmap(&self, mapping: Mapping) -> Result<(), PortmapError> {
        ask(self.local, &self.service, Action::Delete(mapping)).await.map(drop)
    }
}

impl PortmapError {
    fn is(&self, fault: Fault) -> bool {
        matches!(self, PortmapError::Answer(AnswerError::Fault(found)) if *found == fault)
    }
}

async fn external(local: Ipv4Addr, service: &Service) -> Result<Ipv4Addr, PortmapError> {
    match ask(local, service, Action::ExternalAddress).await? {
        Answer::Address(address) => Ok(address),
        Answer::Done => Err(AnswerError::Unreadable.into()),
    }
}

async fn ask(local: Ipv4Addr, service: &Service, action: Action) -> Result<Answer, PortmapError> {
    let request = Request::builder()
        .method(Method::POST)
        .header(CONTENT_TYPE, "text/xml; charset=\"utf-8\"")
        .header("SOAPAction", action.header(service.kind));
    let (status, document) =
        exchange(local, &service.control, request, action.document(service.kind)).await?;
    match action.answer(&document) {
        Err(AnswerError::Unreadable) if !status.is_success() => Err(PortmapError::Status(status)),
        answer => Ok(answer?),
    }
}

/// One request on a connection of its own, and the whole answer.
async fn exchange(
    local: Ipv4Addr,
    at: &Location,
    request: Builder,
    body: String,
) -> Result<(StatusCode, Bytes), PortmapError> {
    let exchanged = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind((IpAddr::from(local), 0).into())?;
        let stream = socket.connect(at.host.into()).await?;
        let (mut sender, connection) = http1::Builder::new()
            .title_case_headers(true)
            .max_buf_size(DOCUMENT_MAX)
            .handshake(TokioIo::new(stream))
            .await?;
        let _connection = AbortOnDropHandle::new(tokio::spawn(async move {
            // Its error reaches the request or the body.
            let _ = connection.await;
        }));
        let request = request.uri(&at.path).header(HOST, at.host.to_string()).header(CONNECTION, "close");
        let request = request.body(Full::new(Bytes::from(body))).map_err(io::Error::other)?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), DOCUMENT_MAX).collect().await;
        let body = body.map_err(|error| match error.downcast::<hyper::Error>() {
            Ok(error) => PortmapError::Http(*error),
            Err(error) if error.is::<LengthLimitError>() => PortmapError::TooLong,
            Err(error) => PortmapError::Io(io::Error::other(error)),
        })?;
        Ok((status, body.to_bytes()))
    };
    timeout(PATIENCE, exchanged).await.unwrap_or(Err(PortmapError::TimedOut))
}
