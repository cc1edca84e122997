//! How many instructions a server runs for a small job, counted by callgrind: a figure that does not
//! change with what else the machine does.

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

/// Instructions for a plain job of 1 KiB, in all threads of the server together.
pub(super) fn instructions(bench: &Bench) -> Result<Vec<Row>> {
    let host = |counted: &Path| Other::host(counted);
    let (_, ours) = per_job(bench, &bench.apyfal, host)?;
    let (peer, theirs) = match &bench.against {
        Some(build) => per_job(bench, build, host)?,
        None => {
            per_job(bench, &bench.peers, |counted| Ok(Other::echo(Peer::start(counted, "echo")?)))?
        }
    };
    Ok(vec![Row {
        name: "1 KiB job, instructions",
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
    start: impl Fn(&Path) -> Result<Other>,
) -> Result<(&'static str, f64)> {
    let counts = bench.folder.path().join("callgrind");
    let counted = counting(program, &counts, bench.folder.path())?;
    let mut totals = Vec::new();
    let mut name = "";
    for jobs in JOBS {
        let server = start(&counted).context("is valgrind installed?")?;
        name = server.name;
        let mut asking = Asking::new(&server.address, &server.path, &small())?;
        for _ in 0..jobs {
            asking.ask()?;
        }
        drop(asking);
        server.end()?;
        totals.push(total(&counts)?);
    }
    let [few, many] = JOBS.map(f64::from);
    Ok((name, (totals[1] - totals[0]) / (many - few)))
}

/// A script that runs a program under callgrind.
fn counting(program: &Path, counts: &Path, folder: &Path) -> Result<PathBuf> {
    let script = folder.join("counted");
    let (program, counts) = (program.display(), counts.display());
    fs::write(
        &script,
        format!(
            "#!/bin/sh\nexec valgrind --tool=callgrind --log-file=/dev/null \
             --callgrind-out-file='{counts}' '{program}' \"$@\"\n"
        ),
    )?;
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
    Ok(script)
}

/// All instructions of a run that has ended.
fn total(counts: &Path) -> Result<f64> {
    let text = fs::read_to_string(counts).context("callgrind counted nothing")?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).context("callgrind tells no total")
}
