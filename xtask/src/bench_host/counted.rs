//! What a small job costs a server in figures that do not change with what else the machine does: instructions,
//! counted by callgrind, and calls of the system, counted by strace.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::load::Asking;
use super::measures::small;
use super::servers::{Other, Peer};
use super::{Bench, Row};

/// Jobs of a shorter run and of a longer one. What both have in common, such as the start of the
/// server and the first use of everything, is no part of the difference.
const JOBS: [u32; 2] = [500, 2500];

/// What counts for a program.
struct Counter {
    /// The command before that of the program, which writes to a file `COUNTS`.
    command: &'static str,
    total: fn(&str) -> Option<f64>,
}

const INSTRUCTIONS: Counter = Counter {
    command: "valgrind --tool=callgrind --log-file=/dev/null --callgrind-out-file=COUNTS",
    total: |counts| {
        counts.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
    },
};

const SYSTEM_CALLS: Counter = Counter {
    command: "strace --follow-forks --signal=none --quiet=all --output=COUNTS",
    // One that was interrupted by another thread's has a second line.
    total: |counts| Some(counts.lines().filter(|line| !line.contains(" resumed>")).count() as f64),
};

/// Instructions for a plain job of 1 KiB, in all threads of the server together.
pub(super) fn instructions(bench: &Bench) -> Result<Vec<Row>> {
    row(bench, "1 KiB job, instructions", &INSTRUCTIONS)
}

/// Calls of the system for the same.
pub(super) fn system_calls(bench: &Bench) -> Result<Vec<Row>> {
    row(bench, "1 KiB job, system calls", &SYSTEM_CALLS)
}

fn row(bench: &Bench, name: &'static str, counter: &Counter) -> Result<Vec<Row>> {
    let host = |counted: &Path| Other::host(counted);
    let (_, ours) = per_job(bench, &bench.apyfal, counter, host)?;
    let (peer, theirs) = match &bench.against {
        Some(build) => per_job(bench, build, counter, host)?,
        None => per_job(bench, &bench.peers, counter, |counted| {
            Ok(Other::echo(Peer::start(counted, "echo")?))
        })?,
    };
    Ok(vec![Row {
        name,
        unit: "",
        ours,
        peer,
        theirs,
        ratio: ours / theirs,
        goal: "",
        is_reached: true,
    }])
}

/// The name of what a program serves, and what a job costs there.
fn per_job(
    bench: &Bench,
    program: &Path,
    counter: &Counter,
    start: impl Fn(&Path) -> Result<Other>,
) -> Result<(&'static str, f64)> {
    let counts = bench.folder.path().join("counts");
    let counted = counting(program, counter, &counts, bench.folder.path())?;
    let mut totals = Vec::new();
    let mut name = "";
    for jobs in JOBS {
        let server = start(&counted).with_context(|| format!("cannot run {}", counter.command))?;
        name = server.name;
        let mut asking = Asking::new(&server.address, &server.path, &small())?;
        for _ in 0..jobs {
            asking.ask()?;
        }
        drop(asking);
        server.end()?;
        let text = fs::read_to_string(&counts).context("nothing was counted")?;
        totals.push((counter.total)(&text).context("there is no total")?);
    }
    let [few, many] = JOBS.map(f64::from);
    Ok((name, (totals[1] - totals[0]) / (many - few)))
}

/// A script that runs a program under what counts.
fn counting(program: &Path, counter: &Counter, counts: &Path, folder: &Path) -> Result<PathBuf> {
    let script = folder.join("counted");
    let counts = format!("'{}'", counts.display());
    let command = counter.command.replace("COUNTS", &counts);
    fs::write(&script, format!("#!/bin/sh\nexec {command} '{}' \"$@\"\n", program.display()))?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}
