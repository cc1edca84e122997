//! One job, our engine for it and the peers that do the same.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Bench;
use super::check::{Check, Quality};
use super::process::Program;
use super::row::{Row, Side};

/// What a command line reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Io {
    pub(super) src: PathBuf,
    pub(super) dst: PathBuf,
}

/// Somebody else's program for the job.
struct Peer {
    name: &'static str,
    line: &'static str,
    /// The numbers of cores it can use.
    cores: &'static [usize],
    /// A smaller source, for those that would take hours.
    src: Option<PathBuf>,
}

/// The job. Lines are for the shell: `$SRC` and `$DST` are what to read and write, `$CORES` how
/// many cores there are, `$APYFAL` and `$PEERS` the programs of this project, `$DATA` the directory
/// of the data.
pub(super) struct Case {
    pub(super) name: &'static str,
    src: PathBuf,
    bytes: Option<u64>,
    prepare: Option<&'static str>,
    check: Check,
    line: &'static str,
    peers: Vec<Peer>,
}

impl Case {
    /// What our engine does with the file `src`.
    pub(super) fn new(name: &'static str, src: &Path, check: Check, line: &'static str) -> Self {
        let src = src.to_owned();
        Self { name, src, bytes: None, prepare: None, check, line, peers: Vec::new() }
    }

    /// How many bytes the job processes, where it is not the length of the source.
    pub(super) fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// The line that makes the source.
    pub(super) fn prepare(mut self, line: &'static str) -> Self {
        self.prepare = Some(line);
        self
    }

    /// Adds a peer that uses one core.
    pub(super) fn peer(self, name: &'static str, line: &'static str) -> Self {
        self.add(Peer { name, line, cores: &[1], src: None })
    }

    /// Adds a peer that uses the cores it is given.
    pub(super) fn parallel(self, name: &'static str, line: &'static str) -> Self {
        self.add(Peer { name, line, cores: &[1, 2], src: None })
    }

    /// Adds a peer that is too slow for more than the file `src`.
    pub(super) fn slow(self, name: &'static str, src: &Path, line: &'static str) -> Self {
        self.add(Peer { name, line, cores: &[1], src: Some(src.to_owned()) })
    }

    fn add(mut self, peer: Peer) -> Self {
        self.peers.push(peer);
        self
    }

    /// Measures ours beside every peer, or beside another build, on one core and on two.
    pub(super) fn run(&self, rounds: usize, bench: &Bench) -> Result<Vec<Row>> {
        let start = |name: &str, apyfal: &Path, line, src: &Path, cores| {
            let io = Io { src: src.to_owned(), dst: bench.data.directory().join(name) };
            Runner::start(bench.program(apyfal, line, &io), io, cores, self.bytes)
        };
        if let Some(line) = self.prepare {
            let mut prepare = start("prepared", &bench.apyfal, line, &self.src, 1);
            prepare.run(&Check::Nothing);
            if let Some(why) = prepare.failure {
                return Ok(vec![Row::impossible(self.name, format!("no source, {why}"))]);
            }
        }
        let mut rows = Vec::new();
        for cores in [1, 2] {
            let pair = |peer, apyfal: &Path, line, src: &Path, their_cores| -> Result<Row> {
                bench.say(&format!("{} on {cores}, {peer}", self.name));
                let mut ours = start("ours", &bench.apyfal, self.line, &self.src, cores);
                let mut theirs = start("theirs", apyfal, line, src, their_cores);
                // The first round checks, and warms what can be warmed.
                ours.run(&self.check);
                theirs.run(&self.check);
                if ours.failure.is_none() && theirs.failure.is_none() {
                    theirs.failure = self.disagreement(&ours, &theirs, bench)?;
                }
                ours.seconds.clear();
                theirs.seconds.clear();
                for _ in 0..rounds {
                    ours.run(&Check::Nothing);
                    theirs.run(&Check::Nothing);
                }
                let (ours, theirs) = (ours.side(), theirs.side());
                Ok(Row { case: self.name, cores, peer, ours, theirs })
            };
            if let Some(other) = &bench.against {
                rows.push(pair("the other build", other, self.line, &self.src, cores)?);
                continue;
            }
            if cores > 1 {
                rows.push(pair("itself on 1 core", &bench.apyfal, self.line, &self.src, 1)?);
            }
            for peer in self.peers.iter().filter(|peer| peer.cores.contains(&cores)) {
                let src = peer.src.as_deref().unwrap_or(&self.src);
                rows.push(pair(peer.name, &bench.apyfal, peer.line, src, cores)?);
            }
        }
        Ok(rows)
    }

    /// Compares the two results, where the same source must have the same one.
    fn disagreement(&self, ours: &Runner, other: &Runner, bench: &Bench) -> Result<Option<String>> {
        let mut dst = ours.io.dst.clone();
        if other.io.src != ours.io.src {
            dst = bench.data.directory().join("slice");
            let io = Io { src: other.io.src.clone(), dst: dst.clone() };
            bench.program(&bench.apyfal, self.line, &io).run(ours.cores)?;
        }
        Ok((!self.check.agree(&dst, &other.io.dst)?).then(|| "WRONG: results differ".to_owned()))
    }
}

/// A program that is run again and again.
struct Runner {
    program: Program,
    io: Io,
    cores: usize,
    bytes: u64,
    seconds: Vec<f64>,
    peak_memory: u64,
    quality: Quality,
    failure: Option<String>,
}

impl Runner {
    fn start(program: Program, io: Io, cores: usize, bytes: Option<u64>) -> Self {
        let length = || std::fs::metadata(&io.src).map_or(0, |metadata| metadata.len());
        Self {
            bytes: bytes.unwrap_or_else(length),
            failure: program.missing(),
            program,
            io,
            cores,
            seconds: Vec::new(),
            peak_memory: 0,
            quality: Quality::None,
        }
    }

    /// Runs it once and checks its result, unless it failed before.
    fn run(&mut self, check: &Check) {
        if self.failure.is_some() {
            return;
        }
        match self.program.run(self.cores) {
            Ok(sample) => {
                self.seconds.push(sample.time.as_secs_f64());
                self.peak_memory = self.peak_memory.max(sample.peak_memory);
            }
            Err(error) => self.failure = Some(format!("failed: {error}")),
        }
        if self.failure.is_none() && !matches!(check, Check::Nothing) {
            match check.check(&self.io) {
                Ok(quality) => self.quality = quality,
                Err(error) => self.failure = Some(format!("WRONG: {error}")),
            }
        }
    }

    fn side(&self) -> Result<Side, String> {
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        Ok(Side {
            rates: self.seconds.iter().map(|time| self.bytes as f64 / 1e6 / time).collect(),
            peak_memory: self.peak_memory,
            quality: self.quality,
        })
    }
}
