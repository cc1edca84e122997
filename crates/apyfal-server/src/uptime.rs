//! The time since the system was started, which nobody sets.

use rustix::time::{ClockId, clock_gettime};

/// Another one for each start of the system.
const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// The start of the system; empty where it does not tell.
pub(crate) fn boot() -> String {
    std::fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned()
}

/// Milliseconds since then, those that it slept included.
pub(crate) fn milliseconds() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}
