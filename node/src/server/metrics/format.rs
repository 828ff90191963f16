//! The two text formats: <https://prometheus.io/docs/specs/om/open_metrics_spec/> and
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::sample::Sample;

/// In which format series are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// 1.0.0.
    OpenMetrics,
    /// 0.0.4.
    Prometheus,
}

impl Format {
    /// What a client that accepts this gets.
    pub(super) fn of(accept: Option<&str>) -> Self {
        match accept.is_some_and(|accept| accept.contains("application/openmetrics-text")) {
            true => Format::OpenMetrics,
            false => Format::Prometheus,
        }
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// A sample in this format.
    pub(super) fn text(self, sample: Sample) -> String {
        let mut registry = Registry::with_prefix("chordage");
        registry.register_collector(Box::new(sample));
        let mut text = String::new();
        // Nothing fails that is written into a string.
        let _ = encode(&mut text, &registry);
        match self {
            Format::OpenMetrics => text,
            Format::Prometheus => older(&text),
        }
    }
}

/// The older format knows no units and no end, and there counters are described by the name that their series have.
fn older(text: &str) -> String {
    let mut lines = Vec::new();
    let mut described: Option<&str> = None;
    for line in text.lines() {
        let mut words = line.split(' ');
        match (words.next(), words.next(), words.next(), words.next()) {
            (Some("#"), Some("UNIT"), ..) | (Some("#"), Some("EOF"), ..) => {}
            (Some("#"), Some("HELP"), ..) => described = Some(line),
            (Some("#"), Some("TYPE"), Some(name), Some(kind)) => {
                let end = if kind == "counter" { "_total" } else { "" };
                let about =
                    described.take().and_then(|line| line.split_once(name)).map_or("", |(_, about)| about);
                lines.push(format!("# HELP {name}{end}{about}\n# TYPE {name}{end} {kind}\n"));
            }
            _ => lines.push(format!("{line}\n")),
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_accepts_the_newer_format_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;q=0.5";
        assert_eq!(Format::of(Some(prometheus)), Format::OpenMetrics);
        assert_eq!(Format::of(Some("text/html,*/*")), Format::Prometheus);
        assert_eq!(Format::of(None), Format::Prometheus);
    }

    #[test]
    fn the_older_format_describes_counters_by_their_series() {
        let newer = "# HELP chordage_a_bytes Bytes.\n# TYPE chordage_a_bytes counter\n# UNIT chordage_a_bytes bytes\n\
                     chordage_a_bytes_total 3\n# HELP chordage_b Things.\n# TYPE chordage_b gauge\nchordage_b 1\n# EOF\n";
        let expected = "# HELP chordage_a_bytes_total Bytes.\n# TYPE chordage_a_bytes_total counter\n\
                        chordage_a_bytes_total 3\n# HELP chordage_b Things.\n# TYPE chordage_b gauge\nchordage_b 1\n";
        assert_eq!(older(newer), expected);
    }
}
