//! Who may ask for what.
//!
//! That an address is a loopback one keeps other machines out, and no browser: any page can have one send requests
//! there. Programs for backups send no `Origin`, and name a host that stands for this machine.

use std::net::{IpAddr, SocketAddr};

use axum::http::header::{AUTHORIZATION, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Uri};
use data_encoding::BASE64;

use super::answer::Failure;
use super::users::{Users, Verdict};

/// Browsers send it with every request, also with those that have no `Origin`.
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Longest value of `Authorization` that is looked at, bytes.
const CREDENTIALS_MAX: usize = 4096;

/// What is behind a gate, as those who are not let in are told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// What the password is for.
    pub(crate) realm: &'static str,
    /// For whom it is.
    pub(crate) programs: &'static str,
    /// What gives the daemon users.
    pub(crate) flag: &'static str,
}

/// Decides whose requests are answered.
pub(crate) struct Gate {
    users: Option<Users>,
    behind: Behind,
}

impl Gate {
    /// With these users, or for everybody on this machine.
    pub(crate) fn new(users: Option<Users>, behind: Behind) -> Self {
        Gate { users, behind }
    }

    /// How many users there are; `None` where nobody has to say who they are.
    pub(crate) fn users(&self) -> Option<u64> {
        self.users.as_ref().map(Users::count)
    }

    /// Lets a request in, or says why not; which user it is from, where there are users. Before anything is told of a
    /// path.
    pub(crate) async fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Option<String>, Failure> {
        let Behind { realm, programs, flag } = self.behind;
        if headers.contains_key(ORIGIN) || headers.contains_key(FETCH_SITE) {
            return Err(Failure::forbidden(format!(
                "this is for {programs}, and no page in a browser may use it"
            )));
        }
        let Some(users) = &self.users else {
            return if is_for_this_machine(uri, headers) {
                Ok(None)
            } else {
                Err(Failure::forbidden(format!(
                    "without users only 127.0.0.1, [::1] and localhost are served: name this address so, or give the daemon {flag}"
                )))
            };
        };
        check(users, realm, headers).await.map(Some)
    }

    /// Lets in whoever says who it is; everybody, where there are no users.
    pub(crate) async fn identify(&self, headers: &HeaderMap) -> Result<(), Failure> {
        match &self.users {
            Some(users) => check(users, self.behind.realm, headers).await.map(drop),
            None => Ok(()),
        }
    }
}

/// Which user a request is from.
async fn check(users: &Users, realm: &str, headers: &HeaderMap) -> Result<String, Failure> {
    let (user, password) = credentials(headers).ok_or_else(|| Failure::unauthorized(realm))?;
    match users.check(&user, &password).await {
        Verdict::Wrong => Err(Failure::unauthorized(realm)),
        Verdict::Busy => Err(Failure::busy("too many passwords are being checked")),
        Verdict::Right => Ok(user),
    }
}

/// The user and the password that a request names.
fn credentials(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok().filter(|text| text.len() <= CREDENTIALS_MAX)?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64.decode(encoded.trim().as_bytes()).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// Whether the host that a request names is this machine by a name that nobody else can point here.
fn is_for_this_machine(uri: &Uri, headers: &HeaderMap) -> bool {
    host_of(uri, headers).is_some_and(is_this_machine)
}

/// The host that a request names, and the port if it does.
pub(crate) fn host_of<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> Option<&'a str> {
    let mut named = headers.get_all(HOST).iter();
    match (uri.host(), named.next(), named.next()) {
        (Some(host), _, None) => Some(host),
        (None, Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// Whether a host is this machine by a name that nobody else can point here.
pub(crate) fn is_this_machine(host: &str) -> bool {
    if let Ok(address) = host.parse::<SocketAddr>() {
        return address.ip().is_loopback();
    }
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let address = bare.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn for_here(host: &str) -> bool {
        let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        is_for_this_machine(&"/".parse().unwrap(), &headers)
    }

    #[test]
    fn only_names_that_nobody_else_can_point_here_are_this_machine() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:8017",
            "127.9.9.9:1",
            "[::1]",
            "[::1]:8017",
            "localhost",
            "LocalHost:8017",
        ] {
            assert!(for_here(host), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8017",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "10.0.0.7:80",
        ] {
            assert!(!for_here(host), "{host}");
        }
        assert!(!is_for_this_machine(&"/".parse().unwrap(), &HeaderMap::new()));
        let evil: Uri = "http://evil.example/".parse().unwrap();
        let headers = HeaderMap::from_iter([(HOST, "localhost".parse().unwrap())]);
        assert!(!is_for_this_machine(&evil, &headers), "what the first line says counts");
        let mut two = headers;
        two.append(HOST, "evil.example".parse().unwrap());
        assert!(!is_for_this_machine(&"/".parse().unwrap(), &two));
    }

    #[test]
    fn credentials_are_a_user_and_a_password_with_any_characters() {
        let of = |value: &str| credentials(&HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]));
        let encoded = |text: &str| format!("Basic {}", BASE64.encode(text.as_bytes()));
        let pair = |user: &str, password: &str| Some((user.to_owned(), password.to_owned()));
        assert_eq!(of(&encoded("a-b_c.d@e:x:y")), pair("a-b_c.d@e", "x:y"));
        assert_eq!(of(&encoded("j\u{f6}rg:\u{20ac}")), pair("j\u{f6}rg", "\u{20ac}"));
        assert_eq!(of(&encoded("a:").replace("Basic", "basic")), pair("a", ""));
        for wrong in
            ["Basic", "Basic ", "Basic !!", "Bearer YTpi", &encoded("nobody"), &encoded(&"x:".repeat(4000))]
        {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
