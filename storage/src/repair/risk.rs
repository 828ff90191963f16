//! How likely a chunk is lost within a year, as far as a model can say.

use crate::redundancy::Redundancy;

const YEAR_HOURS: f64 = 8760.0;

/// Below this the model says nothing any more: bugs, stolen keys and disasters that hit many nodes at once are likelier
/// than independent losses.
pub const RISK_FLOOR: f64 = 1e-9;

/// Losses of nodes, as far as they were observed.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Churn {
    /// Time for which nodes were watched, in hours times nodes.
    pub node_hours: f64,
    /// Nodes that went and did not come back.
    pub losses: u64,
}

impl Churn {
    /// Nodes lost per node and hour. Until much has been observed it stays near what homes and small servers are
    /// assumed to lose, 10 % a month: as if one loss in 7,200 node hours had been seen before (the mean of a gamma
    /// distribution with that as its prior).
    pub fn per_hour(self) -> f64 {
        (self.losses as f64 + 1.0) / (self.node_hours.max(0.0) + 7200.0)
    }
}

/// The probability that a chunk of which `live` shards are left is lost within a year, when nodes are lost at `churn`
/// independently of each other and a repair makes everything anew `repair_hours` after the threshold is reached. Not
/// less than [`RISK_FLOOR`], and 1 for a chunk with fewer than k shards.
///
/// A Markov chain over the number of live shards, as in Total Recall (Bhagwan et al., NSDI 2004): one is lost at rate
/// i·λ, and at or below the threshold T everything comes back at rate 1/`repair_hours`.
pub fn yearly_loss(redundancy: Redundancy, live: u8, churn: Churn, repair_hours: f64) -> f64 {
    let (k, n) = (redundancy.k(), redundancy.n());
    if live < k {
        return 1.0;
    }
    let (lambda, mu) = (churn.per_hour(), 1.0 / repair_hours.max(1e-3));
    // t_i = a_i + (1 − c_i)·t_n is the expected time to loss from i shards, c_i the probability to be lost before the
    // next repair. Written with c instead of 1 − c so that nothing cancels.
    let (mut a, mut c) = (0.0, 1.0);
    let mut from_live = 1.0;
    for i in k..=n {
        let falls = f64::from(i) * lambda;
        let repairs = if i <= redundancy.repair_threshold() && i < n { mu } else { 0.0 };
        a = (1.0 + falls * a) / (falls + repairs);
        c = falls * c / (falls + repairs);
        if i == live.min(n) {
            from_live = c;
        }
    }
    let until_lost = a / c;
    // What a chunk with fewer shards has to fear more than a whole one until it is repaired, and then the year of a
    // whole one: 1 − (1 − (c_live − c_n))·e^(−year/t_n).
    let more = (from_live - c).clamp(0.0, 1.0 - f64::EPSILON);
    let loss = -((-more).ln_1p() - YEAR_HOURS / until_lost).exp_m1();
    loss.clamp(RISK_FLOOR, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn churn(per_month: f64) -> Churn {
        // A rate as of very much observation.
        let rate = -(1.0 - per_month).ln() / 720.0;
        Churn { node_hours: 1e12, losses: (rate * 1e12) as u64 }
    }

    fn loss(k: u8, n: u8, per_month: f64, hours: f64) -> f64 {
        yearly_loss(Redundancy::new(k, n).unwrap(), n, churn(per_month), hours)
    }

    #[test]
    fn it_agrees_with_the_table_that_profiles_were_chosen_by() {
        // Computed apart from this code with 60 digits; three of them also simulated, 400,000 chunk years each.
        for (k, n, per_month, hours, expected) in [
            (1, 3, 0.10, 24.0, 9.3e-5),
            (3, 6, 0.10, 24.0, 1.9e-5),
            (4, 10, 0.10, 24.0, 4.5e-7),
            (3, 6, 0.20, 72.0, 7.28e-3),
            (4, 10, 0.20, 72.0, 9.4e-4),
            (8, 20, 0.20, 72.0, 7.5e-5),
            (8, 20, 0.20, 24.0, 9.7e-8),
        ] {
            let found = loss(k, n, per_month, hours);
            assert!(
                (found / expected - 1.0).abs() < 0.06,
                "{k}/{n} at {per_month}: {found} instead of {expected}"
            );
        }
    }

    #[test]
    fn it_never_promises_more_than_it_can_know() {
        assert!(loss(16, 40, 0.01, 6.0) >= RISK_FLOOR);
        let fresh = Churn::default().per_hour() * 720.0;
        assert!((0.09..0.11).contains(&fresh), "{fresh}");
    }

    proptest! {
        #[test]
        fn fewer_shards_and_slower_repair_are_never_safer(
            k in 1u8..20, more in 0u8..30, per_month in 0.001..0.5f64, hours in 0.1..500.0f64,
        ) {
            let redundancy = Redundancy::new(k, k + more).unwrap();
            let mut worse = 1.0;
            for live in k..=k + more {
                let loss = yearly_loss(redundancy, live, churn(per_month), hours);
                prop_assert!((RISK_FLOOR..=1.0).contains(&loss));
                prop_assert!(loss <= worse * (1.0 + 1e-9));
                prop_assert!(loss <= yearly_loss(redundancy, live, churn(per_month), hours * 2.0) * (1.0 + 1e-9));
                worse = loss;
            }
        }
    }
}
