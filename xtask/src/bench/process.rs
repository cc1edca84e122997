//! Running a command line on a number of cores: its time and its memory.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4;

use crate::cores::Cores;
use crate::counter::Counter;
use crate::setup;

/// A line for the shell, with the variables that it uses.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) line: &'static str,
    pub(super) variables: Vec<(&'static str, OsString)>,
    /// Where the start counts: how many times one run starts it, without a shell.
    pub(super) starts: Option<u32>,
}

/// What one run took.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sample {
    pub(super) time: Duration,
    /// Of all its processes, theirs and the system's for them.
    pub(super) cpu: Duration,
    /// The most memory that one of its processes had, in bytes.
    pub(super) peak_memory: u64,
    /// Pages that they looked at for the first time.
    pub(super) page_faults: u64,
}

impl Program {
    /// What is missing here, if anything, and how to get it.
    pub(super) fn missing(&self) -> Option<String> {
        let package = self.line.split_whitespace().find_map(setup::missing_package)?;
        Some(format!("missing: apt-get install {package}"))
    }

    /// Runs it on so many of the cores.
    pub(super) fn run(&self, cores: usize, all: &Cores) -> Result<Sample> {
        all.pin(cores)?;
        let mut sample = Sample::default();
        let before = page_faults_of_children()?;
        for _ in 0..self.starts.unwrap_or(1) {
            let mut command = self.command(cores, &[])?;
            let start = Instant::now();
            let (cpu, peak_memory) = end(&mut command)?;
            sample.time += start.elapsed();
            sample.cpu += cpu;
            sample.peak_memory = sample.peak_memory.max(peak_memory);
        }
        sample.page_faults = page_faults_of_children()? - before;
        Ok(sample)
    }

    /// Runs it once on one core, under what counts, which may write to an empty directory.
    pub(super) fn count(&self, counter: &Counter, directory: &Path, all: &Cores) -> Result<f64> {
        all.pin(1)?;
        let to = directory.to_str().context("the directory of the data has an odd name")?;
        let before: Vec<_> =
            counter.command.split(' ').map(|word| word.replace("COUNTS", to)).collect();
        end(&mut self.command(1, &before)?)?;
        counter.counted(directory)
    }

    fn command(&self, cores: usize, before: &[String]) -> Result<Command> {
        let mut words: Vec<_> = before.iter().map(OsString::from).collect();
        let mut output = None;
        match self.starts {
            None => words.extend(["sh", "-c", self.line].map(OsString::from)),
            Some(_) => output = self.words(&mut words)?,
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(self.variables.clone());
        command.env("CORES", cores.to_string()).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(output.map_or_else(Stdio::null, Stdio::from));
        command.stderr(Stdio::piped());
        Ok(command)
    }

    /// What a shell would make of a simple line: its words, and the file that it writes to.
    fn words(&self, words: &mut Vec<OsString>) -> Result<Option<File>> {
        let mut is_output = false;
        for word in self.line.split_whitespace() {
            let word = match word.strip_prefix("\"$").and_then(|word| word.split_once('"')) {
                Some((variable, rest)) => {
                    let value = self.variables.iter().find(|(name, _)| *name == variable);
                    let mut value = value.with_context(|| format!("no {variable}"))?.1.clone();
                    value.push(rest);
                    value
                }
                None => word.into(),
            };
            if is_output {
                return Ok(Some(File::create(word)?));
            }
            is_output = word == ">";
            if !is_output {
                words.push(word);
            }
        }
        Ok(None)
    }
}

/// Waits for the end of a command; the time of processors that it took, and its memory.
fn end(command: &mut Command) -> Result<(Duration, u64)> {
    let mut child =
        command.spawn().with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let stderr = child.stderr.take().map(std::io::read_to_string).transpose()?;
    let end = child.wait4()?;
    if !end.status.success() {
        let stderr = stderr.unwrap_or_default();
        bail!("{}: {}", end.status, stderr.lines().next().unwrap_or_default());
    }
    Ok((end.rusage.utime + end.rusage.stime, end.rusage.maxrss))
}

/// Page faults of all children of this process that have ended, for none of which a disk was read.
fn page_faults_of_children() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/stat")?;
    // The name of the program comes before, and may have spaces; `cminflt` is the eleventh of all.
    let fields = status.rsplit(')').next().context("no name in /proc/self/stat")?;
    Ok(fields.split_whitespace().nth(8).context("no page faults in /proc/self/stat")?.parse()?)
}
