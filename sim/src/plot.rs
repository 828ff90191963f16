//! Pictures of results, as SVG without anything but lines, rectangles and words.

use std::fmt::Write;

/// Size of the picture, and the margins of the area that is plotted into.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 72.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 44.0;
const BOTTOM: f64 = 56.0;
/// Colours that readers with any kind of colour vision tell apart (Okabe and Ito 2008).
const COLOURS: [&str; 6] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"];

/// How a series is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Line,
    Bars,
}

/// Points that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    name: String,
    style: Style,
    points: Vec<(f64, f64)>,
}

impl Series {
    /// Points joined by a line, in their order. An unnamed series is not listed.
    pub fn line(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), style: Style::Line, points }
    }

    /// A bar at every point.
    pub fn bars(name: &str, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), style: Style::Bars, points }
    }
}

/// One picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    title: String,
    x_label: String,
    y_label: String,
    logarithmic_x: bool,
    series: Vec<Series>,
}

/// Where a number lies on an axis.
#[derive(Clone, Copy)]
struct Axis {
    low: f64,
    high: f64,
    logarithmic: bool,
    from: f64,
    to: f64,
}

impl Axis {
    fn place(&self, value: f64) -> f64 {
        let scale = |value: f64| if self.logarithmic { value.max(f64::MIN_POSITIVE).log10() } else { value };
        let (low, high) = (scale(self.low), scale(self.high));
        let share = if high > low { (scale(value) - low) / (high - low) } else { 0.5 };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// Round numbers along the axis.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let (low, high) = (self.low.log10().ceil() as i32, self.high.log10().floor() as i32);
            return (low..=high).map(|power| 10f64.powi(power)).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        if rough <= 0.0 || !rough.is_finite() {
            return vec![self.low];
        }
        let power = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power).into_iter().find(|step| *step >= rough);
        let step = step.unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last).map(|tick| tick as f64 * step).collect()
    }
}

impl Plot {
    /// An empty picture. Axes begin at 0 unless numbers are negative, and end where the numbers do.
    pub fn new(title: &str, x_label: &str, y_label: &str) -> Self {
        Self {
            title: title.to_owned(),
            x_label: x_label.to_owned(),
            y_label: y_label.to_owned(),
            logarithmic_x: false,
            series: Vec::new(),
        }
    }

    /// Adds a series.
    pub fn with(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Powers of ten along the horizontal axis; numbers must be positive.
    pub fn logarithmic(mut self) -> Self {
        self.logarithmic_x = true;
        self
    }

    fn axes(&self) -> (Axis, Axis) {
        let points = || self.series.iter().flat_map(|series| &series.points);
        let bars = self.series.iter().any(|series| series.style == Style::Bars);
        let mut x_low = points().map(|point| point.0).fold(f64::INFINITY, f64::min);
        let mut x_high = points().map(|point| point.0).fold(f64::NEG_INFINITY, f64::max);
        let y_high = points().map(|point| point.1).fold(0.0, f64::max);
        let y_low = points().map(|point| point.1).fold(0.0, f64::min);
        if !x_low.is_finite() {
            (x_low, x_high) = (0.0, 1.0);
        }
        if bars {
            (x_low, x_high) = (x_low - 0.6, x_high + 0.6);
        } else if !self.logarithmic_x {
            x_low = x_low.min(0.0);
        }
        let x =
            Axis { low: x_low, high: x_high, logarithmic: self.logarithmic_x, from: LEFT, to: WIDTH - RIGHT };
        let y_high = if y_high > y_low { y_high } else { y_low + 1.0 };
        let y = Axis { low: y_low, high: y_high, logarithmic: false, from: HEIGHT - BOTTOM, to: TOP };
        (x, y)
    }

    /// The picture.
    pub fn to_svg(&self) -> String {
        let (x, y) = self.axes();
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n"
        );
        text(&mut svg, WIDTH / 2.0, 24.0, "middle", 16, &self.title);
        self.draw_grid(&mut svg, x, y);
        for (index, series) in self.series.iter().enumerate() {
            draw(&mut svg, series, COLOURS[index % COLOURS.len()], x, y);
        }
        self.draw_legend(&mut svg);
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_grid(&self, svg: &mut String, x: Axis, y: Axis) {
        for tick in x.ticks() {
            let at = x.place(tick);
            line(svg, (at, TOP), (at, HEIGHT - BOTTOM), "#e5e5e5");
            text(svg, at, HEIGHT - BOTTOM + 18.0, "middle", 12, &label(tick));
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            line(svg, (LEFT, at), (WIDTH - RIGHT, at), "#e5e5e5");
            text(svg, LEFT - 8.0, at + 4.0, "end", 12, &label(tick));
        }
        line(svg, (LEFT, HEIGHT - BOTTOM), (WIDTH - RIGHT, HEIGHT - BOTTOM), "#333333");
        line(svg, (LEFT, TOP), (LEFT, HEIGHT - BOTTOM), "#333333");
        text(svg, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 14.0, "middle", 13, &self.x_label);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            "<text x=\"18\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 18 {middle})\" \
             fill=\"#222222\">{}</text>",
            escape(&self.y_label)
        );
    }

    fn draw_legend(&self, svg: &mut String) {
        let named = self.series.iter().enumerate().filter(|(_, series)| !series.name.is_empty());
        for (row, (index, series)) in named.enumerate() {
            let at = TOP + 14.0 + 18.0 * row as f64;
            let colour = COLOURS[index % COLOURS.len()];
            let _ = writeln!(
                svg,
                "<rect x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" fill=\"{colour}\"/>",
                LEFT + 14.0,
                at - 10.0
            );
            text(svg, LEFT + 32.0, at, "start", 13, &series.name);
        }
    }
}

fn draw(svg: &mut String, series: &Series, colour: &str, x: Axis, y: Axis) {
    match series.style {
        Style::Line => {
            let mut path = String::new();
            for (a, b) in &series.points {
                let _ = write!(path, "{:.1},{:.1} ", x.place(*a), y.place(*b));
            }
            let _ = writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                path.trim_end()
            );
        }
        Style::Bars => {
            let half = (x.place(x.low + 0.4) - x.place(x.low)).abs();
            for (a, b) in &series.points {
                let (top, bottom) = (y.place(*b), y.place(0.0));
                let _ = writeln!(
                    svg,
                    "<rect x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
                    x.place(*a) - half,
                    2.0 * half,
                    bottom - top
                );
            }
        }
    }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let _ = writeln!(
        svg,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" stroke=\"{colour}\"/>",
        from.0, from.1, to.0, to.1
    );
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, size: u32, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\" fill=\"#222222\">{}</text>",
        escape(words)
    );
}

fn escape(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// A number as short as it can be read.
fn label(value: f64) -> String {
    let size = value.abs();
    if size >= 1e6 {
        format!("{}M", short(value / 1e6))
    } else if size >= 1e4 {
        format!("{}k", short(value / 1e3))
    } else {
        short(value)
    }
}

fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plot_is_well_formed_whatever_it_shows() {
        let plots = [
            Plot::new("nothing", "x", "y"),
            Plot::new("one < two & three", "x", "y").with(Series::line("a", vec![(1.0, 1.0)])),
            Plot::new("flat", "x", "y").with(Series::line("a", vec![(0.0, 0.0), (5.0, 0.0)])),
            Plot::new("bars", "x", "y").with(Series::bars("b", vec![(1.0, 0.2), (2.0, 0.8)])),
            Plot::new("powers", "x", "y").logarithmic().with(Series::line("", vec![(1e3, 2.0), (1e6, 3.0)])),
        ];
        for plot in plots {
            let svg = plot.to_svg();
            assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            assert!(!svg.contains("< two"), "unescaped text");
        }
    }

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = Axis { low: 0.0, high: 437.0, logarithmic: false, from: 0.0, to: 100.0 };
        assert_eq!(axis.ticks(), [0.0, 100.0, 200.0, 300.0, 400.0]);
        let axis = Axis { low: 1e3, high: 1e6, logarithmic: true, from: 0.0, to: 300.0 };
        assert_eq!(axis.ticks().len(), 4);
        assert!((axis.place(1e4) - 100.0).abs() < 1e-9);
    }
}
