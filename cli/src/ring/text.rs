//! The ring in characters: two circles, a few facts, and the rows of the finger table.
//!
//! Everything fits on 80 columns, however many peers there are: those that share a cell become a digit, and a line of
//! the table is one scale of distance. On fewer columns the facts stand below the circles, the sides of the table one
//! below the other, and what is still too wide becomes smaller.

use std::collections::BTreeMap;

use super::view::{RingView, Row, Seat, median_rtt, milliseconds};
use chordage_api::types::{DaemonRole, Side};

use crate::charset::Charset;
use crate::human;
use crate::picture::{Canvas, Circle};
use crate::width::wrapped;

/// Columns of the circles if there is room, where the facts begin beside them, and the longest fact.
const COLUMNS: usize = 45;
const FACTS: usize = 46;
const FACT: usize = 34;
/// Columns of the table: of the scales, of one side, and how many of these are there for the fingers of three rows.
const SCALE: usize = 7;
const SIDE: usize = 35;
/// Fingers of a row that get a mark of their own. The protocol has no more in a row.
const MARKS: usize = 8;

/// What a peer is drawn as.
#[derive(Clone, Copy)]
struct Marks {
    connected: char,
    cold: char,
}

impl Marks {
    fn leaf(charset: Charset) -> Self {
        Marks { connected: charset.pick('*', '\u{25cf}'), cold: charset.pick('o', '\u{25cb}') }
    }

    fn finger(charset: Charset) -> Self {
        Marks { connected: charset.pick('X', '\u{25c6}'), cold: charset.pick('x', '\u{25c7}') }
    }

    fn super_peer(charset: Charset) -> Self {
        Marks { connected: charset.pick('S', '\u{2605}'), cold: charset.pick('s', '\u{2606}') }
    }

    /// A super-peer's mark is its own, wherever it stands.
    fn of(self, peer: &Seat, charset: Charset) -> char {
        let marks = if peer.super_peer { Marks::super_peer(charset) } else { self };
        if peer.connected { marks.connected } else { marks.cold }
    }
}

/// Draws the view, line by line.
pub(crate) fn text(view: &RingView, charset: Charset, columns: usize) -> Vec<String> {
    let mut lines: Vec<String> = circles(view, charset, columns.min(COLUMNS));
    let facts = facts(view, charset);
    if columns >= FACTS + FACT {
        for (line, fact) in lines.iter_mut().zip(facts) {
            *line = format!("{line:<FACTS$}{fact}");
        }
    } else {
        if !fits_inside(view, columns) {
            lines.push(String::new());
            lines.extend(size(view).map(|words| wrapped(&words, columns, 2)));
        }
        lines.extend(facts.iter().map(|fact| wrapped(fact, columns, 4)));
    }
    if !view.rows.is_empty() {
        if lines.last().is_some_and(|line| !line.trim().is_empty()) {
            lines.push(String::new());
        }
        lines.extend(table(view, charset, columns));
    }
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// The circle of ids with the daemon at the top of it: leaves outside, fingers inside (who is both is at both), and
/// between them the line, where nobody else is, with a tick where a row begins.
fn circles(view: &RingView, charset: Charset, columns: usize) -> Vec<String> {
    let rows = columns / 2 + 1;
    let mut canvas = Canvas::new(rows, columns);
    let middle = ((rows - 1) as f64 / 2.0, (columns - 1) as f64 / 2.0);
    let circle = |inset: f64| Circle { middle, reach: (middle.0 - inset, middle.1 - 2.0 * inset) };
    let (leaves, rim, fingers) = (circle(0.0), circle(1.25), circle(2.5));

    canvas.trace(&rim, 180, charset.dot());
    for row in &view.rows {
        // A row that begins on the far side of the daemon begins at its nearer end all the same.
        let tick = if row.direction == Side::Counterclockwise { row.start + row.length } else { row.start };
        let (row, column) = rim.cell(tick);
        canvas.write(row, column, [charset.pick('+', '\u{253c}')]);
    }
    scatter(&mut canvas, &fingers, view.fingers(), |peer| Marks::finger(charset).of(peer, charset));
    scatter(&mut canvas, &leaves, view.leaf_set.iter(), |peer| Marks::leaf(charset).of(peer, charset));
    let (row, column) = rim.cell(0.0);
    canvas.write(row, column, [own_mark(charset)]);

    if fits_inside(view, columns) {
        for (line, words) in size(view).into_iter().enumerate() {
            canvas.write(rows / 2 - 1 + line, (columns - words.len()) / 2, words.chars());
        }
    }
    canvas.into_lines()
}

/// What stands inside the circles.
fn size(view: &RingView) -> [String; 2] {
    let nodes = human::count(view.network_nodes, "node", "nodes");
    let size = if view.network_nodes_exact { nodes } else { format!("about {nodes}") };
    [size, format!("metric {}", view.metric)]
}

/// Whether it has room there: the circle of the fingers is five columns in from either side.
fn fits_inside(view: &RingView, columns: usize) -> bool {
    size(view).iter().all(|words| words.len() + 12 <= columns)
}

/// Draws peers where they are; several in one cell as their number.
fn scatter<'a>(
    canvas: &mut Canvas,
    circle: &Circle,
    peers: impl Iterator<Item = &'a Seat>,
    mark: impl Fn(&Seat) -> char,
) {
    let mut cells: BTreeMap<(usize, usize), (usize, char)> = BTreeMap::new();
    for peer in peers {
        cells.entry(circle.cell(peer.turn())).or_insert((0, mark(peer))).0 += 1;
    }
    for ((row, column), (count, mark)) in cells {
        let letter = match count {
            1 => mark,
            2..=9 => char::from_digit(count as u32, 10).unwrap_or('#'),
            _ => '#',
        };
        canvas.write(row, column, [letter]);
    }
}

fn own_mark(charset: Charset) -> char {
    charset.pick('@', '\u{25c9}')
}

/// What stands beside the circles. Lines of at most [`FACT`] characters.
fn facts(view: &RingView, charset: Charset) -> Vec<String> {
    let connected = |peers: &mut dyn Iterator<Item = &Seat>| peers.filter(|peer| peer.connected).count();
    let (leaf, finger) = (Marks::leaf(charset), Marks::finger(charset));
    let mut lines = vec![
        String::new(),
        format!(
            "{} {}{}",
            own_mark(charset),
            human::short(view.id),
            match view.role {
                DaemonRole::Client => " client",
                _ if view.super_peer => " super-peer",
                _ => "",
            }
        ),
        String::new(),
    ];

    let after = view.leaf_set.iter().filter(|leaf| leaf.offset > 0.0).count();
    lines.push(format!(
        "leaf set      {}, {} connected",
        view.leaf_set.len(),
        connected(&mut view.leaf_set.iter())
    ));
    // Only on a ring has a leaf set two sides.
    let has_sides = view.metric != "xor";
    if has_sides && !view.leaf_set.is_empty() {
        lines.push(format!("              {} before, {after} after", view.leaf_set.len() - after));
        lines.push(format!("              {} of the ring", percent(view.leaf_span())));
    }
    lines.push(format!(
        "fingers       {}, {} connected",
        view.fingers().count(),
        connected(&mut view.fingers())
    ));
    if !view.rows.is_empty() {
        lines.push(format!("              in {}", human::count(view.rows.len() as u64, "row", "rows")));
    }
    if view.super_peers > 0 {
        let shown = view.peers().filter(|peer| peer.super_peer).count();
        lines.push(format!("super-peers   {} known, {shown} drawn", view.super_peers));
    }
    let times = || view.peers().filter_map(|peer| peer.rtt_ms);
    if let Some(median) = median_rtt(view.peers()) {
        let (low, high) = (times().fold(f64::INFINITY, f64::min), times().fold(0.0, f64::max));
        lines.push(format!("round trips   {} to {}", milliseconds(low), milliseconds(high)));
        lines.push(format!("              median {}", milliseconds(median)));
    }
    let nearest = |sign: f64| {
        let side = view.leaf_set.iter().filter(move |leaf| leaf.offset * sign > 0.0);
        side.min_by(|a, b| (a.offset * sign).total_cmp(&(b.offset * sign)))
    };
    for (name, neighbour) in [("successor", nearest(1.0)), ("predecessor", nearest(-1.0))] {
        if let Some(neighbour) = neighbour
            && has_sides
        {
            lines.push(format!("{name:<14}{}", human::short(neighbour.id)));
        }
    }
    lines.extend([
        String::new(),
        format!("{} this daemon, at the top", own_mark(charset)),
        format!("{} leaf     {} not connected", leaf.connected, leaf.cold),
        format!("{} finger   {} not connected", finger.connected, finger.cold),
    ]);
    if view.super_peers > 0 {
        let super_peer = Marks::super_peer(charset);
        lines.push(format!("{} super-p. {} not connected", super_peer.connected, super_peer.cold));
    }
    lines.extend([
        "2-9 so many in one place, # more".to_owned(),
        format!("{} where a row begins", charset.pick('+', '\u{253c}')),
    ]);
    lines
}

/// The finger table, one line for each scale of distance.
fn table(view: &RingView, charset: Charset, columns: usize) -> Vec<String> {
    let sides: &[Side] = if view.rows.iter().any(|row| row.direction == Side::Both) {
        &[Side::Both]
    } else {
        &[Side::Counterclockwise, Side::Clockwise]
    };
    let beside = if SCALE + sides.len() * SIDE <= columns { sides.len() } else { 1 };
    sides.chunks(beside).flat_map(|sides| table_of(view, sides, charset, columns)).collect()
}

/// The part of the table that has these sides, one beside the other.
fn table_of(view: &RingView, sides: &[Side], charset: Charset, columns: usize) -> Vec<String> {
    let count = MARKS.min((columns - SCALE - 3) / 3);
    let width = 3 * count + 2;
    let with_median = columns >= SCALE + SIDE;
    let cells = |fingers: &str, median: &str| match with_median {
        true => format!(" {fingers:<width$} {median:>6} "),
        false => format!(" {fingers:<width$.width$}"),
    };
    let mut header = format!("{:<SCALE$}", "from");
    for side in sides {
        let heading = if *side == Side::Both { "fingers".to_owned() } else { side.to_string() };
        header.push_str(&cells(&heading, "median"));
    }
    let mut levels: Vec<u8> = view.rows.iter().map(|row| row.level).collect();
    levels.sort_unstable_by(|a, b| b.cmp(a));
    levels.dedup();
    let line = |level: u8| {
        let mut line = format!("{:<SCALE$}", scale(level));
        for side in sides {
            let rows = || view.rows.iter().filter(|row| row.level == level && row.direction == *side);
            let median =
                median_rtt(rows().flat_map(|row| &row.fingers)).map(milliseconds).unwrap_or_default();
            // On a ring nothing is farther away than half of the circle.
            let marks: Vec<String> = (1..=3)
                .map(|digit| match rows().find(|row| row.digit == digit) {
                    None if level == 127 && digit > 1 && *side != Side::Both => " ".repeat(count),
                    row => marks(row, charset, count),
                })
                .collect();
            line.push_str(&cells(&marks.join(" "), &median));
        }
        line
    };
    std::iter::once(header).chain(levels.into_iter().map(line)).collect()
}

/// A mark for every finger of a row, in as many characters for every row.
fn marks(row: Option<&Row>, charset: Charset, count: usize) -> String {
    let kind = Marks::finger(charset);
    let mut peers: Vec<&Seat> = row.map_or(&[][..], |row| &row.fingers).iter().collect();
    // Connected ones first, so that rows compare at a glance.
    peers.sort_by_key(|peer| !peer.connected);
    let mut fingers: Vec<char> = peers.into_iter().map(|peer| kind.of(peer, charset)).collect();
    if fingers.len() > count {
        fingers.truncate(count - 1);
        fingers.push('#');
    }
    fingers.resize(count, charset.dot());
    fingers.into_iter().collect()
}

/// Where a level begins, as a share of the circle: the 128 levels are powers of four.
fn scale(level: u8) -> String {
    let bits = 2 * (128 - u32::from(level.min(127)));
    let (unit, name) = match bits {
        0..14 => (0, ""),
        14..20 => (10, "k"),
        20..30 => (20, "M"),
        30..40 => (30, "G"),
        _ => return format!("2^-{bits}"),
    };
    format!("1/{}{name}", 1u64 << (bits - unit))
}

fn percent(share: f64) -> String {
    match share * 100.0 {
        percent if percent >= 9.95 => format!("{percent:.0} %"),
        percent if percent >= 0.0995 => format!("{percent:.1} %"),
        percent if percent > 0.0 => format!("{percent:.1e} %"),
        _ => "0 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::view::tests::{view, with_super_peers};
    use super::*;

    #[test]
    fn forty_leaves_and_two_hundred_fingers_fit_on_a_screen() {
        for charset in [Charset::Ascii, Charset::Unicode] {
            for metric in ["ring", "xor"] {
                for (nodes, fingers) in [(1, 0), (50, 60), (5_000, 200), (1_000_000_000, 400)] {
                    let lines = text(&view(nodes, fingers, metric), charset, 80);
                    for line in &lines {
                        assert!(line.chars().count() <= 80, "{} in {line:?}", line.chars().count());
                    }
                    assert!(lines.len() <= 48, "{} lines", lines.len());
                    assert!(charset == Charset::Unicode || lines.concat().is_ascii());
                }
            }
        }
    }

    #[test]
    fn it_fits_on_few_columns_too() {
        for metric in ["ring", "xor"] {
            for columns in 20..100 {
                let lines = text(&view(1_000_000_000, 400, metric), Charset::Ascii, columns).join("\n");
                for line in lines.lines() {
                    assert!(line.len() <= columns, "{} of {columns} in {line:?}", line.len());
                }
                assert!(lines.contains("about 1000000000"), "{columns}: {lines}");
            }
        }
    }

    #[test]
    fn nobody_is_left_out() {
        let lines = text(&view(5_000, 200, "ring"), Charset::Ascii, 80);
        let table = lines.iter().skip_while(|line| !line.starts_with("from")).skip(1);
        let marks = table.flat_map(|line| line.chars()).filter(|mark| matches!(mark, 'x' | 'X')).count();
        assert_eq!(marks, 200, "{}", lines.join("\n"));
    }

    #[test]
    fn super_peers_have_a_mark_of_their_own() {
        let plain = view(5_000, 200, "ring");
        assert!(!text(&plain, Charset::Ascii, 80).join("\n").contains("super-p"));
        let mut marked = with_super_peers(plain);
        for (charset, connected, cold) in
            [(Charset::Ascii, 'S', 's'), (Charset::Unicode, '\u{2605}', '\u{2606}')]
        {
            let lines = text(&marked, charset, 80);
            assert!(lines.iter().all(|line| line.chars().count() <= 80) && lines.len() <= 48);
            let drawn = lines.join("\n");
            assert!(drawn.contains("super-peers   4 known, 2 drawn"), "{drawn}");
            assert!(drawn.contains(" super-peer\n"), "{drawn}");
            assert!(drawn.contains(&format!("{connected} super-p. {cold} not connected")), "{drawn}");
            let table = lines.iter().skip_while(|line| !line.starts_with("from")).skip(1);
            assert_eq!(
                table.flat_map(|line| line.chars()).filter(|mark| *mark == connected).count(),
                1,
                "{drawn}"
            );
        }
        // Alone in its cell.
        marked.rows.clear();
        marked.leaf_set.truncate(1);
        let circle = |view: &RingView, mark: char| {
            let lines = text(view, Charset::Unicode, 80);
            lines.iter().flat_map(|line| line.chars().take(COLUMNS)).filter(|letter| *letter == mark).count()
        };
        assert_eq!((circle(&marked, '\u{2605}'), circle(&marked, '\u{2606}')), (1, 0));
        marked.leaf_set[0].connected = false;
        assert_eq!((circle(&marked, '\u{2605}'), circle(&marked, '\u{2606}')), (0, 1));
    }

    #[test]
    fn a_neighbour_beside_the_daemon_is_not_hidden_by_it() {
        let mut view = view(1_000_000_000, 0, "ring");
        view.leaf_set.truncate(1);
        view.leaf_set[0].offset = 1e-9;
        let lines = text(&view, Charset::Ascii, 80);
        let marks: Vec<&str> =
            lines.iter().take(3).map(|line| line.get(22..23).unwrap_or_default()).collect();
        assert!(matches!(marks[0], "*" | "o") && marks.contains(&"@"), "{}", lines.join("\n"));
    }

    #[test]
    fn scales_are_powers_of_four() {
        let names: Vec<String> = [127, 126, 125, 122, 121, 118, 113, 64].map(scale).into();
        assert_eq!(names, ["1/4", "1/16", "1/64", "1/4096", "1/16k", "1/1M", "1/1G", "2^-128"]);
    }

    #[test]
    fn a_lonely_daemon_is_a_picture_too() {
        let mut view = view(1, 0, "ring");
        view.leaf_set.clear();
        view.network_nodes_exact = true;
        let lines = text(&view, Charset::Ascii, 80).join("\n");
        assert!(lines.contains("1 node\n") || lines.contains(" 1 node "), "{lines}");
        assert!(lines.contains("0, 0 connected"), "{lines}");
    }
}
