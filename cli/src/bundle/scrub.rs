//! Taking secrets and names out of text.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde_json::Value;

/// Stands where something was left out.
const OUT: &str = "[left out]";
/// The name of the network that everybody is in who names none.
const EVERYBODYS: &str = "main";
/// Words this long, of letters and digits, are taken for links and keys, unless they are known ids.
const KEY_BYTES: usize = 33;
/// Fields whose text names files, volumes or people, or may do so.
const FIELDS_OUT: [&str; 6] = ["hosts", "file", "last_problem", "last_reason", "users", "volume"];
/// Parts of an address behind which a host stands.
const HOSTS: [&str; 6] = ["ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr"];

/// Takes out of text what is not for others, and gives addresses and names others that stay the same throughout.
#[derive(Debug, Default)]
pub(crate) struct Scrubber {
    with_addresses: bool,
    /// Ids that everybody in the network knows anyway.
    ids: BTreeSet<String>,
    /// Names of the user, and what is shown instead.
    names: BTreeMap<String, String>,
    /// Addresses, and what is shown instead.
    addresses: BTreeMap<String, String>,
}

impl Scrubber {
    /// Addresses stay if that is wanted; nothing else does.
    pub(crate) fn new(with_addresses: bool) -> Self {
        Scrubber { with_addresses, ..Scrubber::default() }
    }

    /// Lets an id stay.
    pub(crate) fn know(&mut self, id: impl Into<String>) {
        self.ids.insert(id.into());
    }

    /// Has a name of the user be another one wherever it stands.
    pub(crate) fn hide(&mut self, name: &str) {
        let shown = format!("name-{}", self.names.len() + 1);
        if !name.is_empty() && name != EVERYBODYS {
            self.names.entry(name.to_owned()).or_insert(shown);
        }
    }

    /// Scrubs every text in a value, the keys aside.
    pub(crate) fn value(&mut self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(values) => values.iter_mut().for_each(|value| self.value(value)),
            Value::Object(fields) => {
                for (field, value) in fields {
                    // The number of users is none of them.
                    if FIELDS_OUT.contains(&field.as_str()) && (value.is_string() || value.is_array()) {
                        *value = OUT.into();
                    } else {
                        self.setting(field, value);
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    /// A setting stands in an object with where it comes from.
    fn setting(&mut self, field: &str, value: &mut Value) {
        let last = field.rsplit('.').next().unwrap_or(field);
        let out = field.contains('.') && FIELDS_OUT.contains(&last);
        match value.get_mut("value").filter(|value| out && (value.is_string() || value.is_array())) {
            Some(value) => *value = OUT.into(),
            None => self.value(value),
        }
    }

    /// Scrubs text of many lines, in which quotes hold names.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut scrubbed = String::with_capacity(text.len());
        for line in text.split_inclusive('\n') {
            for (at, piece) in line.split('"').enumerate() {
                match at % 2 {
                    0 => scrubbed.push_str(&self.unquoted(piece)),
                    _ => scrubbed.push_str("\"...\""),
                }
            }
            if line.matches('"').count() % 2 == 1 && line.ends_with('\n') {
                scrubbed.push('\n');
            }
        }
        scrubbed
    }

    /// Scrubs text whose quotes hold words of the program.
    pub(crate) fn unquoted(&mut self, text: &str) -> String {
        if let Some(shown) = self.names.get(text) {
            return shown.clone();
        }
        let mut text = text.to_owned();
        for (name, shown) in &self.names {
            // Words are looked up one by one; a name that is more than a word is looked for.
            if name.contains(|c: char| !is_part(c)) {
                text = text.replace(name, shown);
            }
        }
        let is_between = |c: char| c.is_whitespace() || "\"'`,;()<>=|".contains(c);
        let mut scrubbed = String::with_capacity(text.len());
        for piece in text.split_inclusive(is_between) {
            let word = piece.trim_end_matches(is_between);
            scrubbed.push_str(&self.word(word));
            scrubbed.push_str(&piece[word.len()..]);
        }
        scrubbed
    }

    fn word(&mut self, word: &str) -> String {
        let parts: Vec<&str> = word.split('/').collect();
        if parts.iter().any(|part| HOSTS.contains(part)) {
            return self.multiaddr(&parts);
        }
        if let Some((scheme, rest)) = word.split_once("://").filter(|(scheme, _)| scheme.contains("http")) {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            return format!("{scheme}://{}/{}", self.parts(host), if path.is_empty() { "" } else { OUT });
        }
        // A path, absolute or not.
        if parts.len() > 1 && word.len() > 1 && !is_ratio(word) {
            return OUT.to_owned();
        }
        self.parts(word)
    }

    /// An address of libp2p: a host is behind its kind.
    fn multiaddr(&mut self, parts: &[&str]) -> String {
        let mut is_host = false;
        let parts: Vec<String> = parts
            .iter()
            .map(|part| {
                let shown = match part.parse::<IpAddr>() {
                    Ok(ip) if is_host => self.address(ip),
                    _ if is_host && !self.with_addresses => self.pseudonym(part, "host"),
                    _ => self.parts(part),
                };
                is_host = HOSTS.contains(part);
                shown
            })
            .collect();
        parts.join("/")
    }

    /// A word: an address, or letters and digits with something between.
    fn parts(&mut self, word: &str) -> String {
        let bare = word.trim_end_matches(['.', ':']);
        let rest = &word[bare.len()..];
        if let Ok(ip) = bare.trim_matches(['[', ']']).parse::<IpAddr>() {
            return format!("{}{rest}", self.address(ip));
        }
        if let Ok(socket) = bare.parse::<SocketAddr>() {
            return format!("{}:{}{rest}", self.address(socket.ip()), socket.port());
        }
        if let Some(shown) = self.names.get(bare) {
            return format!("{shown}{rest}");
        }
        if opens(bare) || bare.starts_with('@') || bare.starts_with("dns:") {
            return format!("{OUT}{rest}");
        }
        let mut scrubbed = String::with_capacity(word.len());
        for piece in word.split_inclusive(|c: char| !is_part(c)) {
            let part = piece.trim_end_matches(|c: char| !is_part(c));
            let is_id = self.ids.contains(part);
            let is_key = part.len() >= KEY_BYTES && part.bytes().any(|byte| byte.is_ascii_digit());
            let shown = match self.names.get(part) {
                Some(name) => name.as_str(),
                None if opens(part) => OUT,
                None if is_key && !is_id => OUT,
                None => part,
            };
            scrubbed.push_str(shown);
            scrubbed.push_str(&piece[part.len()..]);
        }
        scrubbed
    }

    /// An address; those that mean the same on every machine stay.
    fn address(&mut self, ip: IpAddr) -> String {
        if self.with_addresses || ip.is_loopback() || ip.is_unspecified() {
            return ip.to_string();
        }
        self.pseudonym(&ip.to_string(), if ip.is_ipv4() { "ip4" } else { "ip6" })
    }

    fn pseudonym(&mut self, address: &str, kind: &str) -> String {
        let shown = format!("{kind}-{}", self.addresses.len() + 1);
        self.addresses.entry(address.to_owned()).or_insert(shown).clone()
    }
}

/// Of a word that is looked up as one.
fn is_part(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '-'
}

/// A link, a key or an invite: `chord1`, `chordkey1` and the like.
fn opens(word: &str) -> bool {
    let kind =
        word.strip_prefix("chord").map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_lowercase()));
    kind.is_some_and(|rest| rest.starts_with('1')) || word.starts_with("chordage-invite:")
}

/// Such as `4/10`, `KiB/s` and a date.
fn is_ratio(word: &str) -> bool {
    word.split('/').count() == 2
        && word.split('/').all(|part| part.len() <= 5 && part.chars().all(char::is_alphanumeric))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_secret_is_left_out_of_text() {
        let mut scrubber = Scrubber::new(false);
        scrubber.hide("family-photos");
        scrubber.know("12D3KooWGrQJvnQJ7zSZ6Ld4zYyJmFJc2yQXQb5LLYzFCHkfkzSz");
        for (text, shown) in [
            ("put chord1rqqqsyq6 failed", "put [left out] failed"),
            ("invite chordage-invite:abcd-ef, key chordkey1q", "invite [left out], key [left out]"),
            ("cannot read /home/me/tax.pdf: gone", "cannot read [left out] gone"),
            ("cannot read \"my tax.pdf\": gone", "cannot read \"...\": gone"),
            ("volume family-photos.", "volume name-1."),
            ("name @fak3yyyy/notes", "name [left out]"),
            (
                "peer 12D3KooWGrQJvnQJ7zSZ6Ld4zYyJmFJc2yQXQb5LLYzFCHkfkzSz",
                "peer 12D3KooWGrQJvnQJ7zSZ6Ld4zYyJmFJc2yQXQb5LLYzFCHkfkzSz",
            ),
            ("key 12D3KooWGrQJvnQJ7zSZ6Ld4zYyJmFJc2yQXQb5LLYzFCHkfkzSa", "key [left out]"),
            ("4/10 at 3 MiB/s", "4/10 at 3 MiB/s"),
        ] {
            assert_eq!(scrubber.text(text), shown);
        }
    }

    #[test]
    fn an_address_is_always_the_same_other_one() {
        let mut scrubber = Scrubber::new(false);
        let text = "dialled /ip4/203.0.113.7/tcp/4700 and 203.0.113.7:80, not [2001:db8::1]:80, /dns4/home.example/tcp/1 or 127.0.0.1";
        let shown = "dialled /ip4/ip4-1/tcp/4700 and ip4-1:80, not ip6-2:80, /dns4/host-3/tcp/1 or 127.0.0.1";
        assert_eq!(scrubber.text(text), shown);
        assert_eq!(Scrubber::new(true).text("/ip4/203.0.113.7/tcp/4700"), "/ip4/203.0.113.7/tcp/4700");
    }

    #[test]
    fn fields_that_name_things_are_left_out_and_numbers_stay() {
        let mut scrubber = Scrubber::new(false);
        let mut value = json!({
            "webdav": { "volume": "photos", "users": 3, "last_problem": "cannot write tax.pdf" },
            "settings": { "restic.users": { "value": "my-users", "source": "file" }, "quota_bytes": { "value": 5 } },
        });
        scrubber.value(&mut value);
        assert_eq!(value["webdav"], json!({ "volume": OUT, "users": 3, "last_problem": OUT }));
        assert_eq!(value["settings"]["restic.users"], json!({ "value": OUT, "source": "file" }));
        assert_eq!(value["settings"]["quota_bytes"]["value"], 5);
    }
}
