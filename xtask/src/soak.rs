//! The long form of the randomised tests.

use std::path::Path;
use std::process::Command;

use crate::fuzz;
use crate::run::{self, Result};

/// The tests that have a long form: those of a package, by the name of their file.
const TESTS: [(&str, &str); 2] = [("apyfal-engines", "suite"), ("apyfal-cli", "faults")];

/// Runs each of them for so many seconds, in an optimised build, and those that are guided by coverage
/// for as long.
pub(crate) fn all(seconds: u64, target: &Path) -> Result {
    TESTS.iter().try_for_each(|(package, test)| one(package, test, seconds, None))?;
    fuzz::all(seconds, target)
}

/// Runs hosts under faults alone, from a seed on where one is given.
pub(crate) fn faults(seconds: u64, seed: Option<u64>) -> Result {
    let [_, (package, test)] = TESTS;
    one(package, test, seconds, seed)
}

fn one(package: &str, test: &str, seconds: u64, seed: Option<u64>) -> Result {
    run::shown(
        Command::new("cargo")
            .args(["test", "--release", "--locked", "-p", package, "--test", test])
            .args(["--", "--ignored", "--nocapture", "soak"])
            .env("APYFAL_SOAK_SECONDS", seconds.to_string())
            .envs(seed.map(|seed| ("APYFAL_SEED", seed.to_string()))),
    )
}
