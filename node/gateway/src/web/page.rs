//! Our own pages, in HTML. Everything that comes from elsewhere is escaped.

use std::fmt::Write;

use axum::http::StatusCode;
use chordage_api::types::EntryForm;
use jiff::Timestamp;

use super::listing::{By, ENTRIES_MAX, Entry, Listing, Order};
use super::place::{Content, encode};

/// A text as HTML shows it. What would turn the direction of writing, or move, is shown as a box.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            char if turns_direction(char) || char.is_control() => escaped.push(char::REPLACEMENT_CHARACTER),
            char => escaped.push(char),
        }
    }
    escaped
}

/// Marks and overrides of the direction of writing (Unicode, UAX 9).
fn turns_direction(char: char) -> bool {
    matches!(u32::from(char), 0x200e | 0x200f | 0x202a..=0x202e | 0x2066..=0x2069)
}

fn escape_bytes(text: &[u8]) -> String {
    escape(&String::from_utf8_lossy(text))
}

/// A page with this title and body.
fn whole(title: &str, script: Option<&str>, body: &str) -> String {
    let script =
        script.map(|name| format!("<script src=\"/-/{name}\" defer></script>\n")).unwrap_or_default();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{}</title>\n\
         <link rel=\"icon\" href=\"data:,\">\n<link rel=\"stylesheet\" href=\"/-/style.css\">\n{script}</head>\n<body>\n\
         <header><a href=\"/\">Chordage</a> <a href=\"/-/dashboard\">What the daemon does</a></header>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(title)
    )
}

/// The page that takes files in, and opens links.
pub(super) fn front() -> String {
    whole(
        "Chordage",
        Some("upload.js"),
        "<h1>Share files</h1>\n\
         <form id=\"drop\">\n<p><label for=\"files\">Drop files or a directory here, or choose files:</label></p>\n\
         <p><input type=\"file\" id=\"files\" multiple></p>\n\
         <p class=\"hint\">They are encrypted on this machine. Whoever has the link can read them, and nobody else.</p>\n</form>\n\
         <p id=\"state\" role=\"status\" aria-live=\"polite\"></p>\n<progress id=\"progress\" hidden></progress>\n\
         <section id=\"result\" hidden>\n<h2>Your link</h2>\n<p><a id=\"link\"></a></p>\n\
         <p><button type=\"button\" id=\"copy\">Copy the link</button></p>\n<p><img id=\"code\" alt=\"The link as a QR code\"></p>\n</section>\n\
         <noscript><p>Without scripts files are stored with <code>chordage put</code>.</p></noscript>\n\
         <h2>Open a link</h2>\n\
         <form id=\"open\" method=\"post\" action=\"/-/open\">\n\
         <p><label for=\"which\">Link or name</label></p>\n\
         <p><input id=\"which\" name=\"which\" autocomplete=\"off\" spellcheck=\"false\" required> <button>Open</button></p>\n</form>\n",
    )
}

/// The page that shows what the daemon does. A script fills it.
pub(super) fn dashboard() -> String {
    whole("What the daemon does", Some("dashboard.js"), include_str!("assets/dashboard.html"))
}

/// What is wrong.
pub(super) fn trouble(status: StatusCode, message: &str) -> String {
    let reason = status.canonical_reason().unwrap_or("Failed");
    whole(reason, None, &format!("<h1>{}</h1>\n<p>{}</p>\n", escape(reason), escape(message)))
}

/// What is in a directory.
pub(super) fn directory(of: &Content, listing: &Listing, order: Order) -> String {
    let title =
        of.name().map_or_else(|| "Files".to_owned(), |name| String::from_utf8_lossy(name).into_owned());
    let files = listing.entries.iter().filter(|entry| entry.kind == EntryForm::File);
    let bytes: u64 = files.clone().map(|entry| entry.bytes).sum();
    let mut body = format!(
        "<h1>{}</h1>\n{}<p>{} entries, {} in files. <a href=\"?download=tar\" download>Download all as tar</a></p>\n",
        escape(&title),
        breadcrumbs(of),
        listing.entries.len(),
        size(bytes)
    );
    if listing.is_cut {
        let _ =
            writeln!(body, "<p class=\"hint\">There are more than {ENTRIES_MAX}: only these are shown.</p>");
    }
    body.push_str("<table class=\"listing\">\n<thead><tr>");
    for (by, text) in [(By::Name, "Name"), (By::Size, "Size"), (By::Time, "Changed (UTC)")] {
        let is_this = order.by == by;
        let next = Order { by, reversed: is_this && !order.reversed };
        let sorted = match (is_this, order.reversed) {
            (false, _) => "",
            (true, false) => " aria-sort=\"ascending\"",
            (true, true) => " aria-sort=\"descending\"",
        };
        let query = escape(&next.query());
        let _ = write!(body, "<th scope=\"col\"{sorted}><a href=\"{query}\">{text}</a></th>");
    }
    body.push_str("</tr></thead>\n<tbody>\n");
    for entry in &listing.entries {
        row(&mut body, of, entry);
    }
    body.push_str("</tbody>\n</table>\n");
    whole(&title, None, &body)
}

/// The way from the beginning to a directory, each step of which can be gone back to.
fn breadcrumbs(of: &Content) -> String {
    if of.path.is_empty() {
        return String::new();
    }
    let mut html = String::from("<nav aria-label=\"Breadcrumbs\"><ol>");
    let mut at = Content { path: Vec::new(), ..of.clone() };
    let _ = write!(html, "<li><a href=\"{}\">top</a></li>", at.address(true));
    for part in of.path.split(|byte| *byte == b'/') {
        at = at.below(part);
        let current = if at.path == of.path { " aria-current=\"page\"" } else { "" };
        let _ = write!(html, "<li><a href=\"{}\"{current}>{}</a></li>", at.address(true), escape_bytes(part));
    }
    html.push_str("</ol></nav>\n");
    html
}

fn row(html: &mut String, of: &Content, entry: &Entry) {
    let name = escape_bytes(&entry.name);
    let address = of.below(&entry.name).address(entry.kind == EntryForm::Dir);
    let (shown, size) = match entry.kind {
        EntryForm::Dir => (format!("<a href=\"{address}\">{name}/</a>"), String::new()),
        EntryForm::Symlink => {
            let target = escape(entry.target.as_deref().unwrap_or_default());
            (format!("{name} <span class=\"hint\">leads to {target}</span>"), String::new())
        }
        _ => (format!("<a href=\"{address}\">{name}</a>"), size(entry.bytes)),
    };
    let _ = writeln!(html, "<tr><td>{shown}</td><td>{size}</td><td>{}</td></tr>", time(entry.changed));
}

/// Bytes for people.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A moment for people, and for machines.
fn time(seconds: i64) -> String {
    let Ok(time) = Timestamp::from_second(seconds) else { return String::new() };
    format!("<time datetime=\"{time}\">{}</time>", time.strftime("%Y-%m-%d %H:%M"))
}

/// The address of what was stored, which a name makes a file with a type.
pub(super) fn address_of(link: &str, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("/{link}?filename={}", encode(name.as_bytes())),
        None => format!("/{link}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::Base;
    use super::*;

    #[test]
    fn what_strangers_call_their_files_does_nothing() {
        let of = Content { base: Base::Name("x".to_owned()), path: b"<b>".to_vec(), is_directory: true };
        let entry = |kind, target: Option<&str>| Entry {
            name: b"\"><script>alert(1)\xff\x1b".to_vec(),
            kind,
            bytes: 3,
            changed: i64::MAX,
            target: target.map(str::to_owned),
        };
        let listing = Listing {
            entries: vec![
                entry(EntryForm::File, None),
                entry(EntryForm::Dir, None),
                entry(EntryForm::Symlink, Some("javascript:<x>\u{202e}")),
            ],
            is_cut: false,
        };
        let html = directory(&of, &listing, Order::default());
        for bad in ["<script>alert", "<b>", "\u{1b}", "\u{202e}", "<x>"] {
            assert!(!html.contains(bad), "{bad:?} in {html}");
        }
        assert!(html.contains("%22%3E%3Cscript%3Ealert%281%29%FF%1B"), "{html}");
        assert!(trouble(StatusCode::NOT_FOUND, "<i>").contains("&lt;i&gt;"));
    }

    #[test]
    fn sizes_and_times_are_for_people() {
        assert_eq!([0, 1023, 1024, 5 << 30].map(size), ["0 B", "1023 B", "1.0 KiB", "5.0 GiB"]);
        assert_eq!(size(u64::MAX), "16384.0 PiB");
        assert_eq!(time(0), "<time datetime=\"1970-01-01T00:00:00Z\">1970-01-01 00:00</time>");
    }
}
