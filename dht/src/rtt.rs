//! Round-trip times, smoothed as TCP does (RFC 6298), in four bytes.

use core::time::Duration;

use crate::params::{RTO_MAX, RTO_MIN, RTO_SLACK, RTO_UNKNOWN, RTO_UNKNOWN_MIN};

/// Smoothed round-trip time and its mean deviation, in units of 64 µs (up to 4.19 s). Zero means not measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Rtt {
    smoothed: u16,
    deviation: u16,
}

const UNIT_MICROS: u32 = 64;

fn units(duration: Duration) -> u16 {
    // The number wraps beyond half a million years; nobody waits that long for an answer.
    u16::try_from(duration.as_micros() as u64 / u64::from(UNIT_MICROS)).unwrap_or(u16::MAX)
}

fn duration(units: u32) -> Duration {
    Duration::from_micros(u64::from(units) * u64::from(UNIT_MICROS))
}

impl Rtt {
    /// Takes in one measurement. RFC 6298, 2.2 and 2.3, with alpha = 1/8 and beta = 1/4.
    pub(crate) fn sample(&mut self, measured: Duration) {
        let measured = u32::from(units(measured).max(1));
        if self.smoothed == 0 {
            *self = Self { smoothed: measured as u16, deviation: (measured / 2) as u16 };
            return;
        }
        let (smoothed, deviation) = (u32::from(self.smoothed), u32::from(self.deviation));
        self.deviation = ((3 * deviation + smoothed.abs_diff(measured)) / 4) as u16;
        self.smoothed = ((7 * smoothed + measured + 4) / 8).max(1) as u16;
    }

    /// What a dozen equal measurements come to: the deviation, at first half of the time, has faded to a fiftieth.
    pub(crate) fn settled(measured: Duration) -> Self {
        let smoothed = units(measured).max(1);
        Self { smoothed, deviation: smoothed / 48 }
    }

    pub(crate) fn smoothed(self) -> Option<Duration> {
        (self.smoothed > 0).then(|| duration(self.smoothed.into()))
    }

    /// Smoothed time in its own unit, for comparisons; unknown ones come last.
    pub(crate) fn rank(self) -> u16 {
        self.smoothed.wrapping_sub(1)
    }

    /// Time-out for a peer measured like this.
    pub(crate) fn timeout(self) -> Option<Duration> {
        let mean = self.smoothed()?;
        Some((mean + 4 * duration(self.deviation.into()) + RTO_SLACK).clamp(RTO_MIN, RTO_MAX))
    }

    /// Time-out for a peer never spoken to, when `self` summarises all peers, handshakes included: four deviations
    /// cover the far ones. Simulated with a fifth of all entries dead, twice as much made the 99th percentile of a
    /// lookup's time half as long again and saved no message worth counting.
    pub(crate) fn timeout_for_stranger(self) -> Duration {
        self.timeout().map_or(RTO_UNKNOWN, |timeout| timeout.clamp(RTO_UNKNOWN_MIN, RTO_UNKNOWN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn measured(samples: &[u64]) -> Rtt {
        let mut rtt = Rtt::default();
        samples.iter().for_each(|sample| rtt.sample(millis(*sample)));
        rtt
    }

    /// Whole milliseconds, since times are kept in units of 64 µs.
    fn about(duration: Duration) -> u64 {
        (duration.as_micros() as u64 + 500) / 1000
    }

    #[test]
    fn times_are_smoothed_and_time_outs_leave_room_as_in_tcp() {
        // 7/8 old and 1/8 new; deviation 3/4 old and 1/4 new; the mean, four deviations and 20 ms.
        for (samples, smoothed, timeout) in [
            (&[100][..], 100, 100 + 4 * 50 + 20),
            (&[100, 100], 100, 100 + 4 * 37 + 20 + 2),
            (&[100, 180], 110, 110 + 230 + 20),
            // Never shorter than 60 ms and never longer than 3 s.
            (&[1], 1, 60),
            (&[4_000], 4_000, 3_000),
        ] {
            let rtt = measured(samples);
            assert_eq!(rtt.smoothed().map(about), Some(smoothed), "{samples:?}");
            assert!(
                rtt.timeout().map(about).is_some_and(|t| t.abs_diff(timeout) <= 1),
                "{samples:?}: {rtt:?}"
            );
        }
    }

    #[test]
    fn what_was_never_measured_has_no_time_out_and_comes_last() {
        let (unknown, slow) = (Rtt::default(), measured(&[u64::from(u16::MAX)]));
        assert_eq!((unknown.smoothed(), unknown.timeout()), (None, None));
        assert!(measured(&[0]).smoothed().is_some(), "an answer at once is a measurement too");
        assert!(measured(&[1]).rank() < slow.rank() && slow.rank() < unknown.rank());
    }

    #[test]
    fn strangers_get_a_quarter_of_a_second_at_least_and_six_tenths_at_most() {
        for (network, timeout) in [(&[][..], 600), (&[1], 250), (&[100], 320), (&[2_000], 600)] {
            let timeout_found = about(measured(network).timeout_for_stranger());
            assert!(timeout_found.abs_diff(timeout) <= 1, "{network:?}: {timeout_found}");
        }
    }

    #[test]
    fn settled_is_what_many_equal_measurements_come_to() {
        let (many, settled) = (measured(&[100; 12]), Rtt::settled(millis(100)));
        assert_eq!(many.smoothed(), settled.smoothed());
        let timeouts = [many, settled].map(|rtt| rtt.timeout().map_or(0, about));
        assert!(timeouts[0].abs_diff(timeouts[1]) <= 4, "{timeouts:?}");
    }
}
