//! What a program costs in figures that do not change with what else the machine does.

use std::path::Path;

use anyhow::{Context, Result};

/// What counts for a program, in all of its threads and all that it starts.
#[derive(Debug)]
pub(crate) struct Counter {
    /// The Debian package that has it.
    pub(crate) package: &'static str,
    /// The words before those of the program, with a directory `COUNTS` for the files that are written.
    pub(crate) command: &'static str,
    /// What one such file says.
    total: fn(&str) -> Option<f64>,
}

/// Callgrind knows AVX2 and not AVX-512: programs that choose are counted as they run without it.
pub(crate) const INSTRUCTIONS: Counter = Counter {
    package: "valgrind",
    command: "valgrind --tool=callgrind --trace-children=yes --log-file=/dev/null \
              --callgrind-out-file=COUNTS/%p",
    total: |counts| {
        counts.lines().find_map(|line| line.strip_prefix("totals: "))?.trim().parse().ok()
    },
};

pub(crate) const SYSTEM_CALLS: Counter = Counter {
    package: "strace",
    // Else it ignores the signal that ends a host, as it does by itself where it writes to a file.
    command: "strace --follow-forks --signal=none --quiet=all --interruptible=waiting \
              --output=COUNTS/calls",
    // One that was interrupted by another thread's has a second line.
    total: |counts| Some(counts.lines().filter(|line| !line.contains(" resumed>")).count() as f64),
};

impl Counter {
    /// What was counted into a directory.
    pub(crate) fn counted(&self, directory: &Path) -> Result<f64> {
        let mut sum = None;
        for file in std::fs::read_dir(directory)? {
            let text = std::fs::read_to_string(file?.path())?;
            *sum.get_or_insert(0.0) += (self.total)(&text).context("there is no total")?;
        }
        sum.with_context(|| format!("nothing was counted: apt-get install {}", self.package))
    }
}
