//! Numbers as people read them.

use std::fmt::Display;
use std::time::Duration;

/// Bytes with a binary unit and three significant digits: `17 B`, `1.50 KiB`, `64.0 MiB`.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if count < 1024 {
        return format!("{count} B");
    }
    let mut value = count as f64;
    let mut unit = "B";
    for next in UNITS {
        if value < 999.5 {
            break;
        }
        value /= 1024.0;
        unit = next;
    }
    let decimals = match value {
        value if value < 9.995 => 2,
        value if value < 99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$} {unit}")
}

/// Bytes per second over a time.
pub(crate) fn rate(count: u64, seconds: f64) -> String {
    if seconds <= 0.0 {
        return "-".to_owned();
    }
    format!("{}/s", bytes((count as f64 / seconds) as u64))
}

/// A duration with the unit that suits it.
pub(crate) fn seconds(seconds: f64) -> String {
    let whole = Duration::from_secs_f64(seconds.clamp(0.0, 1e12)).as_secs();
    match whole {
        0 if seconds < 0.9995 => format!("{:.0} ms", seconds * 1000.0),
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The first 16 digits of an id: enough to tell nodes apart, and a table still fits the terminal.
pub(crate) fn short(id: impl Display) -> String {
    format!("{id:.16}")
}

/// A size as people type it: `1500`, `64K`, `10MiB`, `1.5G`. Units are powers of 1024, as everywhere in this program.
pub(crate) fn parse_bytes(text: &str) -> Result<u64, String> {
    let malformed = || format!("`{text}` is not a size: write 1500, 64K, 10MiB or 1.5G");
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic()).len();
    let (number, unit) = text.split_at(digits);
    let unit = unit.to_ascii_uppercase();
    let unit = unit.strip_suffix("IB").or_else(|| unit.strip_suffix('B')).unwrap_or(&unit);
    let factor: u64 = match unit {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        "T" => 1 << 40,
        "P" => 1 << 50,
        _ => return Err(malformed()),
    };
    if let Ok(whole) = number.parse::<u64>() {
        return whole.checked_mul(factor).ok_or_else(malformed);
    }
    let value: f64 = number.parse().map_err(|_| malformed())?;
    let total = value * factor as f64;
    if !(0.0..1.8e19).contains(&total) {
        return Err(malformed());
    }
    Ok(total as u64)
}

/// A number with a unit: `90s`, `1.4m`, `2h`, `1d`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("a time is a number and a unit: 90s, 1.4m, 2h, 1d".to_owned()),
    };
    match number.parse::<f64>() {
        Ok(number) if number > 0.0 && number * seconds <= 31_536_000.0 => {
            Ok(Duration::from_secs_f64(number * seconds))
        }
        _ => Err("a time is positive, and at most a year".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units() {
        assert_eq!(parse_duration("1.4m"), Ok(Duration::from_secs(84)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        for wrong in ["", "5", "h", "-1s", "1y", "1e9d"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn three_digits_are_enough() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.00 KiB"),
            (1536, "1.50 KiB"),
            (67_108_864, "64.0 MiB"),
            (1_048_575, "1.00 MiB"),
            (300 << 30, "300 GiB"),
            (u64::MAX, "16.0 EiB"),
        ];
        for (count, text) in cases {
            assert_eq!(bytes(count), text);
        }
    }

    #[test]
    fn durations_take_the_unit_that_suits() {
        let cases = [
            (0.0123, "12 ms"),
            (1.25, "1.2 s"),
            (75.0, "1 min 15 s"),
            (7320.0, "2 h 2 min"),
            (90_000.0, "1 d 1 h"),
        ];
        for (value, text) in cases {
            assert_eq!(seconds(value), text);
        }
    }

    #[test]
    fn sizes_read_as_people_type_them() {
        assert_eq!(parse_bytes("1500"), Ok(1500));
        assert_eq!(parse_bytes("64K"), Ok(65_536));
        assert_eq!(parse_bytes("10MiB"), Ok(10 << 20));
        assert_eq!(parse_bytes("1.5g"), Ok(3 << 29));
        for text in ["", "K", "1X", "-5", "1e400", "nan", "99999999999P"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
