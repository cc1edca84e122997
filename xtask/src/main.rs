//! What developers and CI run: `cargo xtask COMMAND`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::Path;

use clap::Parser;

mod bench;
mod bench_host;
mod check;
mod dist;
#[cfg(feature = "peers")]
mod echo;
mod fuzz;
#[cfg(feature = "peers")]
mod idle_host;
#[cfg(feature = "peers")]
mod object_store;
#[cfg(feature = "peers")]
mod peer;
#[cfg(feature = "peers")]
mod peer_server;
mod run;
mod setup;
mod soak;
mod test;

/// What developers and CI run.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Command {
    /// Install what the tests need and run all of them.
    Test,
    /// Check format, lints, documentation, licences and dependencies.
    Check,
    /// Run a randomised test guided by coverage; list them without one.
    Fuzz {
        /// Which one.
        target: Option<String>,
        /// For how long.
        #[arg(long, default_value_t = 600)]
        seconds: u64,
    },
    /// Run the long form of the randomised tests, and each of those guided by coverage in turn.
    Soak {
        /// For how long.
        #[arg(default_value_t = 600)]
        seconds: u64,
    },
    Bench(bench::Options),
    BenchHost(bench_host::Options),
    Dist(dist::Options),
    /// Run a crate that the benchmark compares an engine with.
    #[cfg(feature = "peers")]
    #[command(subcommand, hide = true)]
    Peer(peer::Peer),
}

fn main() -> run::Result {
    let target = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    match Command::parse() {
        Command::Test => test::all(target),
        Command::Check => check::all(),
        Command::Fuzz { target: name, seconds } => fuzz::run(name.as_deref(), seconds, target),
        Command::Soak { seconds } => soak::all(seconds, target),
        Command::Bench(options) => Ok(bench::run(&options)?),
        Command::BenchHost(options) => Ok(bench_host::run(&options)?),
        Command::Dist(options) => dist::run(&options, target),
        #[cfg(feature = "peers")]
        Command::Peer(peer) => Ok(peer::run(peer)?),
    }
}
