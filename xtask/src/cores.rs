//! On which cores something runs.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The cores that this process was given.
#[derive(Debug)]
pub(crate) struct Cores(Vec<usize>);

impl Cores {
    pub(crate) fn of_this_process() -> Result<Self> {
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
        Ok(Self(cores))
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// Has what is started next run on the first ones. This process itself is pinned, so that what sets the
    /// cores is no part of what is measured.
    pub(crate) fn pin(&self, count: usize) -> Result<()> {
        let Some(cores) = self.0.get(..count) else {
            bail!("{count} cores are needed and {} are here", self.0.len());
        };
        let list = cores.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let mut taskset = Command::new("taskset");
        taskset.args(["-c", "-p", &list, &std::process::id().to_string()]).stdout(Stdio::null());
        let status = taskset.status().context("cannot run taskset (package util-linux)")?;
        match status.success() {
            true => Ok(()),
            false => bail!("taskset ended with {status}"),
        }
    }
}
