//! The original's client against a host, and against one that does nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, ensure};

use super::measures::{median, median_ratio, small};
use super::{Bench, Row};
use crate::setup;

/// The client that the tests use too.
const CLIENT: &str = include_str!("../../../crates/apyfal-cli/tests/rest_v1/original.py");
const LARGE: u64 = 64 << 20;
/// How many turns each of the two has in a round: a few percent are told apart here.
const TURNS: usize = 8;

/// Jobs of 1 KiB and of 64 MiB, one after the other: how long the client takes for each.
pub(super) fn original(bench: &Bench) -> Result<Vec<Row>> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let programs = setup::python(&target).map_err(|error| anyhow!("{error}"))?;
    let folder = bench.folder.path();
    let client = Client { python: programs.join("python"), dst: folder.join("dst") };
    let (little, large) = (folder.join("little"), folder.join("large.in"));
    std::fs::write(&little, small())?;
    std::fs::write(&large, small().repeat((LARGE / small().len() as u64) as usize))?;
    let jobs = bench.time.as_secs().max(1) as usize;
    Ok(vec![
        row(bench, &client, "original's client, 1 KiB job", &little, 25 * jobs)?,
        row(bench, &client, "original's client, 64 MiB job", &large, jobs.div_ceil(2))?,
    ])
}

fn row(
    bench: &Bench,
    client: &Client,
    name: &'static str,
    src: &Path,
    count: usize,
) -> Result<Row> {
    let (host, idle) = (bench.host("", &[])?, bench.peer("idle-host")?);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds * TURNS {
        ours.push(client.run(&host.address, "/null", src, count)?);
        theirs.push(client.run(&idle.address, "", src, count)?);
    }
    let ratio = median_ratio(&ours, &theirs);
    Ok(Row {
        name,
        unit: "ms",
        ours: median(ours),
        peer: "idle host",
        theirs: median(theirs),
        ratio,
        goal: "at most 1.05",
        is_reached: ratio <= 1.05,
    })
}

struct Client {
    python: PathBuf,
    dst: PathBuf,
}

impl Client {
    /// The mean time of a job after the first, in milliseconds.
    fn run(&self, address: &str, accelerator: &str, src: &Path, count: usize) -> Result<f64> {
        let output = Command::new(&self.python)
            .args(["-c", CLIENT, &format!("http://{address}"), "time", accelerator])
            .arg((count + 1).to_string())
            .args([src, &self.dst])
            // Settings of proxies would go before its own.
            .env_clear()
            .output()
            .context("missing: apt-get install python3-venv")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "the client failed: {said}");
        ensure!(std::fs::read(src)? == std::fs::read(&self.dst)?, "other data came back");
        let times = String::from_utf8_lossy(&output.stdout);
        // Connecting is part of the first.
        let times = times.lines().skip(1).map(|line| Ok(line.trim().parse::<f64>()?));
        let times: Vec<_> = times.collect::<Result<_>>()?;
        ensure!(times.len() == count, "the client told {} times instead of {count}", times.len());
        Ok(times.iter().sum::<f64>() * 1e3 / count as f64)
    }
}
