//! The two of a pair, run in turn.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use super::Bench;
use super::case::{Case, Io, Line, Peer};
use super::check::{Check, Quality};
use super::data;
use super::process::{Program, Sample};
use super::row::{Row, Side};
use crate::cores::Cores;
use crate::counter::Counter;

/// Measures ours beside every peer, or beside another build, on one core and on two.
pub(super) fn rows(case: &Case, rounds: usize, bench: &Bench) -> Result<Vec<Row>> {
    if let Some(why) = case.make_source(bench)? {
        return Ok(vec![Row::impossible(case, format!("no source, {why}"))]);
    }
    let mut rows = Vec::new();
    for &cores in case.cores {
        if let Some(other) = &bench.against {
            let theirs = Line { apyfal: other, ..case.as_peer(bench) };
            rows.push(pair(case, "the other build", theirs, [cores, cores], rounds, bench)?);
            continue;
        }
        if cores == 2 && case.cores.contains(&1) {
            let row =
                pair(case, "itself on 1 core", case.as_peer(bench), [cores, 1], rounds, bench)?;
            rows.push(Row { goals: case.second_core.into_iter().collect(), ..row });
        }
        for peer in case.peers.iter().filter(|peer| peer.cores.contains(&cores)) {
            let theirs = peer.line(case, bench);
            let row = pair(case, peer.name, theirs, [cores, cores], rounds, bench)?;
            rows.push(Row { goals: peer.goals(cores), ..row });
        }
    }
    Ok(rows)
}

fn pair(
    case: &Case,
    peer: &'static str,
    theirs: Line<'_>,
    cores: [usize; 2],
    rounds: usize,
    bench: &Bench,
) -> Result<Row> {
    bench.say(&format!("{} on {}, {peer}", case.name, cores[0]));
    let mut ours = case.runner(bench, case.ours(bench), cores[0]);
    let mut theirs = case.runner(bench, theirs, cores[1]);
    // The first round checks, and warms what can be warmed.
    ours.run(&case.check, &bench.cores);
    theirs.run(&case.check, &bench.cores);
    if ours.failure.is_none() && theirs.failure.is_none() {
        theirs.failure = disagreement(case, &ours, &theirs, bench)?;
    }
    ours.samples.clear();
    theirs.samples.clear();
    for _ in 0..rounds {
        ours.run(&Check::Nothing, &bench.cores);
        theirs.run(&Check::Nothing, &bench.cores);
    }
    Ok(Row {
        case: case.name,
        unit: case.unit,
        cores: cores[0],
        peer,
        goals: Vec::new(),
        ours: ours.side(case)?,
        theirs: theirs.side(case)?,
    })
}

/// Compares the two results, where the same source must have the same one.
fn disagreement(
    case: &Case,
    ours: &Runner,
    other: &Runner,
    bench: &Bench,
) -> Result<Option<String>> {
    if !case.check.is_of_both() {
        return Ok(None);
    }
    let mut dst = ours.io.dst.clone();
    if other.io.src != ours.io.src {
        let line = Line { src: &other.io.src, result: "slice", ..case.ours(bench) };
        let slice = case.runner(bench, line, ours.cores);
        slice.program.run(ours.cores, &bench.cores)?;
        dst = slice.io.dst;
    }
    Ok((!case.check.agree(&dst, &other.io.dst)?).then(|| "WRONG: results differ".to_owned()))
}

/// A program that is run again and again.
pub(super) struct Runner {
    program: Program,
    io: Io,
    in_place: bool,
    cores: usize,
    samples: Vec<Sample>,
    quality: Quality,
    failure: Option<String>,
}

impl Runner {
    pub(super) fn new(program: Program, io: Io, in_place: bool, cores: usize) -> Self {
        // What another job left there.
        let _ = fs::remove_file(&io.dst);
        Self {
            failure: program.missing(),
            program,
            io,
            in_place,
            cores,
            samples: Vec::new(),
            quality: Quality::None,
        }
    }

    /// Runs it once and checks its result, unless it failed before.
    pub(super) fn run(&mut self, check: &Check, all: &Cores) {
        if self.failure.is_some() {
            return;
        }
        match self.make_room().and_then(|()| self.program.run(self.cores, all)) {
            Ok(sample) => self.samples.push(sample),
            Err(error) => self.failure = Some(format!("failed: {error}")),
        }
        if self.failure.is_none() && !matches!(check, Check::Nothing) {
            match check.check(&self.io) {
                Ok(quality) => self.quality = quality,
                Err(error) => self.failure = Some(format!("WRONG: {error}")),
            }
        }
    }

    /// Counts what one run costs.
    pub(super) fn count(&self, counter: &Counter, bench: &Bench) -> Result<f64, String> {
        self.once(|| {
            let directory = tempfile::tempdir_in(bench.data.directory())?;
            self.program.count(counter, directory.path(), &bench.cores)
        })
    }

    /// The page faults of one start.
    pub(super) fn page_faults(&self, bench: &Bench) -> Result<f64, String> {
        self.once(|| {
            let sample = self.program.run(1, &bench.cores)?;
            Ok(sample.page_faults as f64 / f64::from(self.program.starts.unwrap_or(1)))
        })
    }

    fn once(&self, count: impl Fn() -> Result<f64>) -> Result<f64, String> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        self.make_room().and_then(|()| count()).map_err(|error| format!("failed: {error}"))
    }

    /// A directory of results is a new one each time: what is done already would not be done again.
    fn make_room(&self) -> Result<()> {
        if self.io.dst.is_dir() {
            fs::remove_dir_all(&self.io.dst)?;
        }
        if self.in_place {
            fs::create_dir(&self.io.dst)?;
            data::copy_all(&self.io.src, &self.io.dst)?;
        }
        Ok(())
    }

    /// What was measured, or why nothing was.
    fn side(&self, case: &Case) -> Result<Result<Side, String>> {
        if let Some(failure) = &self.failure {
            return Ok(Err(failure.clone()));
        }
        let amount = case.amount(&self.io.src)?;
        let rates = |time: fn(&Sample) -> Duration| {
            self.samples.iter().map(|sample| amount / time(sample).as_secs_f64()).collect()
        };
        Ok(Ok(Side {
            rates: rates(|sample| sample.time),
            cpu_rates: rates(|sample| sample.cpu),
            peak_memory: self.samples.iter().map(|sample| sample.peak_memory).max().unwrap_or(0),
            quality: self.quality,
        }))
    }
}

impl Case {
    /// Our side of a pair.
    pub(super) fn ours<'a>(&'a self, bench: &'a Bench) -> Line<'a> {
        Line {
            apyfal: &bench.apyfal,
            line: self.line,
            src: &self.src,
            in_place: false,
            result: "ours",
        }
    }

    /// The same as the other side.
    fn as_peer<'a>(&'a self, bench: &'a Bench) -> Line<'a> {
        Line { result: "theirs", ..self.ours(bench) }
    }
}

impl Peer {
    pub(super) fn line<'a>(&'a self, case: &'a Case, bench: &'a Bench) -> Line<'a> {
        Line {
            apyfal: &bench.apyfal,
            line: self.line,
            src: self.src.as_deref().unwrap_or(&case.src),
            in_place: self.in_place,
            result: "theirs",
        }
    }
}
