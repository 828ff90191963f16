//! One family of series: what it is called, what it means, and its values.

use std::fmt;

use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

/// Whether values only grow, as long as the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// See the module's description.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Family {
    name: &'static str,
    /// A sentence.
    about: &'static str,
    kind: Kind,
    /// What tells the series apart; nothing, if there is only one.
    label: Option<&'static str>,
    values: Vec<(&'static str, f64)>,
}

/// Something that is counted, of which there is one.
pub(super) fn counter(name: &'static str, about: &'static str, value: impl Into<Value>) -> Family {
    Family { name, about, kind: Kind::Counter, label: None, values: vec![("", value.into().0)] }
}

/// Something that is measured, of which there is one.
pub(super) fn gauge(name: &'static str, about: &'static str, value: impl Into<Value>) -> Family {
    Family { kind: Kind::Gauge, ..counter(name, about, value) }
}

/// Things that are counted, told apart by the words of a label.
pub(super) fn counters<const N: usize>(
    name: &'static str,
    about: &'static str,
    label: &'static str,
    values: [(&'static str, u64); N],
) -> Family {
    let values = values.into_iter().map(|(word, value)| (word, Value::from(value).0)).collect();
    Family { name, about, kind: Kind::Counter, label: Some(label), values }
}

/// Things that are measured, told apart by the words of a label.
pub(super) fn gauges<const N: usize>(
    name: &'static str,
    about: &'static str,
    label: &'static str,
    values: [(&'static str, u64); N],
) -> Family {
    Family { kind: Kind::Gauge, ..counters(name, about, label, values) }
}

/// 1 for the word that holds, 0 for the others.
pub(super) fn one_of<const N: usize>(
    name: &'static str,
    about: &'static str,
    label: &'static str,
    words: [(&'static str, bool); N],
) -> Family {
    gauges(name, about, label, words.map(|(word, holds)| (word, u64::from(holds))))
}

/// The value of a series.
pub(super) struct Value(f64);

impl From<u64> for Value {
    fn from(value: u64) -> Self {
        Value(value as f64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Value(value)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value(f64::from(u8::from(value)))
    }
}

impl Family {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut metric = encoder.encode_descriptor(self.name, self.about, None, kind)?;
        for (word, value) in &self.values {
            match self.label {
                Some(label) => self.kind.encode(metric.encode_family(&[(label, *word)])?, *value)?,
                None => return self.kind.encode(metric, *value),
            }
        }
        Ok(())
    }
}

impl Kind {
    fn encode(self, mut metric: MetricEncoder<'_>, value: f64) -> fmt::Result {
        match self {
            Kind::Counter => metric.encode_counter::<NoLabelSet, _, u64>(&value, None),
            Kind::Gauge => metric.encode_gauge(&value),
        }
    }
}
