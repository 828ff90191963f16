//! Local time, as far as backups need it: hours, days and weeks as people count them where they live.
//!
//! The crate `jiff` (MIT or Unlicense) reads the system's time zone (`TZ`, `/etc/localtime`) without C code and without
//! unsafe tricks around the environment. Rules of time zones are not something to write again for one command.

use std::fmt;
use std::str::FromStr;

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ZonedDateTime};

/// What is said of a time that no calendar has.
const BEYOND: &str = "(a time that no calendar has)";

/// The rules by which a moment is a date.
#[derive(Clone, Debug)]
pub(crate) struct Calendar {
    zone: TimeZone,
}

impl Calendar {
    /// That of this machine and its user; UTC if the system does not say.
    pub(crate) fn local() -> Self {
        Calendar { zone: TimeZone::system() }
    }

    /// That of a fixed zone.
    #[cfg(test)]
    pub(crate) fn of(zone: &str) -> Self {
        Calendar { zone: TimeZone::get(zone).expect("the test's machine knows the zone") }
    }

    /// The date of a moment, seconds since 1970; `None` beyond the year 9999 and before -9999.
    pub(crate) fn date(&self, seconds: i64) -> Option<ZonedDateTime> {
        Some(ZonedDateTime::new(Timestamp::from_second(seconds).ok()?, self.zone.clone()))
    }

    /// A moment for people: `2026-11-30 07:05:09`.
    pub(crate) fn show(&self, seconds: i64) -> String {
        match self.date(seconds) {
            Some(date) => date.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            None => BEYOND.to_owned(),
        }
    }

    /// A moment as a name that sorts by time where the offset does not change: `2026-11-30T07:05:09+01:00`.
    pub(crate) fn stamp(&self, seconds: i64) -> String {
        match self.date(seconds) {
            Some(date) if date.offset().is_zero() => date.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            Some(date) => date.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            None => format!("@{seconds}"),
        }
    }

    /// A moment as people type it, in seconds since 1970.
    pub(crate) fn parse(&self, text: &str) -> Result<i64, String> {
        if let Ok(moment) = text.parse::<Timestamp>() {
            return Ok(moment.as_second());
        }
        let date: DateTime = text.parse().map_err(|_| malformed(text))?;
        Ok(date.to_zoned_datetime(self.zone.clone()).map_err(|_| malformed(text))?.timestamp().as_second())
    }

    /// The moment that is earlier than another by a period of the calendar, in seconds since 1970.
    pub(crate) fn before(&self, seconds: i64, period: Period) -> i64 {
        let Some(date) = self.date(seconds) else { return i64::MIN };
        let span = period.span();
        // Before the beginning of all calendars there is nothing to keep or to forget.
        span.and_then(|span| date.checked_sub(span).ok())
            .map_or(i64::MIN, |date| date.timestamp().as_second())
    }
}

fn malformed(text: &str) -> String {
    format!("`{text}` is not a time: write it as 2026-11-30 07:05:09 (local time) or 2026-11-30T06:05:09Z")
}

/// A length of time on the calendar, written as restic does: `1y5m7d2h` is a year, five months, seven days and two
/// hours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Period {
    years: u32,
    months: u32,
    days: u32,
    hours: u32,
}

/// Most of each unit: more than all calendars have years of, and no sum overflows.
const UNITS_MAX: u32 = 100_000;

impl Period {
    fn span(self) -> Option<Span> {
        let span = Span::new().try_years(self.years).ok()?.try_months(self.months).ok()?;
        span.try_days(self.days).ok()?.try_hours(self.hours).ok()
    }
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let malformed = || {
            format!(
                "`{text}` is not a period: write numbers with y, m (months), d and h, each once: 7d, 1y6m, 2d12h"
            )
        };
        let mut period = Period::default();
        let mut given = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
            let number: u32 = rest[..digits].parse().map_err(|_| malformed())?;
            let unit = rest[digits..].chars().next().ok_or_else(malformed)?;
            if number > UNITS_MAX || given.contains(&unit) {
                return Err(malformed());
            }
            match unit {
                'y' => period.years = number,
                'm' => period.months = number,
                'd' => period.days = number,
                'h' => period.hours = number,
                _ => return Err(malformed()),
            }
            given.push(unit);
            rest = &rest[digits + unit.len_utf8()..];
        }
        if period == Period::default() { Err(malformed()) } else { Ok(period) }
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(self.years, 'y'), (self.months, 'm'), (self.days, 'd'), (self.hours, 'h')];
        units
            .into_iter()
            .filter(|(number, _)| *number > 0)
            .try_for_each(|(number, unit)| write!(f, "{number}{unit}"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_written_as_in_restic() {
        for (text, shown) in [("7d", "7d"), ("1y5m7d2h", "1y5m7d2h"), ("2h1y", "1y2h"), ("0y3d", "3d")] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), shown);
        }
        for wrong in ["", "7", "d", "-7d", "7w", "7d7d", "0d", "1.5d", "100001h", "99999999999d", "7\u{e9}"] {
            assert!(wrong.parse::<Period>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn times_are_local_unless_they_say_otherwise() {
        let berlin = Calendar::of("Europe/Berlin");
        let winter = 1_796_018_709;
        assert_eq!(berlin.show(winter), "2026-11-30 07:05:09");
        for text in
            ["2026-11-30 07:05:09", "2026-11-30T07:05:09", "2026-11-30T06:05:09Z", "2026-11-30 08:05:09+02"]
        {
            assert_eq!(berlin.parse(text), Ok(winter), "{text}");
        }
        assert_eq!(berlin.parse("2026-11-30"), berlin.parse("2026-11-30 00:00:00"));
        for wrong in ["", "now", "2026-13-01", "2026-02-30 10:00:00", "10:00"] {
            assert!(berlin.parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(berlin.show(i64::MAX), BEYOND);
    }

    #[test]
    fn periods_go_back_on_the_calendar() {
        let berlin = Calendar::of("Europe/Berlin");
        let at = |text| berlin.parse(text).unwrap();
        let before = |text, period: &str| berlin.show(berlin.before(at(text), period.parse().unwrap()));
        assert_eq!(
            before("2026-03-31 12:00", "1m"),
            "2026-02-28 12:00:00",
            "the last day of a shorter month"
        );
        assert_eq!(before("2024-02-29 12:00", "1y"), "2023-02-28 12:00:00");
        assert_eq!(before("2026-03-29 12:00", "1d"), "2026-03-28 12:00:00", "a day of 23 hours");
        assert_eq!(before("2026-03-29 12:00", "24h"), "2026-03-28 11:00:00");
        assert_eq!(berlin.before(0, "100000y".parse().unwrap()), i64::MIN);
    }
}
