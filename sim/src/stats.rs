//! Numbers about many numbers.

use serde::Serialize;

/// A sample, sorted when it is asked for something.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    values: Vec<f64>,
}

impl Sample {
    /// Adds a value.
    pub fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.values.len()
    }

    /// Mean; 0 of nothing.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len().max(1) as f64
    }

    /// The smallest value that at least this share of the values does not exceed; 0 of nothing.
    pub fn quantile(&mut self, share: f64) -> f64 {
        self.values.sort_by(f64::total_cmp);
        let place = (share * self.values.len() as f64).ceil() as usize;
        self.values.get(place.saturating_sub(1)).copied().unwrap_or_default()
    }

    /// The values at `points` evenly spaced shares from 0 to 1: the shape of the distribution, for plots.
    pub fn shape(&mut self, points: usize) -> Vec<(f64, f64)> {
        (0..=points)
            .map(|step| step as f64 / points as f64)
            .map(|share| (self.quantile(share), share))
            .collect()
    }

    /// The usual few.
    pub fn summary(&mut self) -> Summary {
        Summary {
            mean: round(self.mean()),
            p50: round(self.quantile(0.5)),
            p90: round(self.quantile(0.9)),
            p99: round(self.quantile(0.99)),
            max: round(self.quantile(1.0)),
        }
    }
}

/// A few numbers about many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// Largest.
    pub max: f64,
}

/// Six significant decimals are more than any of our samples supports.
pub fn round(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_sample() {
        let mut sample = Sample::default();
        assert_eq!(sample.quantile(0.5), 0.0);
        for value in [5.0, 1.0, 4.0, 2.0, 3.0] {
            sample.add(value);
        }
        assert_eq!([0.0, 0.2, 0.5, 0.99, 1.0].map(|share| sample.quantile(share)), [1.0, 1.0, 3.0, 5.0, 5.0]);
        assert_eq!(sample.mean(), 3.0);
    }
}
