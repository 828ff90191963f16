//! A router in this process, which does as it is told.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::time::sleep;
use tokio_util::task::AbortOnDropHandle;

/// How it answers requests by HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Honest,
    /// A body without end.
    EndlessBody,
    /// A header without end.
    EndlessHeader,
    /// A body that comes byte by byte.
    Slow,
    /// It takes the request and says nothing.
    Silent,
    /// It sends whoever asks to another host.
    Redirect,
}

/// What it knows and what was asked of it.
pub(crate) struct State {
    pub(crate) manner: Manner,
    pub(crate) external: Ipv4Addr,
    /// What is forwarded: by transport and its own port, to which address and port and for how many seconds.
    pub(crate) mappings: BTreeMap<(String, u16), (String, u16, u32)>,
    /// How many of the next ports that are asked for are taken by another machine.
    pub(crate) conflicts: usize,
    /// It forwards for ever only.
    pub(crate) permanent_only: bool,
    /// The host that its answers to searches name.
    pub(crate) location_host: String,
    /// Where its description says that the service is asked.
    pub(crate) control: String,
    /// What it was asked to forward, and has.
    pub(crate) added: Vec<(String, u16)>,
    /// Requests by HTTP.
    pub(crate) requests: usize,
}

/// See the module's description.
pub(crate) struct Router {
    /// Where it hears searches.
    pub(crate) searched_at: SocketAddrV4,
    /// Where it is asked.
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    _tasks: [AbortOnDropHandle<()>; 2],
}

const EXTERNAL: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);

impl Router {
    pub(crate) async fn start() -> Self {
        Router::at(Ipv4Addr::LOCALHOST).await
    }

    pub(crate) async fn at(ip: Ipv4Addr) -> Self {
        let ears = UdpSocket::bind((ip, 0)).await.unwrap();
        let SocketAddr::V4(searched_at) = ears.local_addr().unwrap() else { panic!("IPv4") };
        let listener = TcpListener::bind((ip, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(Mutex::new(State {
            manner: Manner::Honest,
            external: EXTERNAL,
            mappings: BTreeMap::new(),
            conflicts: 0,
            permanent_only: false,
            location_host: ip.to_string(),
            control: "/ctl".to_owned(),
            added: Vec::new(),
            requests: 0,
        }));
        let (asked, served) = (state.clone(), state.clone());
        let answers = tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((length, from)) = ears.recv_from(&mut buffer).await {
                assert!(buffer[..length].starts_with(b"M-SEARCH * HTTP/1.1\r\n"));
                let answer = answer_to_search(&format!("{}:{port}", asked.lock().unwrap().location_host));
                let _ = ears.send_to(answer.as_bytes(), from).await;
            }
        });
        let serves = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                drop(tokio::spawn(serve(stream, served.clone())));
            }
        });
        Router { searched_at, port, state, _tasks: [answers, serves].map(AbortOnDropHandle::new) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// The ports that it forwards.
    pub(crate) fn forwarded(&self) -> Vec<(String, u16)> {
        self.state().mappings.keys().cloned().collect()
    }
}

/// What a router answers whose description is at `host`.
pub(crate) fn answer_to_search(host: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n\
         LOCATION: http://{host}/desc.xml\r\n\r\n"
    )
}

async fn serve(mut stream: TcpStream, state: Arc<Mutex<State>>) {
    let Some(request) = request(&mut stream).await else { return };
    let manner = {
        let mut state = state.lock().unwrap();
        state.requests += 1;
        state.manner
    };
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\n";
    match manner {
        Manner::Honest => {
            let (status, body) = answer(&request, &mut state.lock().unwrap());
            let length = body.len();
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\r\n{body}");
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Manner::EndlessBody => {
            let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
            while stream.write_all(&[b' '; 4096]).await.is_ok() {}
        }
        Manner::EndlessHeader => {
            let _ = stream.write_all(format!("{head}X: ").as_bytes()).await;
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        }
        Manner::Slow => {
            let _ = stream.write_all(format!("{head}\r\n").as_bytes()).await;
            while stream.write_all(b" ").await.is_ok() {
                sleep(Duration::from_millis(50)).await;
            }
        }
        Manner::Silent => {
            let _ = stream.read(&mut [0; 1]).await;
        }
        Manner::Redirect => {
            let _ = stream.write_all(b"HTTP/1.1 302 Found\r\nLocation: http://192.0.2.1/\r\n\r\n").await;
        }
    }
}

/// All of a request.
async fn request(stream: &mut TcpStream) -> Option<String> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
        if let Some(end) = text.find("\r\n\r\n") {
            let length = text.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                return Some(String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

fn answer(request: &str, state: &mut State) -> (&'static str, String) {
    let service = "urn:schemas-upnp-org:service:WANIPConnection:1";
    if request.starts_with("GET /desc.xml HTTP/1.1\r\n") {
        let control = &state.control;
        let text = format!(
            "<?xml version=\"1.0\"?><root xmlns=\"urn:schemas-upnp-org:device-1-0\"><device><serviceList><service>\
             <serviceType>{service}</serviceType><controlURL>{control}</controlURL></service></serviceList></device></root>"
        );
        return ("200 OK", text);
    }
    assert!(request.starts_with("POST /ctl HTTP/1.1\r\n"), "{request}");
    let done = |action: &str, body: String| {
        let text = format!("<u:{action}Response xmlns:u=\"{service}\">{body}</u:{action}Response>");
        ("200 OK", envelope(&text))
    };
    let argument = |name: &str| {
        let rest = request.split(&format!("<{name}>")).nth(1).unwrap_or_else(|| panic!("{name}: {request}"));
        rest.split('<').next().unwrap().to_owned()
    };
    let asked = |action: &str| request.contains(&format!("\"{service}#{action}\"\r\n"));
    if asked("GetExternalIPAddress") {
        let body = format!("<NewExternalIPAddress>{}</NewExternalIPAddress>", state.external);
        return done("GetExternalIPAddress", body);
    }
    let key = (argument("NewProtocol"), argument("NewExternalPort").parse().unwrap());
    if asked("AddPortMapping") {
        let lease = argument("NewLeaseDuration").parse().unwrap();
        if state.conflicts > 0 {
            state.conflicts -= 1;
            return fault(718);
        }
        if state.permanent_only && lease != 0 {
            return fault(725);
        }
        let to = (argument("NewInternalClient"), argument("NewInternalPort").parse().unwrap(), lease);
        state.added.push(key.clone());
        state.mappings.insert(key, to);
        return done("AddPortMapping", String::new());
    }
    assert!(asked("DeletePortMapping"), "{request}");
    match state.mappings.remove(&key) {
        Some(_) => done("DeletePortMapping", String::new()),
        None => fault(714),
    }
}

fn fault(code: u16) -> (&'static str, String) {
    let text = format!(
        "<s:Fault><faultcode>s:Client</faultcode><faultstring>UPnPError</faultstring><detail><UPnPError \
         xmlns=\"urn:schemas-upnp-org:control-1-0\"><errorCode>{code}</errorCode></UPnPError></detail></s:Fault>"
    );
    ("500 Internal Server Error", envelope(&text))
}

fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>{body}\
         </s:Body></s:Envelope>"
    )
}
