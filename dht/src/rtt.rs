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
    // Beyond a century the number wraps; nobody waits that long for an answer.
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
