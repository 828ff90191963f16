//! One stream of a libp2p connection over loopback TCP, with noise and yamux, both ends on this machine.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

use futures::future::{Either, select};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::{StreamMuxerBox, StreamMuxerExt};
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::upgrade::Version;
use libp2p::core::{Endpoint, Transport};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId, noise, tcp, yamux};

use crate::Failure;

/// Bytes over each connection.
const BYTES: usize = 192 << 20;

/// MB/s of so many connections together, each with a thread for either end, in frames of so many bytes.
pub(crate) fn measure(connections: usize, frame: usize) -> Result<f64, Failure> {
    let rates: Vec<Result<f64, String>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|_| scope.spawn(|| pair(frame).map_err(|error| error.to_string())))
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(Err("it panicked".to_owned()))).collect()
    });
    Ok(rates.into_iter().sum::<Result<f64, String>>()?)
}

fn pair(frame: usize) -> Result<f64, Failure> {
    let (told, address) = std::sync::mpsc::channel();
    let frames = BYTES / frame;
    let receiver = std::thread::spawn(move || {
        let received = block_on(async move {
            let mut transport = transport()?;
            transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/tcp/0".parse()?)?;
            let upgrade = loop {
                match transport.next().await {
                    Some(TransportEvent::NewAddress { listen_addr, .. }) => told.send(listen_addr)?,
                    Some(TransportEvent::Incoming { upgrade, .. }) => break upgrade,
                    Some(_) => {}
                    None => return Err("the listener closed".into()),
                }
            };
            // The transport has to be polled for connections only; this one is there.
            let (_, mut muxer) = upgrade.await?;
            let mut stream = poll_fn(|cx| inbound(&mut muxer, cx)).await?;
            let work = async {
                let mut buffer = vec![0; frame];
                for _ in 0..frames {
                    stream.read_exact(&mut buffer).await?;
                }
                stream.write_all(b"!").await?;
                stream.flush().await?;
                // Until the other end has seen it and closes.
                let _ = stream.read(&mut buffer).await;
                Ok::<(), Failure>(())
            };
            driven(work, muxer).await
        });
        received.map_err(|error| error.to_string())
    });
    let address: Multiaddr = address.recv()?;
    let seconds = block_on(async move {
        let mut transport = transport()?;
        let how = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
        let (_, mut muxer) = transport.dial(address, how)?.await?;
        let mut stream = poll_fn(|cx| outbound(&mut muxer, cx)).await?;
        let work = async {
            let buffer = vec![7; frame];
            let started = Instant::now();
            for _ in 0..frames {
                stream.write_all(&buffer).await?;
            }
            stream.flush().await?;
            stream.read_exact(&mut [0]).await?;
            Ok::<f64, Failure>(started.elapsed().as_secs_f64())
        };
        driven(work, muxer).await
    })?;
    receiver.join().map_err(|_| "the receiver panicked")??;
    Ok((frames * frame) as f64 / 1e6 / seconds)
}

fn transport() -> Result<Boxed<(PeerId, StreamMuxerBox)>, Failure> {
    let key = Keypair::generate_ed25519();
    Ok(tcp::tokio::Transport::new(tcp::Config::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&key)?)
        .multiplex(yamux::Config::default())
        .boxed())
}

fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(future)
}

type Opened = Poll<Result<libp2p::core::muxing::SubstreamBox, std::io::Error>>;

fn inbound(muxer: &mut StreamMuxerBox, cx: &mut std::task::Context<'_>) -> Opened {
    if let Poll::Ready(Err(error)) = muxer.poll_unpin(cx) {
        return Poll::Ready(Err(error));
    }
    muxer.poll_inbound_unpin(cx)
}

fn outbound(muxer: &mut StreamMuxerBox, cx: &mut std::task::Context<'_>) -> Opened {
    if let Poll::Ready(Err(error)) = muxer.poll_unpin(cx) {
        return Poll::Ready(Err(error));
    }
    muxer.poll_outbound_unpin(cx)
}

/// Runs `work` while the connection moves.
async fn driven<T>(
    work: impl Future<Output = Result<T, Failure>>,
    mut muxer: StreamMuxerBox,
) -> Result<T, Failure> {
    let mut open = true;
    let moving = poll_fn(move |cx| {
        // When the connection ends, so do the streams, and with them the work.
        open = open && !matches!(muxer.poll_unpin(cx), Poll::Ready(Err(_)));
        Poll::<std::convert::Infallible>::Pending
    });
    match select(std::pin::pin!(work), moving).await {
        Either::Left((done, _)) => done,
        Either::Right((never, _)) => match never {},
    }
}
