//! `cargo xtask bench-python`: the package for Python beside what a program would use otherwise.

use std::path::Path;
use std::process::Command;

use clap::Args;

use crate::run::{self, Result};
use crate::setup;

/// Compare the package for Python with requests, the modules of Python and the command line.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How many MB the large data has.
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// How often each pair is measured, the two in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The build that is measured: dev for who is in a hurry.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds the core and the command, and has Python measure them.
pub(crate) fn run(options: &Options, target: &Path) -> Result {
    let Options { size, rounds, profile } = options;
    run::shown(
        run::cargo()
            .args(["build", "--locked", "--package=apyfal-python", "--package=apyfal-cli"])
            .args(["--profile", profile]),
    )?;
    let python = setup::python(target)?.join("python");
    let target = target.canonicalize()?;
    let built = target.join(if profile == "dev" { "debug" } else { profile });
    let site = target.join("bench-python");
    let package = site.join("apyfal");
    let _ = std::fs::remove_dir_all(&site);
    std::fs::create_dir_all(&site)?;
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("../python");
    // What is installed has its bytecode beside it.
    run::quiet(Command::new("cp").arg("-r").arg(sources.join("apyfal")).arg(&site))?;
    std::os::unix::fs::symlink(built.join("lib_apyfal.so"), package.join("_apyfal.abi3.so"))?;
    run::quiet(Command::new(&python).args(["-m", "compileall", "-q"]).arg(&package))?;
    run::shown(
        Command::new(python)
            // Its own folder has a package without the core.
            .arg("-P")
            .arg(sources.join("benchmark.py"))
            .arg("--apyfal")
            .arg(built.join("apyfal"))
            .args(["--size", &size.to_string(), "--rounds", &rounds.to_string()])
            .env("PYTHONPATH", site),
    )
}
