//! The long form of the randomised tests.

use std::path::Path;
use std::process::Command;

use crate::fuzz;
use crate::run::{self, Result};

/// Runs them for so many seconds, in an optimised build, and those that are guided by coverage for as
/// long.
pub(crate) fn all(seconds: u64, target: &Path) -> Result {
    run::shown(
        Command::new("cargo")
            .args(["test", "--release", "--locked", "-p", "apyfal-engines", "--test", "suite"])
            .args(["--", "--ignored", "--nocapture", "soak"])
            .env("APYFAL_SOAK_SECONDS", seconds.to_string()),
    )?;
    fuzz::all(seconds, target)
}
