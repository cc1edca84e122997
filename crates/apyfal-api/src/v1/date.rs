//! Dates.

use jiff::Timestamp;

/// Seconds since 1970 as a date of ISO 8601 in UTC, to the microsecond:
/// `2026-03-01T12:00:00.250000Z`.
pub fn date(seconds: f64) -> String {
    // A conversion that does not fit gives the nearest number, and one that jiff does not take is
    // no date that a clock showed.
    let moment = Timestamp::from_microsecond((seconds * 1e6).round() as i64);
    format!("{:.6}", moment.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_in_utc_to_the_microsecond() {
        assert_eq!(date(0.0), "1970-01-01T00:00:00.000000Z");
        assert_eq!(date(1_772_366_400.25), "2026-03-01T12:00:00.250000Z");
        assert_eq!(date(951_782_399.5), "2000-02-28T23:59:59.500000Z");
        assert_eq!(date(f64::NAN), "1970-01-01T00:00:00.000000Z");
    }
}
