//! Whose requests are answered. That an address is of this machine only keeps no browser from it: any page can have its
//! visitors' browsers ask for it. So a request has to name this machine as nobody else can be named, and what changes
//! anything has to come from our own page.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName, Method, Uri};

use crate::front::{Behind, Failure, Gate, Users, host_of, is_this_machine};

const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");

/// What those are told who are not let in.
const BEHIND: Behind =
    Behind { realm: "chordage", programs: "people with a browser", flag: "--gateway-users" };

/// See the module's description.
pub(super) struct Guard {
    gate: Gate,
    /// Names of this machine beside the usual, in lower case.
    hosts: Vec<String>,
}

impl Guard {
    pub(super) fn new(users: Option<Users>, hosts: Vec<String>) -> Self {
        let hosts = hosts.into_iter().map(|host| host.to_ascii_lowercase()).collect();
        Guard { gate: Gate::new(users, BEHIND), hosts }
    }

    /// How many users there are; `None` where nobody has to say who they are.
    pub(super) fn users(&self) -> Option<u64> {
        self.gate.users()
    }

    /// Lets a request in, or says why not. Before anything is told of what it asks for.
    pub(super) async fn admit(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let host = host_of(uri, headers).unwrap_or_default();
        if !is_this_machine(host) && !self.hosts.iter().any(|allowed| host.eq_ignore_ascii_case(allowed)) {
            return Err(Failure::forbidden(format!(
                "this machine is not called `{}` here: use 127.0.0.1 or localhost, or name the host in the settings (`[gateway] hosts`)",
                host.escape_debug()
            )));
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            self.only_our_page(uri, headers)?;
        }
        self.gate.identify(headers).await
    }

    /// Lets in whoever asks from our own page, or is no page at all.
    pub(super) fn only_our_page(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let host = host_of(uri, headers).unwrap_or_default();
        match is_of_our_page(host, headers) {
            true => Ok(()),
            false => Err(Failure::forbidden("only the page of this gateway itself may do that")),
        }
    }
}

/// Whether whoever asks is our own page, or no page at all.
fn is_of_our_page(host: &str, headers: &HeaderMap) -> bool {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let site = text(&FETCH_SITE).is_none_or(|site| site == "same-origin");
    let origin = text(&ORIGIN).is_none_or(|origin| {
        ["http://", "https://"].iter().any(|scheme| origin.strip_prefix(scheme) == Some(host))
    });
    site && origin && headers.get_all(HOST).iter().count() <= 1
}

/// Whether somebody opens a page, rather than a page something that it shows. Programs other than browsers do not say
/// it.
pub(super) fn is_opened(headers: &HeaderMap) -> bool {
    let own = |value: &axum::http::HeaderValue| value == "same-origin" || value == "none";
    headers.get(FETCH_MODE).is_none_or(|mode| mode == "navigate") || headers.get(FETCH_SITE).is_some_and(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(of: &[(&'static str, &str)]) -> HeaderMap {
        of.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    async fn is_let_in(method: Method, of: &[(&'static str, &str)]) -> bool {
        let guard = Guard::new(None, vec!["Files.Example".to_owned()]);
        guard.admit(&method, &"/".parse().unwrap(), &headers(of)).await.is_ok()
    }

    #[tokio::test]
    async fn this_machine_has_to_be_named_as_nobody_else_can_be() {
        for host in ["127.0.0.1:8020", "localhost", "[::1]:8020", "files.example"] {
            assert!(is_let_in(Method::GET, &[("host", host)]).await, "{host}");
        }
        for host in ["", "evil.example", "files.example.evil", "10.0.0.1:8020"] {
            assert!(!is_let_in(Method::GET, &[("host", host)]).await, "{host}");
        }
    }

    #[tokio::test]
    async fn what_changes_anything_comes_from_our_page_or_from_no_page() {
        let host = ("host", "127.0.0.1:8020");
        assert!(is_let_in(Method::POST, &[host]).await, "a program");
        let own = [host, ("origin", "http://127.0.0.1:8020"), ("sec-fetch-site", "same-origin")];
        assert!(is_let_in(Method::POST, &own).await);
        for (origin, site) in [
            ("null", "cross-site"),
            ("http://127.0.0.1:8021", "same-site"),
            ("http://evil.example", "cross-site"),
            ("null", "same-origin"),
            ("http://127.0.0.1:8020", "same-site"),
        ] {
            let foreign = [host, ("origin", origin), ("sec-fetch-site", site)];
            assert!(!is_let_in(Method::POST, &foreign).await, "{origin} {site}");
            assert!(is_let_in(Method::GET, &foreign).await, "whoever knows a link may read it");
        }
    }
}
