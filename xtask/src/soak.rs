//! The long form of the randomised tests.

use std::process::Command;

use crate::run::{self, Result};

/// Runs them for so many seconds, in an optimised build.
pub(crate) fn all(seconds: u64) -> Result {
    run::shown(
        Command::new("cargo")
            .args(["test", "--release", "--locked", "-p", "apyfal-engines", "--test", "suite"])
            .args(["--", "--ignored", "--nocapture", "soak"])
            .env("APYFAL_SOAK_SECONDS", seconds.to_string()),
    )
}
