//! What developers and CI run: `cargo xtask COMMAND`.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for a terminal")]

use std::path::Path;

use clap::Parser;

mod bench;
mod bench_aws;
mod bench_host;
mod bench_python;
mod check;
mod cores;
mod counter;
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
    ///
    /// Beside the engines these are hosts that are killed, stopped, cut off and out of room while they
    /// are used, as a seed decides; each promise of theirs is held against what became of it. What
    /// breaks one is told with its seed, and where the record of the run and the logs of its hosts are.
    Soak {
        /// For how many seconds, each of them.
        #[arg(default_value_t = 600)]
        seconds: u64,
        /// Run only the hosts under faults.
        #[arg(long)]
        faults: bool,
        /// The seed of the first such run, to run it again; the next ones follow it.
        #[arg(long, requires = "faults")]
        seed: Option<u64>,
    },
    Bench(bench::Options),
    BenchAws(bench_aws::Options),
    BenchHost(bench_host::Options),
    BenchPython(bench_python::Options),
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
        Command::Soak { seconds, faults: false, .. } => soak::all(seconds, target),
        Command::Soak { seconds, seed, .. } => soak::faults(seconds, seed),
        Command::Bench(options) => Ok(bench::run(&options)?),
        Command::BenchAws(options) => bench_aws::run(&options),
        Command::BenchHost(options) => Ok(bench_host::run(&options)?),
        Command::BenchPython(options) => bench_python::run(&options, target),
        Command::Dist(options) => dist::run(&options, target),
        #[cfg(feature = "peers")]
        Command::Peer(peer) => Ok(peer::run(peer)?),
    }
}
