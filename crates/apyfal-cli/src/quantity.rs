//! Durations as options.

use std::time::Duration;

use apyfal_core::duration;

/// A duration as an option.
///
/// # Errors
/// It is none, for people.
pub(crate) fn duration_option(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "it is no duration such as 30s, 10m or 12h".to_owned())
}
