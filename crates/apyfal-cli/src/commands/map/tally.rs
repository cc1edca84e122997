//! What was done, by host.

use std::time::Duration;

use apyfal::files::Items;
use apyfal::{Accelerator, Error, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::printer::{Printer, bytes, error_members, seconds};

/// How many failures are named at the end.
const NAMED: usize = 20;

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// How many files there are.
    pub(super) total: usize,
    pub(super) done: usize,
    pub(super) skipped: usize,
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) failed: Vec<(String, Error)>,
    pub(super) sizes: Sizes,
    /// A file's failure that may be a mistake of the whole command, until another file tells.
    pub(super) held: Option<(String, Error)>,
    /// Why it ended before all were done, where that is no matter of a file.
    pub(super) ended_by: Option<Error>,
}

/// How much there is to read, as far as that is known before.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sizes {
    /// None where the length of any file is not known.
    pub(super) all: Option<u64>,
    pub(super) skipped: u64,
}

/// What one host did, or this machine.
#[derive(Clone, Debug)]
pub(super) struct HostTally {
    pub(super) name: String,
    pub(super) running: usize,
    pub(super) done: u64,
    pub(super) failed: usize,
    pub(super) read: u64,
    pub(super) written: u64,
    /// Why it is done without, where it is.
    pub(super) trouble: Option<String>,
}

impl Tally {
    /// That of a map that is to begin, with the entries that it cannot begin with.
    pub(super) fn of(items: &Items, failed: Vec<(String, Error)>) -> Self {
        let sizes = Sizes { all: items.bytes(), skipped: 0 };
        Self { total: items.len() + failed.len(), failed, sizes, ..Self::default() }
    }

    /// Whether nothing is to be complained about.
    pub(super) fn is_well(&self) -> bool {
        self.failed.is_empty() && self.ended_by.is_none()
    }

    /// How many files need nothing any more.
    pub(super) fn ended(&self) -> usize {
        self.done + self.skipped + self.failed.len()
    }

    /// How long the rest will take, if it goes on as it did: by bytes where the length of all is
    /// known, else by files. What was done before took no time, and says nothing.
    pub(super) fn left(&self, read: u64, elapsed: Duration) -> Option<Duration> {
        let by_bytes = self.sizes.all.map(|all| (read, all.saturating_sub(self.sizes.skipped)));
        let by_files = ((self.done + self.failed.len()) as u64, (self.total - self.skipped) as u64);
        let (done, all) = by_bytes.filter(|(_, all)| *all > 0).unwrap_or(by_files);
        if done == 0 {
            return None;
        }
        Some(elapsed.mul_f64(all.saturating_sub(done) as f64 / done as f64))
    }

    /// The same by host. Where there are not several, `live` is what runs: jobs, and bytes read and
    /// written by them.
    pub(super) fn by_host(
        &self,
        accelerator: &Accelerator,
        live: (usize, u64, u64),
    ) -> Vec<HostTally> {
        let several = accelerator.load();
        if several.is_empty() {
            let host = accelerator.hosts().first().map(apyfal::Remote::url);
            return vec![HostTally {
                name: host.unwrap_or_else(|| "this machine".to_owned()),
                running: live.0,
                done: self.done as u64,
                failed: self.failed.len(),
                read: self.read + live.1,
                written: self.written + live.2,
                trouble: None,
            }];
        }
        let of = |error: &Error, url: &str| error.details().host.as_deref() == Some(url);
        let host = |load: apyfal::HostLoad| HostTally {
            failed: self.failed.iter().filter(|(_, error)| of(error, &load.url)).count(),
            name: load.url,
            running: load.running,
            done: load.done,
            read: load.read,
            written: load.written,
            trouble: load.trouble.map(|why| why.to_string()),
        };
        several.into_iter().map(host).collect()
    }

    /// Shows the summary: a table for people, JSON for programs.
    pub(super) fn show(
        &self,
        printer: &Printer,
        hosts: &[HostTally],
        elapsed: Duration,
    ) -> Result<()> {
        if printer.json() {
            return printer.result(&format!("{:#}", self.to_json(hosts, elapsed)));
        }
        if self.done > 0 {
            printer.note(&table(hosts, elapsed));
        }
        for (source, error) in self.failed.iter().take(NAMED) {
            printer.note(&format!("failed: {source}: {}", error.message()));
        }
        if self.failed.len() > NAMED {
            printer.note(&format!("failed: {} more", self.failed.len() - NAMED));
        }
        let not_done = match self.total - self.ended() {
            0 => String::new(),
            count => format!(", {count} not done"),
        };
        let rate = rate(self.read.max(self.written), elapsed);
        printer.note(&format!(
            "map: {} done, {} skipped, {} failed{not_done}, {} -> {} in {}, {rate}",
            self.done,
            self.skipped,
            self.failed.len(),
            bytes(self.read as f64),
            bytes(self.written as f64),
            seconds(elapsed.as_secs_f64()),
        ));
        Ok(())
    }

    fn to_json(&self, hosts: &[HostTally], elapsed: Duration) -> Value {
        let failed = self.failed.iter().map(|(source, error)| {
            let mut failed = error_members(error);
            failed["source"] = json!(source);
            failed
        });
        let hosts = hosts.iter().map(|host| {
            json!({
                "host": host.name,
                "done": host.done,
                "failed": host.failed,
                "bytes_read": host.read,
                "bytes_written": host.written,
                "done_without": host.trouble,
            })
        });
        json!({
            "total": self.total,
            "done": self.done,
            "skipped": self.skipped,
            "failed": failed.collect::<Vec<_>>(),
            "not_done": self.total - self.ended(),
            "ended_by": self.ended_by.as_ref().map(error_members),
            "bytes_read": self.read,
            "bytes_written": self.written,
            "seconds": elapsed.as_secs_f64(),
            "hosts": hosts.collect::<Vec<_>>(),
        })
    }
}

fn table(hosts: &[HostTally], elapsed: Duration) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(["HOST", "DONE", "FAILED", "READ", "WRITTEN", "RATE"]);
    for host in hosts {
        table.add_row([
            host.name.clone(),
            host.done.to_string(),
            host.failed.to_string(),
            bytes(host.read as f64),
            bytes(host.written as f64),
            rate(host.read.max(host.written), elapsed),
        ]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    let text = table.to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

pub(super) fn rate(count: u64, elapsed: Duration) -> String {
    format!("{}/s", bytes(count as f64 / elapsed.as_secs_f64().max(1e-9)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_is_that_of_the_work_left() {
        let minute = Duration::from_secs(60);
        let mut tally = Tally { total: 10, ..Tally::default() };
        assert_eq!(tally.left(0, minute), None);
        (tally.done, tally.skipped) = (1, 7);
        assert_eq!(tally.left(5, minute), Some(2 * minute));
        // Where all lengths are known, they tell better.
        tally.sizes = Sizes { all: Some(1000), skipped: 200 };
        assert_eq!(tally.left(600, minute), Some(minute / 3));
        assert_eq!(tally.left(900, minute), Some(Duration::ZERO));
        // Empty files have none.
        tally.sizes = Sizes { all: Some(0), skipped: 0 };
        assert_eq!(tally.left(0, minute), Some(2 * minute));
    }
}
