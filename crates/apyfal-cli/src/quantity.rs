//! Sizes and durations as people write them.

use std::time::Duration;

/// Bytes: `1000`, `500M`, `64G`, `1.5 TB`; `GiB` and the like count in steps of 1024.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let unit = unit.to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let (prefix, base) = match unit.strip_suffix('i') {
        Some(prefix) => (prefix, 1024_f64),
        None => (unit, 1000_f64),
    };
    let power = ["", "k", "m", "g", "t", "p"].iter().position(|known| *known == prefix)?;
    let bytes = number * base.powi(power as i32);
    (bytes < u64::MAX as f64).then_some(bytes as u64)
}

/// A duration: `30` or `30s`, `5m`, `2h`, `7d`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
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

/// A duration as an option.
///
/// # Errors
/// It is none, for people.
pub(crate) fn duration_option(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "it is no duration such as 30s, 10m or 12h".to_owned())
}

/// A limit of time, or `none`.
pub(crate) fn limit(text: &str) -> Option<Option<Duration>> {
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
        assert_eq!(size("1000"), Some(1000));
        assert_eq!(size("64G"), Some(64_000_000_000));
        assert_eq!(size("1.5 kB"), Some(1500));
        assert_eq!(size("2GiB"), Some(2 << 30));
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        for wrong in ["", "G", "-1", "1X", "1.2.3", "1e5"] {
            assert!(size(wrong).is_none() && duration(wrong).is_none(), "{wrong}");
        }
        assert!(duration("0").is_none() && duration("99999999999d").is_none());
    }
}
