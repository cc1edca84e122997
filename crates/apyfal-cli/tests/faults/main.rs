//! Faults in an order that a seed decides, against real hosts, with a model of what was promised.
//!
//! Hosts are killed and drained, stopped and continued, their disks are full, their links are slow,
//! silent or break, and their clocks jump, while clients of REST and of the library use them, and
//! command lines, which are killed, stalled and told to end as well. Each answer is held against what
//! was promised; in the end, with nothing wrong any more, everything that was promised is looked for.
//! The seed decides what happens and what each client does, in which order; not the time that it
//! takes. So a run that found something may take another one or two to find it again.
//!
//! Clocks: only the clock of the day jumps, and only for a host's own process. Times that the system
//! itself gives files, another start of the system, and hosts that are linked statically are left out.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../common/mod.rs"]
mod common;

mod audit;
mod caller;
mod client;
mod fault;
mod host;
mod interruption;
mod link;
mod mapped;
mod mapper;
mod model;
mod namer;
mod process;
mod random;
mod run;
mod watch;

use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use common::namespaces;

/// Set for a test that has mounts of its own.
const INSIDE: &str = "APYFAL_TEST_INSIDE";
/// About half a minute.
const STEPS: u64 = 60;

#[test]
fn what_was_promised_is_kept_whatever_happens() {
    in_own_mounts("what_was_promised_is_kept_whatever_happens", |has_disks| {
        let seed = number("APYFAL_SEED").unwrap_or(1);
        let steps = number("APYFAL_STEPS").unwrap_or(STEPS);
        println!("seed {seed}");
        run::run(seed, steps, has_disks).unwrap_or_else(|told| panic!("{told}"));
    });
}

/// The long form: `cargo xtask soak`.
#[test]
#[ignore = "runs for APYFAL_SOAK_SECONDS"]
fn soak() {
    in_own_mounts("soak", |has_disks| {
        let seconds = number("APYFAL_SOAK_SECONDS").unwrap_or(60);
        let end = Instant::now() + Duration::from_secs(seconds);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let mut seed = number("APYFAL_SEED").unwrap_or(now.as_secs());
        while Instant::now() < end {
            println!("seed {seed}");
            run::run(seed, 3 * STEPS, has_disks).unwrap_or_else(|told| panic!("{told}"));
            seed += 1;
        }
    });
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|error| panic!("{variable}={text}: {error}")))
}

/// Runs a test where it may mount disks, which are told whether they are there.
fn in_own_mounts(name: &str, test: impl Fn(bool)) {
    if std::env::var_os(INSIDE).is_some() {
        return test(true);
    }
    let Some(words) = namespaces::mounts() else { return test(false) };
    let this = std::env::current_exe().expect("a program");
    let mut inside = Command::new("unshare");
    inside.args(words).arg(this).args([name, "--exact", "--include-ignored", "--nocapture"]);
    let status = inside.env(INSIDE, "1").status().expect("unshare runs");
    assert!(status.success(), "it failed, as it says above");
}
