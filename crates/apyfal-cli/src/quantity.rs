//! Durations as people write them.

use std::time::Duration;

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
        assert_eq!(duration("90"), Some(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Some(Duration::from_secs(7200)));
        assert_eq!(duration("100ms"), Some(Duration::from_millis(100)));
        for wrong in ["", "G", "-1", "1X", "1.2.3", "1e5"] {
            assert!(duration(wrong).is_none(), "{wrong}");
        }
        assert!(duration("0").is_none() && duration("99999999999d").is_none());
    }
}
