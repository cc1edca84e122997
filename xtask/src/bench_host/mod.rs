//! `cargo xtask bench-host`: a served host beside servers that do nothing, or less.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use comfy_table::{CellAlignment, Table, presets};
use serde_json::json;

use servers::{ANOTHER_BUILD, Host, Other, Peer};

use crate::cores::Cores;
use crate::run;
use crate::setup;

mod counted;
mod load;
mod measures;
mod original;
mod protocols;
mod servers;
mod stores;

/// Compare a served host with its peers: time and instructions per job, jobs per second, bytes per second, memory.
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
    /// Compare with this other build of apyfal, such as that of 'cargo xtask dist', and nothing else.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// What a measure may use.
struct Bench {
    apyfal: PathBuf,
    peers: PathBuf,
    /// The program that has the library's client ask for small jobs, where that is built.
    client: PathBuf,
    /// Another build, instead of the server that does nothing.
    against: Option<PathBuf>,
    folder: tempfile::TempDir,
    /// How long a load runs.
    time: Duration,
    /// How much is moved, in bytes.
    bytes: u64,
    rounds: usize,
    cores: Cores,
}

impl Bench {
    fn host(&self, configuration: &str, words: &[&str]) -> Result<Host> {
        Host::start(&self.apyfal, configuration, words)
    }

    fn peer(&self, name: &str) -> Result<Peer> {
        Peer::start(&self.peers, name)
    }

    /// What sends the data of a job back: an echo, or a host of another build.
    fn other(&self) -> Result<Other> {
        match &self.against {
            Some(apyfal) => Other::host(apyfal),
            None => Ok(Other::echo(self.peer("echo")?)),
        }
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

impl Row {
    fn verdict(&self) -> &'static str {
        match (self.goal, self.is_reached) {
            ("", _) => "",
            (_, true) => "reached",
            (_, false) => "not yet",
        }
    }
}

type Measure = (&'static str, fn(&Bench) -> Result<Vec<Row>>);

const MEASURES: [Measure; 16] = [
    ("small jobs, one connection", measures::latency),
    ("small jobs, 64 connections", measures::throughput),
    ("small jobs with ids", measures::with_ids),
    ("instructions", counted::instructions),
    ("system calls", counted::system_calls),
    ("jobs of 64 KiB, one connection", measures::latency_of_64_kib),
    ("small jobs, 1,000 connections", measures::throughput_of_many),
    ("1 GiB through null", measures::stream),
    ("small jobs over HTTP/2", protocols::http2),
    ("small jobs over TLS", protocols::tls),
    ("small jobs by our client and its pool", protocols::client),
    ("a result over TLS", measures::tls),
    ("memory with 64 connections", measures::memory),
    ("eight slots kept busy", measures::slots),
    ("the original's client", original::original),
    ("from a store to a store", stores::gzip),
];

/// Those in which two builds can be compared.
const OF_BUILDS: [&str; 8] = [
    MEASURES[0].0,
    MEASURES[1].0,
    MEASURES[2].0,
    MEASURES[3].0,
    MEASURES[4].0,
    MEASURES[5].0,
    MEASURES[6].0,
    MEASURES[7].0,
];

/// Runs the benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    if options.against.is_none() {
        setup::bench_programs().map_err(|error| anyhow!("{error}"))?;
    }
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
        peers: match (&options.peers, &options.against) {
            // Between two builds no peer is asked.
            (None, Some(_)) => PathBuf::new(),
            (given, _) => built(given, "xtask", "xtask")?,
        },
        client: built_beside(root, options)?,
        against: options.against.as_deref().map(std::path::absolute).transpose()?,
        folder: tempfile::tempdir()?,
        time: Duration::from_secs(8) / scale,
        bytes: (1 << 30) / u64::from(scale),
        rounds: options.rounds.max(1),
        cores: Cores::of_this_process()?,
    };
    let mut rows = Vec::new();
    let mut failed = 0;
    for (name, measure) in MEASURES {
        let is_wanted =
            options.filter.is_empty() || options.filter.iter().any(|part| name.contains(part));
        if !is_wanted || bench.against.is_some() && !OF_BUILDS.contains(&name) {
            continue;
        }
        eprintln!("{name}");
        // The one before may have kept to some.
        bench.cores.pin(bench.cores.count())?;
        match measure(&bench) {
            Ok(measured) => rows.extend(measured),
            Err(error) => {
                failed += 1;
                eprintln!("  {error:#}");
            }
        }
    }
    if bench.against.is_some() {
        // There are no goals for it, and what needs no peer is not about it.
        rows.retain(|row| row.peer == ANOTHER_BUILD);
        rows.iter_mut().for_each(|row| row.goal = "");
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

/// The example of the library that asks for small jobs: that of the profile of the binary which is measured,
/// built where that is built here.
fn built_beside(root: &Path, options: &Options) -> Result<PathBuf> {
    let beside = match &options.apyfal {
        Some(path) => std::path::absolute(path)?,
        None => {
            let mut cargo = run::cargo();
            cargo.args(["build", "--release", "--package", "apyfal", "--example", "jobs"]);
            let status = cargo.current_dir(root).status().context("cannot run cargo")?;
            anyhow::ensure!(status.success(), "cannot build the example jobs");
            root.join("target/release/apyfal")
        }
    };
    Ok(beside.with_file_name("examples").join("jobs"))
}

fn build(root: &Path, package: &str) -> Result<()> {
    let mut cargo = run::cargo();
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
            row.verdict().to_owned(),
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
