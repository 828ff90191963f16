#![allow(clippy::unwrap_used)]

pub(crate) mod router;

use self::router::{Manner, Router, answer_to_search};
use super::*;

const LOCAL: Ipv4Addr = Ipv4Addr::LOCALHOST;

async fn find(router: &Router) -> Result<Gateway, PortmapError> {
    Gateway::find(LOCAL, router.searched_at, |_| true).await
}

#[tokio::test]
async fn a_port_is_forwarded_and_given_back() {
    let router = Router::start().await;
    let gateway = find(&router).await.unwrap();
    assert_eq!((gateway.local(), gateway.external()), (LOCAL, Ipv4Addr::new(198, 51, 100, 7)));
    let tcp = gateway.map(Transport::Tcp, 4700, &[4700, 5000]).await.unwrap();
    let udp = gateway.map(Transport::Udp, 4701, &[5000]).await.unwrap();
    assert_eq!(tcp, Mapping { transport: Transport::Tcp, external: 4700, internal: 4700 });
    assert_eq!(udp, Mapping { transport: Transport::Udp, external: 5000, internal: 4701 });
    assert_eq!(router.state().mappings[&("UDP".to_owned(), 5000)], (LOCAL.to_string(), 4701, 3600));
    gateway.unmap(tcp).await.unwrap();
    assert_eq!(router.forwarded(), [("UDP".to_owned(), 5000)]);
    let again = gateway.unmap(tcp).await.unwrap_err();
    assert!(again.is(Fault::NoSuchEntry), "{again}");
    assert!(gateway.is_same().await);
    router.state().external = Ipv4Addr::new(198, 51, 100, 8);
    assert!(!gateway.is_same().await);
}

#[tokio::test]
async fn what_is_taken_is_avoided_and_what_is_for_ever_is_taken_as_such() {
    let router = Router::start().await;
    let gateway = find(&router).await.unwrap();
    router.state().conflicts = 2;
    router.state().permanent_only = true;
    let mapping = gateway.map(Transport::Tcp, 4700, &[4700, 5000, 5001]).await.unwrap();
    assert_eq!(mapping.external, 5001);
    assert_eq!(router.state().mappings[&("TCP".to_owned(), 5001)].2, 0, "for ever");
    router.state().conflicts = 3;
    let refused = gateway.map(Transport::Tcp, 4700, &[4700, 5000, 5001]).await.unwrap_err();
    assert!(refused.is(Fault::Conflict), "{refused}");
}

#[tokio::test]
async fn answers_without_end_are_not_waited_for() {
    for manner in [Manner::EndlessBody, Manner::EndlessHeader, Manner::Slow, Manner::Silent, Manner::Redirect]
    {
        let router = Router::start().await;
        let gateway = find(&router).await.unwrap();
        router.state().manner = manner;
        let begun = Instant::now();
        // Of its description, and of a request.
        let (found, mapped) =
            tokio::join!(find(&router), gateway.map(Transport::Tcp, 4700, &[4700, 5000, 5001]));
        for error in [found.unwrap_err(), mapped.unwrap_err()] {
            let is_expected = match manner {
                Manner::EndlessBody => matches!(error, PortmapError::TooLong),
                Manner::EndlessHeader => matches!(error, PortmapError::Http(_)),
                Manner::Redirect => matches!(error, PortmapError::Status(StatusCode::FOUND)),
                _ => matches!(error, PortmapError::TimedOut),
            };
            assert!(is_expected, "{manner:?}: {error:?}");
        }
        assert!(begun.elapsed() < 10 * (SEARCH + PATIENCE), "{manner:?}");
        assert_eq!(router.forwarded(), []);
    }
}

#[tokio::test]
async fn no_other_host_is_asked() {
    let (named, elsewhere) = tokio::join!(Router::start(), Router::start());
    named.state().location_host = "localhost".to_owned();
    elsewhere.state().control = "http://localhost/ctl".to_owned();
    let (named_found, elsewhere_found) = tokio::join!(find(&named), find(&elsewhere));
    assert!(matches!(named_found, Err(PortmapError::NoRouter)), "{named_found:?}");
    assert_eq!(named.state().requests, 0);
    assert!(matches!(elsewhere_found, Err(PortmapError::NoService)), "{elsewhere_found:?}");
    assert_eq!(elsewhere.state().requests, 1, "the description alone");
}

#[tokio::test]
async fn a_router_whose_address_is_of_no_use_is_none() {
    let router = Router::start().await;
    let found = Gateway::find(LOCAL, router.searched_at, |_| false).await;
    assert!(matches!(found, Err(PortmapError::Address(_))), "{found:?}");
}

/// Answers every search with what `answers` makes, from sockets of these addresses.
async fn crowd(sockets: Vec<UdpSocket>, answers: Vec<String>) -> (SocketAddrV4, AbortOnDropHandle<()>) {
    let ears = UdpSocket::bind((LOCAL, 0)).await.unwrap();
    let SocketAddr::V4(at) = ears.local_addr().unwrap() else { panic!("IPv4") };
    let task = tokio::spawn(async move {
        let mut buffer = [0; 2048];
        while let Ok((_, from)) = ears.recv_from(&mut buffer).await {
            for (socket, answer) in sockets.iter().zip(&answers) {
                let _ = socket.send_to(answer.as_bytes(), from).await;
            }
        }
    });
    (at, AbortOnDropHandle::new(task))
}

/// Only Linux has all of 127.0.0.0/8 on its loopback.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn who_answers_first_and_says_nothing_keeps_no_router_out() {
    let other = Ipv4Addr::new(127, 0, 0, 2);
    let (silent, honest) = tokio::join!(Router::start(), Router::at(other));
    silent.state().manner = Manner::Silent;
    // The routers' own answers tell where they are.
    let mut sockets = Vec::new();
    let mut answers = Vec::new();
    for (router, ip) in [(&silent, LOCAL), (&honest, other)] {
        sockets.push(UdpSocket::bind((ip, 0)).await.unwrap());
        answers.push(answer_to_search(&format!("{ip}:{}", router.port)));
    }
    let (at, _task) = crowd(sockets, answers).await;
    // A loaded machine may take that long as well, but not each time.
    let mut is_soon = false;
    for _ in 0..5 {
        let begun = Instant::now();
        let gateway = Gateway::find(LOCAL, at, |_| true).await.unwrap();
        assert_eq!(*gateway.service.control.host.ip(), other);
        is_soon |= begun.elapsed() < PATIENCE;
    }
    assert!(is_soon, "it was waited for the silent one each time");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn of_a_crowd_only_so_many_are_asked_and_each_once() {
    let routers = futures::future::join_all((1..=12).map(|n| Router::at(Ipv4Addr::new(127, 0, 0, n)))).await;
    let mut sockets = Vec::new();
    let mut answers = Vec::new();
    for (n, router) in (1..=12).zip(&routers) {
        router.state().manner = Manner::Redirect;
        let ip = Ipv4Addr::new(127, 0, 0, n);
        for path in 0..3 {
            sockets.push(UdpSocket::bind((ip, 0)).await.unwrap());
            answers.push(answer_to_search(&format!("{ip}:{}/{path}", router.port)));
        }
    }
    let (at, _task) = crowd(sockets, answers).await;
    let found = Gateway::find(LOCAL, at, |_| true).await;
    assert!(matches!(found, Err(PortmapError::Status(_))), "{found:?}");
    let asked: Vec<usize> = routers.iter().map(|router| router.state().requests).collect();
    assert_eq!(asked.iter().sum::<usize>(), ANSWERS_MAX, "{asked:?}");
    assert!(asked.iter().all(|asked| *asked <= 1), "{asked:?}");
}
