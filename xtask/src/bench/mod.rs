//! `cargo xtask bench`: every engine beside its peers, in one table of ratios.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use case::{Case, Io};
use data::Data;
pub(crate) use data::make_text;
use process::Program;

use crate::cores::Cores;
use crate::run;
use crate::setup;

mod case;
mod cases;
mod check;
mod counts;
mod data;
mod pair;
mod picture;
mod process;
mod row;

/// Compare every engine with its peers: speed, ratio or quality, and memory.
#[derive(Args, Debug)]
pub(crate) struct Options {
    /// Only the jobs whose names contain one of these.
    filter: Vec<String>,
    /// 16 MB of data and three rounds instead of 100 MB and five.
    #[arg(long)]
    quick: bool,
    /// Count instructions, and for what starts also page faults and calls of the system, instead of
    /// measuring time: on 16 MB of data and one core.
    #[arg(long, conflicts_with = "rounds")]
    counts: bool,
    /// How often each command is run, the two of a pair in turn.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Also write all rows as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Where to read from and write to while measuring; best a file system in memory.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
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

/// Sources of small programs that are peers.
const PROGRAMS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/bench/programs");

/// What all cases share.
#[derive(Debug)]
struct Bench {
    apyfal: PathBuf,
    /// This program, built for speed and with the crates to compare with.
    peers: PathBuf,
    /// Another build, instead of the peers.
    against: Option<PathBuf>,
    data: Data,
    cores: Cores,
}

impl Bench {
    fn program(&self, apyfal: &Path, line: &'static str, io: &Io) -> Program {
        let variables = [
            ("APYFAL", &apyfal.to_owned()),
            ("PEERS", &self.peers),
            ("SRC", &io.src),
            ("DST", &io.dst),
            ("DATA", &self.data.directory().to_owned()),
            ("PROGRAMS", &PathBuf::from(PROGRAMS)),
        ];
        let variables = variables.map(|(name, path)| (name, path.clone().into_os_string()));
        Program { line, variables: variables.to_vec(), starts: None }
    }

    fn say(&self, text: &str) {
        eprintln!("{text}");
    }
}

/// Runs the benchmark.
pub(crate) fn run(options: &Options) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("no workspace")?;
    let megabytes = if options.quick || options.counts { 16 } else { 100 };
    let rounds = options.rounds.unwrap_or(if options.quick { 3 } else { 5 }).max(1);
    if options.against.is_none() {
        setup::bench_programs().map_err(|error| anyhow!("{error}"))?;
    }
    let (apyfal, peers) = build(root, options)?;
    let data = Data::new(&root.join("target/bench-data"), options.dir.as_deref(), megabytes)?;
    let against = options.against.as_deref().map(std::path::absolute).transpose()?;
    let bench = Bench { apyfal, peers, against, data, cores: Cores::of_this_process()? };
    let wanted = |case: &Case| {
        options.filter.is_empty() || options.filter.iter().any(|name| case.name.contains(name))
    };
    let cases = cases::all(&bench.data);
    let cases: Vec<_> = cases.into_iter().filter(wanted).collect();
    if cases.is_empty() {
        bail!("no job is named like {}", options.filter.join(" or "));
    }
    let (json, wrong) = if options.counts {
        let mut rows = Vec::new();
        for case in cases {
            rows.extend(counts::rows(&case, &bench)?);
        }
        counts::print(&rows);
        (counts::to_json(&rows), rows.iter().filter(|row| row.is_wrong()).count())
    } else {
        let mut rows = Vec::new();
        for case in cases {
            rows.extend(pair::rows(&case, rounds, &bench)?);
        }
        row::print(&rows);
        (row::to_json(&rows), rows.iter().filter(|row| row.is_wrong()).count())
    };
    if let Some(path) = &options.json {
        let text = serde_json::to_string_pretty(&json)?;
        std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match wrong {
        0 => Ok(()),
        wrong => bail!("{wrong} rows are wrong or could not be measured"),
    }
}

/// Builds what is measured, for speed: `apyfal` and this program with the crates to compare with.
fn build(root: &Path, options: &Options) -> Result<(PathBuf, PathBuf)> {
    let cargo = |arguments: &[&str]| -> Result<()> {
        let mut cargo = run::cargo();
        let status = cargo.args(["build", "--release"]).args(arguments).current_dir(root).status();
        match status.context("cannot run cargo")?.success() {
            true => Ok(()),
            false => bail!("cannot build {}", arguments.join(" ")),
        }
    };
    let release = root.join("target/release");
    // Between two builds no peer is asked.
    if options.against.is_none() && options.peers.is_none() {
        cargo(&["--package", "xtask", "--features", "peers"])?;
    }
    if options.apyfal.is_none() {
        cargo(&["--package", "apyfal-cli"])?;
    }
    let built = |given: &Option<PathBuf>, name: &str| match given {
        Some(path) => std::path::absolute(path),
        None => Ok(release.join(name)),
    };
    Ok((built(&options.apyfal, "apyfal")?, built(&options.peers, "xtask")?))
}
