//! One job, our engine for it and the peers that do the same.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::Bench;
use super::check::Check;
use super::data;
use super::pair::Runner;
use super::process::Program;
use super::row::Goal;

/// What a command line reads and writes.
#[derive(Clone, Debug)]
pub(super) struct Io {
    pub(super) src: PathBuf,
    pub(super) dst: PathBuf,
}

/// What speed is counted in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Unit {
    /// 10^6 bytes.
    Megabytes,
    /// The files of a directory.
    Files,
    /// Processes, each with one small job.
    Starts,
}

impl Unit {
    pub(super) fn speed(self) -> &'static str {
        match self {
            Self::Megabytes => "MB/s",
            Self::Files => "files/s",
            Self::Starts => "starts/s",
        }
    }
}

/// How often one run starts a program whose start counts.
const STARTS: u32 = 50;

/// Somebody else's program for the job.
pub(super) struct Peer {
    pub(super) name: &'static str,
    pub(super) line: &'static str,
    /// The numbers of cores on which it is compared.
    pub(super) cores: &'static [usize],
    /// Another source, for those that would take hours and for a job of another size.
    pub(super) src: Option<PathBuf>,
    /// Whether it puts its results beside the sources: then `$DST` is a copy of them.
    pub(super) in_place: bool,
    /// What is wanted on so many cores.
    goals: Vec<(usize, Goal)>,
}

impl Peer {
    pub(super) fn goals(&self, cores: usize) -> Vec<Goal> {
        self.goals.iter().filter(|(on, _)| *on == cores).map(|(_, goal)| *goal).collect()
    }
}

/// What makes the source, before anything is measured.
pub(super) enum Prepare {
    Line(&'static str),
    /// Directories of so many files.
    Files(&'static [usize]),
}

/// The job. Lines are for the shell: `$SRC` and `$DST` are what to read and write, `$CORES` how
/// many cores there are, `$APYFAL` and `$PEERS` the programs of this project, `$PROGRAMS` the sources of
/// small ones, `$DATA` the directory of the data.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) src: PathBuf,
    bytes: Option<u64>,
    pub(super) unit: Unit,
    prepare: Option<Prepare>,
    pub(super) check: Check,
    pub(super) line: &'static str,
    pub(super) peers: Vec<Peer>,
    /// The numbers of cores on which it is measured.
    pub(super) cores: &'static [usize],
    /// What the second core is to gain.
    pub(super) second_core: Option<Goal>,
}

impl Case {
    /// What our engine does with the file `src`.
    pub(super) fn new(name: &'static str, src: &Path, check: Check, line: &'static str) -> Self {
        Self {
            name,
            src: src.to_owned(),
            bytes: None,
            unit: Unit::Megabytes,
            prepare: None,
            check,
            line,
            peers: Vec::new(),
            cores: &[1, 2],
            second_core: None,
        }
    }

    /// How many bytes the job processes, where it is not the length of the source.
    pub(super) fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// It is so small that it is mostly the start of a process: that is counted, without a shell's.
    /// Its lines are simple ones.
    pub(super) fn starts(mut self) -> Self {
        self.unit = Unit::Starts;
        self.on(&[1])
    }

    /// It is about many files: those of a directory are counted. `counts` are made first.
    pub(super) fn files(mut self, counts: &'static [usize]) -> Self {
        self.unit = Unit::Files;
        self.prepare = Some(Prepare::Files(counts));
        self
    }

    /// It is measured on these numbers of cores only.
    pub(super) fn on(mut self, cores: &'static [usize]) -> Self {
        self.cores = cores;
        self
    }

    /// The line that makes the source.
    pub(super) fn prepare(mut self, line: &'static str) -> Self {
        self.prepare = Some(Prepare::Line(line));
        self
    }

    /// Adds a peer that uses one core.
    pub(super) fn peer(self, name: &'static str, line: &'static str) -> Self {
        self.add(name, line, &[1])
    }

    /// Adds a peer that is compared on one core and on two.
    pub(super) fn parallel(self, name: &'static str, line: &'static str) -> Self {
        self.add(name, line, &[1, 2])
    }

    /// Adds a peer that is compared on two cores.
    pub(super) fn on_two(self, name: &'static str, line: &'static str) -> Self {
        self.add(name, line, &[2])
    }

    fn add(mut self, name: &'static str, line: &'static str, cores: &'static [usize]) -> Self {
        let peer = Peer { name, line, cores, src: None, in_place: false, goals: Vec::new() };
        self.peers.push(peer);
        self
    }

    /// The last peer has another source.
    pub(super) fn reads(mut self, src: &Path) -> Self {
        if let Some(peer) = self.peers.last_mut() {
            peer.src = Some(src.to_owned());
        }
        self
    }

    /// The last peer puts its results beside the sources.
    pub(super) fn in_place(mut self) -> Self {
        if let Some(peer) = self.peers.last_mut() {
            peer.in_place = true;
        }
        self
    }

    /// What is wanted beside the last peer on so many cores.
    pub(super) fn goal(mut self, cores: usize, goal: Goal) -> Self {
        if let Some(peer) = self.peers.last_mut() {
            peer.goals.push((cores, goal));
        }
        self
    }

    /// What the second core is to gain.
    pub(super) fn second_core(mut self, goal: Goal) -> Self {
        self.second_core = Some(goal);
        self
    }

    /// Makes the source; why that cannot be.
    pub(super) fn make_source(&self, bench: &Bench) -> Result<Option<String>> {
        match self.prepare {
            None => Ok(None),
            Some(Prepare::Line(line)) => {
                let dst = bench.data.prepared();
                match dst.is_dir() {
                    true => std::fs::remove_dir_all(&dst)?,
                    false => drop(std::fs::remove_file(&dst)),
                }
                let program =
                    bench.program(&bench.apyfal, line, &Io { src: self.src.clone(), dst });
                let failed = |error| format!("failed: {error}");
                let made = || program.run(1, &bench.cores).err().map(failed);
                Ok(program.missing().or_else(made))
            }
            Some(Prepare::Files(counts)) => {
                for count in counts {
                    bench.data.make_files(*count)?;
                }
                Ok(None)
            }
        }
    }

    /// One of both sides: a line for a program of this project or another one, whose result has a name.
    pub(super) fn runner(&self, bench: &Bench, what: Line<'_>, cores: usize) -> Runner {
        let io = Io { src: what.src.to_owned(), dst: bench.data.directory().join(what.result) };
        let starts = (self.unit == Unit::Starts).then_some(STARTS);
        let program = Program { starts, ..bench.program(what.apyfal, what.line, &io) };
        Runner::new(program, io, what.in_place, cores)
    }

    /// How much a source is, in what speed is counted in.
    pub(super) fn amount(&self, src: &Path) -> Result<f64> {
        Ok(match self.unit {
            Unit::Megabytes => match self.bytes {
                Some(bytes) => bytes as f64 / 1e6,
                None => std::fs::metadata(src)?.len() as f64 / 1e6,
            },
            Unit::Files => data::files_below(src, "")?.0 as f64,
            Unit::Starts => f64::from(STARTS),
        })
    }
}

/// A command line of one side.
#[derive(Clone, Copy)]
pub(super) struct Line<'a> {
    pub(super) apyfal: &'a Path,
    pub(super) line: &'static str,
    pub(super) src: &'a Path,
    pub(super) in_place: bool,
    /// What its result is called.
    pub(super) result: &'static str,
}
