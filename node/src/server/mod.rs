//! The server inside the daemon: HTTP/1.1 on a Unix socket, and on a loopback port when the settings ask for one.
//!
//! A Unix socket is protected by its permissions; a port is open to every user and every web page on the machine, and
//! therefore asks for a bearer token.

mod accept;
mod bodies;
mod content;
mod events;
mod home;
mod keeps;
mod listen;
mod listing;
mod metrics;
mod names;
mod network;
mod objects;
mod openapi;
mod operations;
mod overlay;
mod patient;
mod problem;
mod reply;
mod services;
mod slots;
mod snapshots;
mod state;
mod topics;
mod unparsed;
mod volumes;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::AUTHORIZATION;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{delete, get, post};
use chordage_api::endpoint::{ENDPOINT_FILE, Endpoint, TOKEN_FILE};
use chordage_api::types::{Problem, ProblemCode};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use self::accept::{Places, serve};
pub use self::listen::ServeError;
use self::listen::{bind_tcp, bind_unix};
use self::reply::Failure;
use self::state::Shared;
use crate::datadir::DataDir;
use crate::descriptors::ApiShare;
use crate::handle::NodeHandle;

/// The running server. Dropping it stops it at once.
pub struct ApiServer {
    endpoint: Endpoint,
    tcp: Option<SocketAddr>,
    /// Ends listening; requests under way go on.
    closing: CancellationToken,
    shared: Arc<Shared>,
    listeners: JoinSet<()>,
    dir: Arc<DataDir>,
}

impl ApiServer {
    /// Listens, and writes the endpoint file when clients can connect, as many at a time as `share` says.
    pub(crate) async fn start(
        handle: NodeHandle,
        dir: &Arc<DataDir>,
        api_listen: Option<SocketAddr>,
        share: ApiShare,
    ) -> Result<ApiServer, ServeError> {
        let tasks = handle.inner.tasks.clone();
        let shared = Arc::new(Shared::new(handle));
        let closing = CancellationToken::new();
        let mut listeners = JoinSet::new();

        let mut endpoints = String::new();
        let (listener, path) = bind_unix(dir.path())?;
        let endpoint = Endpoint::Unix(path);
        endpoints.push_str(&format!("{endpoint}\n"));
        let places = Places::new(share);
        let serving = serve(listener, router(Arc::clone(&shared)), places.clone(), closing.clone());
        listeners.spawn(tasks.clone().essential("api", serving));

        let mut tcp = None;
        if let Some(address) = api_listen {
            let (listener, address, token) = bind_tcp(dir, address).await?;
            tcp = Some(address);
            endpoints.push_str(&format!("{}\n", Endpoint::Tcp(address)));
            let token: Arc<str> = token.into();
            let guarded = router(Arc::clone(&shared)).layer(middleware::from_fn(move |request, next| {
                authorize(Arc::clone(&token), request, next)
            }));
            let serving = serve(listener, guarded, places, closing.clone());
            listeners.spawn(tasks.essential("api port", serving));
        } else {
            dir.remove(TOKEN_FILE);
        }
        dir.write(ENDPOINT_FILE, endpoints.as_bytes())?;
        Ok(ApiServer { endpoint, tcp, closing, shared, listeners, dir: Arc::clone(dir) })
    }

    /// The Unix socket, as `--api` takes it.
    pub fn address(&self) -> String {
        self.endpoint.to_string()
    }

    /// The loopback port, if it listens on one.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp
    }

    /// Takes no more requests, lets those under way finish for so long, then cuts them off.
    pub async fn drain(mut self, patience: Duration) {
        self.closing.cancel();
        self.remove_files();
        let finished = async { while self.listeners.join_next().await.is_some() {} };
        if tokio::time::timeout(patience, finished).await.is_err() {
            self.shared.cut_off();
            // What is cut off ends as soon as it is polled; this is only to let it say so to its client.
            let last_words = async { while self.listeners.join_next().await.is_some() {} };
            let _ = tokio::time::timeout(Duration::from_secs(1), last_words).await;
        }
    }

    fn remove_files(&self) {
        self.dir.remove(ENDPOINT_FILE);
        if let Endpoint::Unix(path) = &self.endpoint {
            // One that stays behind refuses connections, and the next start replaces it.
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shared.cut_off();
        self.remove_files();
    }
}

/// Every route of the API. `openapi` describes the same ones; a test compares.
fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/objects", post(objects::put))
        .route("/v1/unchanged", post(objects::unchanged))
        .route("/v1/objects/{link}", get(objects::stat))
        .route("/v1/objects/{link}/explain", get(objects::explain))
        .route("/v1/objects/{link}/keep", post(keeps::keep))
        .route("/v1/objects/{link}/forget", post(keeps::forget))
        .route("/v1/keeps", get(keeps::keeps))
        .route("/v1/objects/{link}/entries", get(listing::entries))
        .route("/v1/objects/{link}/content", get(content::content))
        .route("/v1/objects/{link}/archive", get(content::archive))
        .route("/v1/status", get(overlay::status))
        .route("/v1/metrics", get(metrics::metrics))
        .route("/v1/peers", get(overlay::peers))
        .route("/v1/drain", post(overlay::drain))
        .route("/v1/members", get(overlay::members))
        .route("/v1/doctor", get(overlay::doctor))
        .route("/v1/superpeers", get(overlay::super_peers))
        .route("/v1/scrub", post(overlay::scrub))
        .route("/v1/trace/{key}", get(overlay::trace))
        .route("/v1/names", get(names::list))
        .route("/v1/names/create", post(names::create))
        .route("/v1/names/delete", post(names::delete))
        .route("/v1/names/publish", post(names::publish))
        .route("/v1/names/export", post(names::export))
        .route("/v1/names/import", post(names::import))
        .route("/v1/names/resolve", get(names::resolve))
        .route("/v1/names/watch", get(names::watch))
        .route("/v1/names/history", get(names::history))
        .route("/v1/services", get(services::list))
        .route("/v1/services/register", post(services::register))
        .route("/v1/services/withdraw", post(services::withdraw))
        .route("/v1/services/find", get(services::find))
        .route("/v1/services/watch", get(services::watch))
        .route("/v1/topics/publish", post(topics::publish))
        .route("/v1/topics/subscribe", get(topics::subscribe))
        .route("/v1/volumes", get(volumes::list))
        .route("/v1/volumes/create", post(volumes::create))
        .route("/v1/volumes/import", post(volumes::import))
        .route("/v1/volumes/export", post(volumes::export))
        .route("/v1/volumes/remove", post(volumes::remove))
        .route("/v1/volumes/values", get(volumes::values))
        .route("/v1/volumes/change", post(volumes::change))
        .route("/v1/volumes/trees", post(volumes::put_tree))
        .route("/v1/volumes/snapshots", get(volumes::snapshots).post(volumes::create_snapshot))
        .route("/v1/volumes/snapshots/forget", post(volumes::forget))
        .route("/v1/volumes/snapshots/undelete", post(volumes::undelete))
        .route("/v1/volumes/prune", post(volumes::prune))
        .route("/v1/volumes/verify", post(volumes::verify))
        .route("/v1/volumes/entries", get(snapshots::entries))
        .route("/v1/volumes/entry", get(snapshots::entry))
        .route("/v1/volumes/diff", get(snapshots::diff))
        .route("/v1/volumes/archive", get(snapshots::archive))
        .route("/v1/volumes/content", get(snapshots::content))
        .route("/v1/network", get(network::show))
        .route("/v1/network/invites", post(network::invite))
        .route("/v1/network/invites/{id}", delete(network::withdraw))
        .route("/v1/network/revocations", post(network::revoke))
        .route("/v1/network/key", post(network::new_key))
        .route("/v1/network/renew", post(network::renew))
        .route("/v1/home", get(home::status))
        .route("/v1/home/create", post(home::create))
        .route("/v1/home/recover", post(home::recover))
        .route("/v1/home/check", post(home::check))
        .route("/v1/operations/{id}", get(operations::operation))
        .route("/v1/openapi.json", get(openapi::openapi))
        .fallback(no_route)
        .method_not_allowed_fallback(no_method)
        // Bodies are streamed; what bounds them is the memory budget of puts.
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(shared)
}

async fn no_route(request: Request) -> Failure {
    let message = format!("there is no {} in this API", request.uri().path());
    Failure::from(Problem::new(ProblemCode::NotFound, message, "nothing was changed", "see /v1/openapi.json"))
}

/// The router adds `Allow`.
async fn no_method(request: Request) -> (StatusCode, Json<Problem>) {
    let message = format!("{} does not go with {}", request.method(), request.uri().path());
    let hint = "the header `Allow` has the methods that do; see /v1/openapi.json";
    (StatusCode::METHOD_NOT_ALLOWED, Json(problem::bad_request(message, hint)))
}

async fn authorize(token: Arc<str>, request: Request, next: Next) -> Response {
    let given =
        request.headers().get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    // Comparing hashes takes the same time wherever the first difference is.
    let right = given.is_some_and(|given| blake3::hash(given) == blake3::hash(token.as_bytes()));
    if right {
        return next.run(request).await;
    }
    Failure::from(Problem::new(
        ProblemCode::Unauthorized,
        "the bearer token is missing or wrong",
        "nothing was changed",
        format!("give the content of {TOKEN_FILE} in the daemon's data directory: --api-token-file FILE"),
    ))
    .into_response()
}
