//! Running a command line on a number of cores: its time and its memory.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use wait4::Wait4;

/// The Debian packages of programs that are not called like their package.
const PACKAGES: [(&str, &str); 5] = [
    ("igzip", "isal"),
    ("libdeflate-gzip", "libdeflate-tools"),
    ("libdeflate-gunzip", "libdeflate-tools"),
    ("cjpeg", "libjpeg-turbo-progs"),
    ("djpeg", "libjpeg-turbo-progs"),
];

/// A line for the shell, with the variables that it uses.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) line: &'static str,
    pub(super) variables: Vec<(&'static str, OsString)>,
}

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) time: Duration,
    /// The most memory that one of its processes had, in bytes.
    pub(super) peak_memory: u64,
}

impl Program {
    /// What is missing here, if anything, and how to get it.
    pub(super) fn missing(&self) -> Option<String> {
        let names = self.line.split('|').filter_map(|command| command.split_whitespace().next());
        let name = names.filter(|name| !name.starts_with('"')).find(|name| !is_installed(name))?;
        let package =
            PACKAGES.iter().find(|(of, _)| *of == name).map_or(name, |(_, package)| package);
        Some(format!("missing: apt-get install {package}"))
    }

    /// Runs it on the first `cores` cores that this process may use.
    pub(super) fn run(&self, cores: usize) -> Result<Sample> {
        let mut command = Command::new("taskset");
        command.arg("-c").arg(first_cores(cores)?).args(["sh", "-c", self.line]);
        command.envs(self.variables.clone()).env("CORES", cores.to_string()).env("LC_ALL", "C");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let start = Instant::now();
        let mut child = command.spawn().context("cannot run taskset (package util-linux)")?;
        let stderr = child.stderr.take().map(std::io::read_to_string).transpose()?;
        let end = child.wait4()?;
        let time = start.elapsed();
        if !end.status.success() {
            let stderr = stderr.unwrap_or_default();
            bail!("{}: {}", end.status, stderr.lines().next().unwrap_or_default());
        }
        Ok(Sample { time, peak_memory: end.rusage.maxrss })
    }
}

fn is_installed(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
}

/// The first cores of this process's affinity, as taskset takes them: `0,1`.
fn first_cores(count: usize) -> Result<String> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let list = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .context("/proc/self/status does not tell the cores of this process")?;
    let mut cores = Vec::new();
    for range in list.trim().split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        cores.extend(first.parse::<usize>()?..=last.parse()?);
    }
    if cores.len() < count {
        bail!("{count} cores are needed and {} are here", cores.len());
    }
    let cores: Vec<String> = cores.iter().take(count).map(usize::to_string).collect();
    Ok(cores.join(","))
}
