//! What was done, by host.

use std::time::Duration;

use apyfal::{Accelerator, Error, Result};
use comfy_table::{CellAlignment, Table, presets};
use serde_json::{Value, json};

use crate::printer::{Printer, bytes, seconds};

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
}

impl Tally {
    /// How many files need nothing any more.
    pub(super) fn ended(&self) -> usize {
        self.done + self.skipped + self.failed.len()
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
            }];
        }
        let of = |error: &Error, url: &str| {
            error.facts().iter().any(|(key, value)| key == "host" && value == url)
        };
        let host = |load: apyfal::HostLoad| HostTally {
            failed: self.failed.iter().filter(|(_, error)| of(error, &load.url)).count(),
            name: load.url,
            running: load.running,
            done: load.done,
            read: load.read,
            written: load.written,
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
        let rate = rate(self.read.max(self.written), elapsed);
        printer.note(&format!(
            "map: {} done, {} skipped, {} failed, {} -> {} in {}, {rate}",
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
            json!({"source": source, "kind": error.kind().as_str(), "message": error.to_string()})
        });
        let hosts = hosts.iter().map(|host| {
            json!({
                "host": host.name,
                "done": host.done,
                "failed": host.failed,
                "bytes_read": host.read,
                "bytes_written": host.written,
            })
        });
        json!({
            "total": self.total,
            "done": self.done,
            "skipped": self.skipped,
            "failed": failed.collect::<Vec<_>>(),
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
