//! `cargo xtask bench-aws`: machines of AWS beside a program of boto3 that makes the same calls, and a
//! launch by its phases.

use clap::Args;

use crate::run::{self, Result};

/// Compare how machines of AWS are asked for and listed with a program of boto3 that makes the same calls.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// How often each pair is measured, the two in turn.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// The build that is measured: dev for who is in a hurry.
    #[arg(long, default_value = "release")]
    profile: String,
}

/// Builds what measures, and runs it.
pub(crate) fn run(options: &Options) -> Result {
    let Options { rounds, profile } = options;
    run::shown(
        run::cargo()
            .args(["run", "--locked", "--package=apyfal-providers", "--example=launch"])
            .args(["--profile", profile, "--", &rounds.max(&1).to_string()]),
    )?;
    run::shown(
        run::cargo().args(["test", "--locked", "--package=apyfal-cli", "--test=aws"]).args([
            "--profile",
            profile,
            "--",
            "--ignored",
            "--nocapture",
            "by_its_phases",
        ]),
    )
}
