//! What an experiment found: as numbers, as text, as pictures.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    experiments::{
        churn::ChurnReport, lookups::LookupsReport, membership::MembershipReport, records::RecordsReport,
    },
    plot::{Plot, Series},
};

/// The outcome of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Name of the scenario.
    pub name: String,
    /// The numbers, in the order in which the experiment lists them.
    pub fields: Map<String, Value>,
    /// What was expected and is not so, one sentence each.
    pub failures: Vec<String>,
    /// Pictures, by name.
    pub plots: BTreeMap<String, Plot>,
}

/// What a number of the report must lie between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bounds {
    /// At least.
    pub min: Option<f64>,
    /// At most.
    pub max: Option<f64>,
}

/// The numbers of anything that serialises as an object.
fn fields(numbers: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(numbers) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    }
}

impl Report {
    pub(crate) fn new(name: &str, numbers: &impl Serialize) -> Self {
        Self { name: name.to_owned(), fields: fields(numbers), failures: Vec::new(), plots: BTreeMap::new() }
    }

    pub(crate) fn with_plot(mut self, name: &str, plot: Plot) -> Self {
        self.plots.insert(name.to_owned(), plot);
        self
    }

    /// The report of a lookups experiment.
    pub fn lookups(name: &str, report: LookupsReport) -> Self {
        let total: usize = report.hops_shape.values().sum();
        let hops = report.hops_shape.iter();
        let hops =
            hops.map(|(hops, count)| (f64::from(*hops), *count as f64 / total.max(1) as f64)).collect();
        Self::new(name, &report)
            .with_plot(
                "latency",
                Plot::new("Time of a lookup", "milliseconds", "share of lookups")
                    .with(Series::line("", report.latency_shape)),
            )
            .with_plot(
                "hops",
                Plot::new("Hops of a lookup", "hops", "share of lookups").with(Series::bars("", hops)),
            )
    }

    /// The report of a churn experiment.
    pub fn churn(name: &str, report: ChurnReport) -> Self {
        Self::new(name, &report)
            .with_plot(
                "latency",
                Plot::new("Time of a lookup under churn", "milliseconds", "share of lookups")
                    .with(Series::line("", report.latency_shape)),
            )
            .with_plot(
                "success",
                Plot::new("Right answers under churn", "minute", "share of lookups")
                    .with(Series::line("", report.success_by_minute)),
            )
    }

    /// The report of an experiment with signed records.
    pub fn records(name: &str, report: &RecordsReport) -> Self {
        Self::new(name, report)
    }

    /// The report of a membership experiment.
    pub fn membership(name: &str, report: MembershipReport) -> Self {
        Self::new(name, &report).with_plot(
            "detection",
            Plot::new("Until a death is known", "seconds", "share of those who ought to know")
                .with(Series::line("", report.detect_shape)),
        )
    }

    /// Checks the numbers against what was expected.
    pub fn expecting(mut self, expect: &BTreeMap<String, Bounds>) -> Self {
        for (name, bounds) in expect {
            let Some(value) = self.fields.get(name).and_then(number) else {
                self.failures.push(format!("{name} is expected, but the report has no such number"));
                continue;
            };
            if let Some(min) = bounds.min.filter(|min| value < *min) {
                self.failures.push(format!("{name} is {value}, expected at least {min}"));
            }
            if let Some(max) = bounds.max.filter(|max| value > *max) {
                self.failures.push(format!("{name} is {value}, expected at most {max}"));
            }
        }
        self
    }

    /// Whether everything was as expected.
    pub fn passed(&self) -> bool {
        self.failures.is_empty()
    }

    /// The report as one JSON object: the numbers, and what failed.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("name".to_owned(), Value::String(self.name.clone()));
        object.extend(self.fields.clone());
        let failures = self.failures.iter().cloned().map(Value::String).collect();
        object.insert("failures".to_owned(), Value::Array(failures));
        Value::Object(object)
    }
}

/// Truth counts as 1, so that it can be expected too.
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Bool(truth) => Some(f64::from(u8::from(*truth))),
        other => other.as_f64(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.name)?;
        let width = self.fields.keys().map(String::len).max().unwrap_or_default();
        for (name, value) in &self.fields {
            match value {
                Value::String(text) => writeln!(f, "  {name:width$}  {text}")?,
                Value::Array(_) | Value::Object(_) => {}
                other => writeln!(f, "  {name:width$}  {other}")?,
            }
        }
        for failure in &self.failures {
            writeln!(f, "  FAILED: {failure}")?;
        }
        Ok(())
    }
}
