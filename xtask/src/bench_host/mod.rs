//! `cargo xtask bench-host`: a served host beside servers that do nothing, or less.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use servers::{Host, Peer};

mod load;
mod measures;
mod original;
mod servers;
mod stores;

/// Compare a served host with its peers: time per job, jobs per second, bytes per second, memory.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// A quarter of the data and of the time.
    #[arg(long)]
    quick: bool,
    /// How often each pair is measured, the two in turn.
    #[arg(long, value_name = "N", default_value_t = 3)]
    rounds: usize,
    /// Only the measures whose names contain one of these.
    filter: Vec<String>,
    /// Also write all rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Measure this binary instead of the one that is built from this tree.
    #[arg(long, value_name = "FILE")]
    apyfal: Option<PathBuf>,
    /// Take the peers of this binary, a build of this program with its peers.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
}

/// What a measure may use.
struct Bench {
    apyfal: PathBuf,
    peers: PathBuf,
    folder: tempfile::TempDir,
    /// How long a load runs.
    time: Duration,
    /// How much is moved, in bytes.
    bytes: u64,
    rounds: usize,
}

impl Bench {
    fn host(&self, configuration: &str, words: &[&str]) -> Result<Host> {
        Host::start(&self.apyfal, configuration, words)
    }

    fn peer(&self, name: &str) -> Result<Peer> {
        Peer::start(&self.peers, name)
    }
}

/// One line of the table.
struct Row {
    name: &'static str,
    unit: &'static str,
    ours: f64,
    peer: &'static str,
    theirs: f64,
    /// Ours against the peer's, or against a bound.
    ratio: f64,
    goal: &'static str,
    is_reached: bool,
}

type Measure = (&'static str, fn(&Bench) -> Result<Vec<Row>>);

const MEASURES: [Measure; 8] = [
    ("small jobs, one connection", measures::latency),
    ("small jobs, 64 connections", measures::throughput),
    ("1 GiB through null", measures::stream),
    ("a result over TLS", measures::tls),
    ("memory with 64 connections", measures::memory),
    ("eight slots kept busy", measures::slots),
    ("the original's client", original::original),
    ("from a store to a store", stores::gzip),
];

/// Runs the benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let built = |given: &Option<PathBuf>, package: &str, name: &str| match given {
        Some(path) => Ok(std::path::absolute(path)?),
        None => {
            build(root, package)?;
            Ok::<_, anyhow::Error>(root.join("target/release").join(name))
        }
    };
    let scale = if options.quick { 4 } else { 1 };
    let bench = Bench {
        apyfal: built(&options.apyfal, "apyfal-cli", "apyfal")?,
        peers: built(&options.peers, "xtask", "xtask")?,
        folder: tempfile::tempdir()?,
        time: Duration::from_secs(8) / scale,
        bytes: (1 << 30) / u64::from(scale),
        rounds: options.rounds.max(1),
    };
    let mut rows = Vec::new();
    let mut failed = 0;
    for (name, measure) in MEASURES {
        if !options.filter.is_empty() && !options.filter.iter().any(|part| name.contains(part)) {
            continue;
        }
        eprintln!("{name}");
        match measure(&bench) {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                failed += 1;
                eprintln!("  {error:#}");
            }
        }
    }
    print(&rows);
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{:#}\n", to_json(&rows)))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    match failed {
        0 => Ok(()),
        failed => bail!("{failed} measures failed"),
    }
}

fn build(root: &Path, package: &str) -> Result<()> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--release", "--package", package]).current_dir(root);
    if package == "xtask" {
        cargo.args(["--features", "peers"]);
    }
    match cargo.status().context("cannot run cargo")?.success() {
        true => Ok(()),
        false => bail!("cannot build {package}"),
    }
}

fn print(rows: &[Row]) {
    let mut table = Table::new();
    table
        .load_style(presets::ASCII_MARKDOWN)
        .set_header(["measure", "unit", "ours", "peer", "theirs", "ratio", "goal", ""]);
    for row in rows {
        table.add_row([
            row.name.to_owned(),
            row.unit.to_owned(),
            number(row.ours),
            row.peer.replace('|', r"\|"),
            number(row.theirs),
            number(row.ratio),
            row.goal.to_owned(),
            (if row.is_reached { "reached" } else { "not yet" }).to_owned(),
        ]);
    }
    for column in table.column_iter_mut().skip(2).step_by(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    println!("{table}");
}

fn to_json(rows: &[Row]) -> serde_json::Value {
    rows.iter()
        .map(|row| {
            json!({
                "measure": row.name,
                "unit": row.unit,
                "ours": row.ours,
                "peer": row.peer,
                "theirs": row.theirs,
                "ratio": row.ratio,
                "goal": row.goal,
                "reached": row.is_reached,
            })
        })
        .collect()
}

/// Three digits that count.
fn number(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
