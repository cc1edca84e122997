//! The long form of the randomised tests.

use std::path::Path;
use std::process::Command;

use crate::fuzz;
use crate::run::{self, Result};

/// A package whose tests have a long form.
struct Long {
    package: &'static str,
    /// The file of its tests; none if they are beside the code.
    test: Option<&'static str>,
}

const DEFLATE: Long = Long { package: "apyfal-deflate", test: None };
const ENGINES: Long = Long { package: "apyfal-engines", test: Some("suite") };
const FAULTS: Long = Long { package: "apyfal-cli", test: Some("faults") };

/// Runs each of them for so many seconds, in an optimised build, and those that are guided by coverage
/// for as long. What has `unsafe` in it and reads what strangers send is watched by AddressSanitizer.
pub(crate) fn all(seconds: u64, target: &Path) -> Result {
    run::shown(watched(&mut DEFLATE.command(seconds), &target.join("watched")))?;
    run::shown(&mut ENGINES.command(seconds))?;
    run::shown(&mut FAULTS.command(seconds))?;
    fuzz::all(seconds, target)
}

/// Runs hosts under faults alone, from a seed on where one is given.
pub(crate) fn faults(seconds: u64, seed: Option<u64>) -> Result {
    let seed = seed.map(|seed| ("APYFAL_SEED", seed.to_string()));
    run::shown(FAULTS.command(seconds).envs(seed))
}

impl Long {
    fn command(&self, seconds: u64) -> Command {
        let mut command = run::cargo();
        command.args(["test", "--release", "--locked", "-p", self.package]);
        match self.test {
            Some(test) => command.args(["--test", test]),
            None => command.arg("--lib"),
        };
        command
            .args(["--", "--ignored", "--nocapture", "soak"])
            .env("APYFAL_SOAK_SECONDS", seconds.to_string());
        command
    }
}

/// Has accesses outside of what was allocated end the test. The compiler has that only for those who take what is
/// not stable, so nothing else is built like this.
fn watched<'a>(command: &'a mut Command, target: &Path) -> &'a mut Command {
    command
        .env("RUSTC_BOOTSTRAP", "1")
        // Named, though it is this machine's: what runs while it is built is not watched then.
        .env("CARGO_BUILD_TARGET", format!("{}-unknown-linux-gnu", std::env::consts::ARCH))
        .env("RUSTFLAGS", "-Zsanitizer=address")
        .env("CARGO_TARGET_DIR", target)
}
