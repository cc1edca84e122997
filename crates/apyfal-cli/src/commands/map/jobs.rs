//! A map under way: its jobs, and what becomes of them.

use std::sync::Arc;

use apyfal::files::{FileMap, Item, Outcome};
use apyfal::{Accelerator, Error, ErrorKind, Progress, Result};

use super::bars::{Bars, REDRAW};
use super::tally::Tally;
use crate::commands::Context;
use crate::commands::troubles::Troubles;
use crate::printer::harmless;

/// A map under way.
pub(super) struct Map<'a> {
    pub(super) accelerator: Accelerator,
    pub(super) tally: Tally,
    pub(super) bars: Bars<'a>,
    pub(super) troubles: Troubles,
    pub(super) context: &'a Context<'a>,
    pub(super) fail_fast: bool,
}

/// What goes on.
#[derive(Debug, PartialEq)]
enum Next {
    Go,
    /// Nothing more begins, and what runs is ended.
    End,
}

impl Map<'_> {
    /// Runs the jobs of all files.
    pub(super) async fn run(&mut self, mut files: FileMap) {
        for (_, error) in &self.tally.failed {
            self.bars.aside(|| self.context.printer.error(error));
        }
        if self.fail_fast && !self.tally.failed.is_empty() {
            return;
        }
        let mut tick = tokio::time::interval(REDRAW);
        loop {
            let ended = tokio::select! {
                ended = files.next() => ended,
                _ = tick.tick() => {
                    self.show(&files.live());
                    continue;
                }
            };
            let next = match ended {
                None => break,
                Some((Some(item), outcome)) => self.ended(&item, outcome),
                Some((None, Err(error))) => self.failed(String::new(), error),
                Some((None, Ok(_))) => Next::Go,
            };
            if next == Next::End {
                files.end().await;
                break;
            }
        }
        self.fail_held();
    }

    /// Shows how far it is.
    fn show(&mut self, live: &[Arc<Progress>]) {
        if self.troubles.is_news() {
            let (troubles, printer) = (&mut self.troubles, self.context.printer);
            self.bars.aside(|| troubles.tell(printer));
        }
        let hosts = self.tally.by_host(&self.accelerator, sum(live));
        self.bars.update(&self.tally, &hosts);
    }

    /// Counts what became of a file.
    fn ended(&mut self, item: &Item, outcome: Result<Outcome>) -> Next {
        if let Err(error) = &outcome
            && let Some(reason) = self.accelerator.lost(error)
            && !self.context.cancel.is_cancelled()
        {
            self.tally.ended_by = Some(reason);
            return Next::End;
        }
        match outcome {
            Ok(Outcome::Skipped) => {
                self.tally.skipped += 1;
                self.tally.sizes.skipped += item.bytes().unwrap_or_default();
                Next::Go
            }
            Ok(Outcome::Done(report)) => {
                self.tally.done += 1;
                self.tally.read += report.profiling.bytes_read;
                self.tally.written += report.profiling.bytes_written;
                if report.engine_note().is_some() {
                    self.bars.aside(|| self.context.printer.warnings(&report));
                }
                if let Some(note) = report.destination_note() {
                    self.bars.aside(|| self.context.printer.note(&harmless(note)));
                }
                self.fail_held();
                Next::Go
            }
            // It is not done yet, and that is no failure of it.
            Err(_) if self.context.cancel.is_cancelled() => Next::Go,
            Err(error) if error.kind() == ErrorKind::Usage && self.tally.done == 0 => {
                self.misused(item.source().to_string(), error)
            }
            Err(error) => self.failed(item.source().to_string(), error),
        }
    }

    /// A mistake of the command or of one file, which the next one that fails will tell.
    fn misused(&mut self, source: String, error: Error) -> Next {
        match self.tally.held.take() {
            None => {
                self.tally.held = Some((source, error));
                Next::Go
            }
            Some((_, first)) if first.message() == error.message() => {
                self.tally.ended_by = Some(first);
                Next::End
            }
            Some((other, first)) => {
                self.tally.held = Some((source, error));
                self.failed(other, first)
            }
        }
    }

    /// Counts what was held back, which was a matter of its file.
    fn fail_held(&mut self) {
        if let Some((source, error)) = self.tally.held.take() {
            self.failed(source, error);
        }
    }

    fn failed(&mut self, source: String, error: Error) -> Next {
        self.bars.aside(|| self.context.printer.error(&error));
        self.tally.failed.push((source, error));
        if self.fail_fast { Next::End } else { Next::Go }
    }
}

/// What runs: jobs, and bytes read and written by them.
fn sum(live: &[Arc<Progress>]) -> (usize, u64, u64) {
    let read = live.iter().map(|one| one.read()).sum();
    (live.len(), read, live.iter().map(|one| one.written()).sum())
}
