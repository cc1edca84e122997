//! The time of day.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The time since the beginning of 1970, by the clock of this machine. What has to be right where that
/// is set to another time counts by another clock.
pub fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
