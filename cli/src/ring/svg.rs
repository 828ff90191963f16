//! The ring as an SVG picture: the circle of ids with arcs for rows, a line to every finger, and the leaf set enlarged.

use std::f64::consts::TAU;
use std::fmt::Write;

use super::view::{RingView, Row, Seat, median_rtt, milliseconds};
use chordage_api::types::DaemonRole;

use crate::human;

/// Size of the picture.
const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 1010.0;
/// Middle of the circle of ids, and its radius.
const MIDDLE: (f64, f64) = (480.0, 450.0);
const RADIUS: f64 = 320.0;
/// Radius of the arcs of rows, and of what is written at them.
const ARCS: f64 = 346.0;
const SCALES: f64 = 372.0;
/// The strip with the leaf set: its height, and half of its width.
const STRIP: f64 = 950.0;
const STRIP_REACH: f64 = 400.0;
/// A row shorter than this share of the circle gets no label: it would be written over its neighbour's.
const LABELLED: f64 = 0.011;

/// Colours that readers with any kind of colour vision tell apart (Okabe and Ito 2008).
const LEAF: &str = "#0072b2";
const FINGER: &str = "#d55e00";
/// Around a leaf that is a finger too.
const AROUND_LEAF: &str = "stroke='#d55e00' stroke-width='2' class='both'";
const OWN: &str = "#111111";
/// Around a super-peer.
const AROUND_SUPER_PEER: &str = "stroke='#cc79a7' stroke-width='2' class='super-peer'";
/// Arcs of rows in turn, so that neighbours differ.
const ROWS: [&str; 2] = ["#56b4e9", "#009e73"];

/// Draws the view.
pub(crate) fn svg(view: &RingView) -> String {
    let mut picture = Picture::new();
    picture.facts(view);
    picture.rows(view);
    picture.lines_to_fingers(view);
    picture.circle(MIDDLE, RADIUS, "fill='none' stroke='#999'");
    // Below its neighbours, which it would hide.
    picture.own(on_circle(0.0, RADIUS), view);
    // Leaves last: they are the ones that correctness rests on.
    for peer in view.fingers().filter(|finger| !finger.leaf) {
        picture.peer(on_circle(peer.turn(), RADIUS), peer, FINGER);
    }
    for peer in view.fingers().filter(|finger| finger.leaf) {
        picture.circle(on_circle(peer.turn(), RADIUS), 7.5, &format!("fill='none' {AROUND_LEAF}"));
    }
    for peer in &view.leaf_set {
        picture.peer(on_circle(peer.turn(), RADIUS), peer, LEAF);
    }
    picture.legend(view.super_peers > 0);
    picture.strip(view);
    picture.text.push_str("</svg>\n");
    picture.text
}

fn on_circle(turn: f64, radius: f64) -> (f64, f64) {
    let angle = turn * TAU;
    (MIDDLE.0 + radius * angle.sin(), MIDDLE.1 - radius * angle.cos())
}

struct Picture {
    text: String,
}

impl Picture {
    fn new() -> Self {
        let mut picture = Picture { text: String::new() };
        picture.add(format_args!(
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {WIDTH} {HEIGHT}' width='{WIDTH}' \
             height='{HEIGHT}' font-family='sans-serif' font-size='14'>"
        ));
        picture.add(format_args!("<rect width='{WIDTH}' height='{HEIGHT}' fill='white'/>"));
        picture
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{element}");
    }

    fn words(&mut self, (x, y): (f64, f64), attributes: &str, words: &str) {
        let words = escaped(words);
        self.add(format_args!("<text x='{x:.1}' y='{y:.1}' {attributes}>{words}</text>"));
    }

    fn circle(&mut self, (x, y): (f64, f64), radius: f64, attributes: &str) {
        self.add(format_args!("<circle cx='{x:.1}' cy='{y:.1}' r='{radius}' {attributes}/>"));
    }

    /// What a super-peer stands in: a square, which is seen without colours as well.
    fn square(&mut self, (x, y): (f64, f64)) {
        let (left, top) = (x - 10.0, y - 10.0);
        self.add(format_args!(
            "<rect x='{left:.1}' y='{top:.1}' width='20' height='20' fill='none' {AROUND_SUPER_PEER}/>"
        ));
    }

    /// A peer with what is known of it as a tooltip. Filled: connected.
    fn peer(&mut self, (x, y): (f64, f64), peer: &Seat, colour: &str) {
        if peer.super_peer {
            self.square((x, y));
        }
        let fill = if peer.connected { colour } else { "white" };
        let title = escaped(&described(peer));
        self.add(format_args!(
            "<circle cx='{x:.1}' cy='{y:.1}' r='5' fill='{fill}' stroke='{colour}' stroke-width='1.5'>\
             <title>{title}</title></circle>"
        ));
    }

    fn own(&mut self, (x, y): (f64, f64), view: &RingView) {
        if view.super_peer {
            self.square((x, y));
        }
        let title = view.id;
        self.add(format_args!(
            "<circle cx='{x:.1}' cy='{y:.1}' r='9' fill='{OWN}' stroke='white' stroke-width='2'>\
             <title>{title}</title></circle>"
        ));
    }

    fn facts(&mut self, view: &RingView) {
        let nodes = human::count(view.network_nodes, "node", "nodes");
        let about = if view.network_nodes_exact { "" } else { "about " };
        let connected = view.peers().filter(|peer| peer.connected).count();
        let lines = [
            format!(
                "{about}{nodes}, metric {}{}",
                view.metric,
                if view.role == DaemonRole::Client { ", seen by a client" } else { "" }
            ),
            format!("{} leaves, {} fingers", view.leaf_set.len(), view.fingers().count()),
            format!("{} peers, {connected} connected", view.peers().count()),
            median_rtt(view.peers())
                .map_or(String::new(), |ms| format!("median round trip {}", milliseconds(ms))),
            match view.super_peers {
                0 => String::new(),
                count => human::count(count as u64, "super-peer known", "super-peers known"),
            },
        ];
        self.words((24.0, 34.0), "font-size='18' font-weight='bold'", "The ring as one daemon sees it");
        self.words((24.0, 58.0), "font-family='monospace' fill='#555'", &human::short(view.id));
        for (line, words) in lines.iter().enumerate() {
            self.words((24.0, 82.0 + 20.0 * line as f64), "", words);
        }
    }

    /// Arcs of rows outside of the circle, dark where the row is full.
    fn rows(&mut self, view: &RingView) {
        for row in &view.rows {
            let (from, to) = (on_circle(row.start, ARCS), on_circle(row.start + row.length, ARCS));
            let (large, colour) = (u8::from(row.length > 0.5), ROWS[usize::from(row.digit % 2)]);
            // Levels alternate as well: the third digit of one lies beside the first of the next.
            let width = if row.level % 2 == 0 { 10 } else { 16 };
            let opacity = 0.25 + 0.75 * (row.fingers.len() as f64 / 8.0).min(1.0);
            let title = escaped(&told(row));
            self.add(format_args!(
                "<path d='M{:.2} {:.2} A{ARCS} {ARCS} 0 {large} 1 {:.2} {:.2}' fill='none' stroke='{colour}' \
                 stroke-width='{width}' stroke-opacity='{opacity:.2}'><title>{title}</title></path>",
                from.0, from.1, to.0, to.1
            ));
            if row.length > LABELLED {
                let place = on_circle(row.start + row.length / 2.0, SCALES);
                let centred = "text-anchor='middle' dominant-baseline='middle' font-size='12' fill='#555'";
                self.words(place, centred, &row.fingers.len().to_string());
            }
        }
    }

    /// Lines from the daemon to its fingers, dark where the round trip is short.
    fn lines_to_fingers(&mut self, view: &RingView) {
        let slowest = view.fingers().filter_map(|finger| finger.rtt_ms).fold(0.0, f64::max);
        let own = on_circle(0.0, RADIUS);
        for finger in view.fingers() {
            let (x, y) = on_circle(finger.turn(), RADIUS);
            // Bent towards the middle, so that lines to near fingers are not one with the circle.
            let bend = ((own.0 + x + 2.0 * MIDDLE.0) / 4.0, (own.1 + y + 2.0 * MIDDLE.1) / 4.0);
            let share = finger.rtt_ms.map_or(1.0, |rtt| rtt / slowest.max(f64::MIN_POSITIVE));
            let opacity = 0.85 - 0.65 * share.clamp(0.0, 1.0).sqrt();
            let dashes = if finger.connected { "" } else { " stroke-dasharray='4 4'" };
            self.add(format_args!(
                "<path d='M{:.1} {:.1} Q{:.1} {:.1} {x:.1} {y:.1}' fill='none' stroke='{FINGER}' \
                 stroke-opacity='{opacity:.2}'{dashes}/>",
                own.0, own.1, bend.0, bend.1
            ));
        }
    }

    fn legend(&mut self, super_peers: bool) {
        let column = 752.0;
        let entries: [(&str, &str, &str); 4] = [
            (OWN, OWN, "this daemon, at the top"),
            (LEAF, LEAF, "leaf"),
            (FINGER, FINGER, "finger"),
            ("white", "#555", "not connected"),
        ];
        for (line, (fill, stroke, words)) in entries.into_iter().enumerate() {
            let y = 30.0 + 20.0 * line as f64;
            self.circle((column, y), 5.0, &format!("fill='{fill}' stroke='{stroke}' stroke-width='1.5'"));
            self.words((column + 14.0, y + 5.0), "", words);
        }
        let both = (column + 80.0, 50.0);
        self.circle(both, 7.5, &format!("fill='none' {AROUND_LEAF}"));
        self.circle(both, 5.0, &format!("fill='{LEAF}'"));
        self.words((both.0 + 14.0, 55.0), "", "leaf and finger");
        self.words((column - 6.0, 115.0), "font-size='12' fill='#555'", "dark line: short round trip");
        self.words((column - 6.0, 132.0), "font-size='12' fill='#555'", "arc: a row, and its fingers");
        if super_peers {
            self.square((column + 4.0, 152.0));
            self.words((column + 22.0, 157.0), "", "super-peer");
        }
    }

    /// The leaf set on a line, as large as fits: in a large network all of it is one point of the circle.
    fn strip(&mut self, view: &RingView) {
        let reach = view.leaf_set.iter().map(|leaf| leaf.offset.abs()).fold(0.0, f64::max);
        if reach == 0.0 {
            return;
        }
        let span = human_share(view.leaf_span());
        self.words(
            (MIDDLE.0, STRIP - 48.0),
            "text-anchor='middle'",
            &format!("the leaf set, on {span} of the circle, enlarged"),
        );
        let (from, to) = (MIDDLE.0 - STRIP_REACH, MIDDLE.0 + STRIP_REACH);
        self.add(format_args!("<path d='M{from} {STRIP} H{to}' stroke='#999'/>"));
        for leaf in &view.leaf_set {
            let x = MIDDLE.0 + STRIP_REACH * leaf.offset / reach;
            self.peer((x, STRIP), leaf, LEAF);
        }
        self.own((MIDDLE.0, STRIP), view);
        let grey = "font-size='12' fill='#555'";
        self.words((from, STRIP + 32.0), grey, "counterclockwise");
        self.words((to, STRIP + 32.0), &format!("{grey} text-anchor='end'"), "clockwise");
    }
}

fn described(peer: &Seat) -> String {
    let rtt = peer.rtt_ms.map_or_else(|| "not measured".to_owned(), milliseconds);
    let connected = if peer.connected { "connected" } else { "not connected" };
    let kind = if peer.super_peer { ", super-peer" } else { "" };
    format!("{}\nround trip {rtt}, {connected}{kind}", peer.id)
}

fn told(row: &Row) -> String {
    let median = median_rtt(row.fingers.iter()).map_or_else(|| "unknown".to_owned(), milliseconds);
    format!(
        "{} level {} digit {}: {}, median round trip {median}",
        row.direction,
        row.level,
        row.digit,
        human::count(row.fingers.len() as u64, "finger", "fingers")
    )
}

fn human_share(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 0.1 { format!("{percent:.1} %") } else { format!("{percent:.1e} %") }
}

/// Words as XML takes them, between quotes too.
fn escaped(words: &str) -> String {
    let mut text = String::with_capacity(words.len());
    for letter in words.chars() {
        match letter {
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '&' => text.push_str("&amp;"),
            '\'' => text.push_str("&#39;"),
            '"' => text.push_str("&quot;"),
            letter => text.push(letter),
        }
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::view::tests::{view, with_super_peers};
    use super::*;

    #[test]
    fn every_peer_and_every_row_is_drawn_once() {
        let view = view(5_000, 200, "ring");
        let picture = svg(&view);
        let leaves = view.leaf_set.len();
        // On the circle and in the strip.
        assert_eq!(
            picture.matches("round trip").count(),
            200 + 2 * leaves + view.rows.len() + 2,
            "{picture}"
        );
        for peer in view.peers() {
            assert!(picture.contains(&peer.id.to_string()), "{}", peer.id);
        }
    }

    #[test]
    fn who_is_leaf_and_finger_is_seen_as_both_and_nobody_is_hidden() {
        let mut view = view(5_000, 200, "ring");
        let rings = |view: &RingView| svg(view).matches("class='both'").count() - 1;
        let before = rings(&view);
        assert_eq!(before, view.fingers().filter(|finger| finger.leaf).count());
        let finger =
            view.rows.iter_mut().flat_map(|row| &mut row.fingers).find(|finger| !finger.leaf).unwrap();
        finger.leaf = true;
        let finger = finger.clone();
        view.leaf_set.push(finger);
        assert_eq!(rings(&view), before + 1);
        let picture = svg(&view);
        let own = picture.find(&format!("<title>{}<", view.id)).unwrap();
        let neighbours = view.leaf_set.iter().map(|leaf| picture.find(&leaf.id.to_string()).unwrap());
        assert!(neighbours.into_iter().all(|place| place > own), "the daemon is drawn over a neighbour");
    }

    #[test]
    fn super_peers_stand_in_squares() {
        let plain = view(5_000, 200, "ring");
        assert_eq!(svg(&plain).matches("super-peer").count(), 0);
        let marked = with_super_peers(plain);
        let picture = svg(&marked);
        // A leaf and the daemon on the circle and in the strip, a finger, and the legend.
        assert_eq!(picture.matches("class='super-peer'").count(), 6, "{picture}");
        assert_eq!(picture.matches("connected, super-peer</title>").count(), 3, "{picture}");
        assert!(picture.contains(">4 super-peers known<"), "{picture}");
    }

    #[test]
    fn elements_are_closed_and_words_are_escaped() {
        let mut view = view(50, 60, "xor");
        view.metric = "<script>&'\"".into();
        let picture = svg(&view);
        assert!(!picture.contains("<script>"));
        for element in ["svg", "text", "title"] {
            let (opened, closed) = (format!("<{element}"), format!("</{element}>"));
            assert_eq!(picture.matches(&opened).count(), picture.matches(&closed).count(), "{element}");
        }
        assert!(!picture.contains("NaN") && !picture.contains("inf"), "{picture}");
    }
}
