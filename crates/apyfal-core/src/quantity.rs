//! Amounts as people write them.

use std::time::Duration;

/// Bytes: `1000`, `500M`, `64G`, `1.5 TB`; `KiB`, `MiB` and the like count in steps of 1024. A part of
/// a byte is left away.
///
/// ```
/// assert_eq!(apyfal_core::size("1MB"), Some(1_000_000));
/// assert_eq!(apyfal_core::size("64KiB"), Some(65_536));
/// assert_eq!(apyfal_core::size("1.5"), None);
/// ```
pub fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) if !prefix.is_empty() => (prefix, 1024_u128),
        Some(_) => return None,
        None => (unit, 1000),
    };
    let power = ["", "k", "m", "g", "t", "p", "e"].iter().position(|known| *known == prefix)?;
    let unit = base.pow(u32::try_from(power).ok()?);
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() || part.len() > 18 || !part.is_empty() && power == 0 {
        return None;
    }
    let whole = whole.parse::<u128>().ok()?.checked_mul(unit)?;
    let part = match part {
        "" => 0,
        digits => {
            digits.parse::<u128>().ok()? * unit / 10_u128.pow(u32::try_from(digits.len()).ok()?)
        }
    };
    u64::try_from(whole.checked_add(part)?).ok()
}

/// A duration: `30` or `30s`, `5m`, `2h`, `7d`.
pub fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let seconds = match unit {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let seconds = number * seconds;
    // What is longer would overflow when it is added to a time.
    (seconds > 0.0 && seconds < 1e10).then(|| Duration::from_secs_f64(seconds))
}

/// A limit of time, or `none`.
pub fn limit(text: &str) -> Option<Option<Duration>> {
    if text.eq_ignore_ascii_case("none") {
        return Some(None);
    }
    duration(text).map(Some)
}

fn split(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    Some((number.parse().ok()?, unit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_are_understood() {
        for (text, bytes) in [
            ("0", 0),
            ("1000", 1000),
            ("1000B", 1000),
            ("64G", 64_000_000_000),
            ("1.5 kB", 1500),
            ("1.5kb", 1500),
            ("2GiB", 2 << 30),
            ("1K", 1000),
            ("1.", 1),
            (" 1 MiB ", 1 << 20),
            ("1.1TiB", 1_209_462_790_553),
            ("18446744073709551615", u64::MAX),
            ("1E", 1_000_000_000_000_000_000),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for wrong in
            ["", "G", ".5k", "-1", "1X", "1.2.3k", "1e5", "1iB", "1.5", "1.5B", "99999P", "1 M B"]
        {
            assert_eq!(size(wrong), None, "{wrong}");
        }
        assert_eq!(size(&"9".repeat(100)), None);
    }

    #[test]
    fn times_have_units() {
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        for wrong in ["", "G", "-1", "1X", "1.2.3", "1e5"] {
            assert!(duration(wrong).is_none(), "{wrong}");
        }
        assert!(duration("0").is_none() && duration("99999999999d").is_none());
    }
}
