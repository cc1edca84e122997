//! What a small job costs a server: instructions and calls of the system.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::load::Asking;
use super::measures::small;
use super::servers::{Other, Peer};
use super::{Bench, Row};
use crate::counter::{Counter, INSTRUCTIONS, SYSTEM_CALLS};

/// Jobs of a shorter run and of a longer one. What both have in common, such as the start of the
/// server and the first use of everything, is no part of the difference.
const JOBS: [u32; 2] = [500, 2500];

/// Instructions for a plain job of 1 KiB, in all threads of the server together.
pub(super) fn instructions(bench: &Bench) -> Result<Vec<Row>> {
    row(bench, "1 KiB job, instructions", &INSTRUCTIONS)
}

/// Calls of the system for the same.
pub(super) fn system_calls(bench: &Bench) -> Result<Vec<Row>> {
    let mut rows = row(bench, "1 KiB job, system calls", &SYSTEM_CALLS)?;
    for row in &mut rows {
        row.goal = "ours at most 3";
        // Beside three for each job there are some for many together, such as those of a commit.
        row.is_reached = row.ours < 3.5;
    }
    Ok(rows)
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
        fs::create_dir_all(&counts)?;
        let server = start(&counted).with_context(|| format!("cannot run {}", counter.command))?;
        name = server.name;
        let mut asking = Asking::new(&server.address, &server.path, &small())?;
        for _ in 0..jobs {
            asking.ask()?;
        }
        drop(asking);
        server.end()?;
        totals.push(counter.counted(&counts)?);
        fs::remove_dir_all(&counts)?;
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
