//! How long nodes stay.

use std::time::Duration;

use rand_chacha::rand_core::Rng;
use serde::{Deserialize, Serialize};

use crate::chance::{exponential_of, unit};

/// Shape of the distribution of session lengths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shape {
    /// Memoryless: who has stayed long is as likely to leave as anybody.
    #[default]
    Exponential,
    /// Weibull with shape 0.5: many leave soon, some stay for very long, as measured in file-sharing networks.
    HeavyTailed,
}

/// Lengths of sessions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sessions {
    /// Half of the sessions are longer.
    pub median: Duration,
    /// Shape of their distribution.
    pub shape: Shape,
}

impl Sessions {
    /// The length of a session that begins now.
    pub fn draw(&self, rng: &mut impl Rng) -> Duration {
        let e = exponential_of(rng.next_u64());
        self.median.mul_f64(match self.shape {
            Shape::Exponential => e / std::f64::consts::LN_2,
            // Quantile function: scale * (-ln(1 - u))^(1 / 0.5), and the median is scale * (ln 2)^2.
            Shape::HeavyTailed => e * e / (std::f64::consts::LN_2 * std::f64::consts::LN_2),
        })
    }

    /// What is left of the session of a node met at a random moment: long sessions are met more often, and somewhere
    /// in their middle (the inspection paradox).
    pub fn draw_rest(&self, rng: &mut impl Rng) -> Duration {
        // Weighting an exponential by its length gives the sum of two; weighting its square, of which the
        // heavy-tailed shape is made, by that square gives the square of the sum of three.
        let mut sum = |count: usize| (0..count).map(|_| exponential_of(rng.next_u64())).sum::<f64>();
        let whole = match self.shape {
            Shape::Exponential => sum(2) / std::f64::consts::LN_2,
            Shape::HeavyTailed => {
                let root = sum(3) / std::f64::consts::LN_2;
                root * root
            }
        };
        self.median.mul_f64(whole * unit(rng))
    }

    /// Mean length.
    pub fn mean(&self) -> Duration {
        self.median.mul_f64(match self.shape {
            Shape::Exponential => 1.0 / std::f64::consts::LN_2,
            Shape::HeavyTailed => 2.0 / (std::f64::consts::LN_2 * std::f64::consts::LN_2),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{chance::generator, stats::Sample};

    #[test]
    fn sessions_have_the_median_and_mean_they_are_asked_for() {
        for shape in [Shape::Exponential, Shape::HeavyTailed] {
            let sessions = Sessions { median: Duration::from_secs(3600), shape };
            let mut rng = generator(3, 0);
            let mut sample = Sample::default();
            for _ in 0..100_000 {
                sample.add(sessions.draw(&mut rng).as_secs_f64());
            }
            assert!((sample.quantile(0.5) / 3600.0 - 1.0).abs() < 0.03, "{shape:?}");
            assert!((sample.mean() / sessions.mean().as_secs_f64() - 1.0).abs() < 0.05, "{shape:?}");
        }
    }

    #[test]
    fn the_rest_of_a_memoryless_session_is_as_long_as_a_new_one() {
        let sessions = Sessions { median: Duration::from_secs(60), shape: Shape::Exponential };
        let mut rng = generator(4, 0);
        let mut sample = Sample::default();
        for _ in 0..100_000 {
            sample.add(sessions.draw_rest(&mut rng).as_secs_f64());
        }
        assert!((sample.quantile(0.5) / 60.0 - 1.0).abs() < 0.03);
    }
}
