//! How far a map is: a bar for all, and a line for each host. A line now and then where nobody
//! watches a terminal.

use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::tally::{HostTally, Tally, rate};
use crate::printer::{Printer, bytes, whole_seconds};

/// How often the bars are drawn.
pub(super) const REDRAW: Duration = Duration::from_millis(200);
/// How often a line tells how far it is where there are no bars.
const TOLD: Duration = Duration::from_secs(10);

/// What a shorter time tells of the rest is not worth telling.
const SURE: Duration = Duration::from_secs(1);

/// More hosts than these have no line each.
const LINES: usize = 16;

const ALL: &str = "{prefix:.30} [{wide_bar}] {pos} of {len} files, {msg}";
const HOST: &str = "  {prefix:.40} {wide_msg}";

/// What shows how far a map is.
#[derive(Debug)]
pub(super) struct Bars<'a> {
    printer: &'a Printer,
    bars: Option<(MultiProgress, ProgressBar, Vec<ProgressBar>)>,
    begin: Instant,
    told: Instant,
}

impl<'a> Bars<'a> {
    pub(super) fn new(printer: &'a Printer, total: usize, hosts: usize) -> Self {
        let bars = printer.draws().then(|| {
            let all = MultiProgress::new();
            let bar = all.add(styled(ProgressBar::new(total as u64), ALL).with_prefix("map"));
            let lines = if hosts > LINES { 0 } else { hosts };
            let lines = (0..lines).map(|_| all.add(styled(ProgressBar::no_length(), HOST)));
            let lines = lines.collect();
            (all, bar, lines)
        });
        Self { printer, bars, begin: Instant::now(), told: Instant::now() }
    }

    pub(super) fn elapsed(&self) -> Duration {
        self.begin.elapsed()
    }

    /// Shows the present state.
    pub(super) fn update(&mut self, tally: &Tally, hosts: &[HostTally]) {
        let read: u64 = hosts.iter().map(|host| host.read).sum();
        let elapsed = self.begin.elapsed();
        let Some((_, bar, lines)) = &self.bars else {
            if self.told.elapsed() >= TOLD && !self.printer.json() {
                self.told = Instant::now();
                let (ended, amount) = (tally.ended(), bytes(read as f64));
                let left = left(tally, read, elapsed);
                self.printer
                    .note(&format!("map: {ended} of {} files, {amount}{left}", tally.total));
            }
            return;
        };
        bar.set_position(tally.ended() as u64);
        let left = left(tally, read, elapsed);
        bar.set_message(format!("{}, {}{left}", bytes(read as f64), rate(read, elapsed)));
        for (line, host) in lines.iter().zip(hosts) {
            let HostTally { running, done, read, .. } = host;
            line.set_prefix(host.name.clone());
            line.set_message(format!(
                "{running} running, {done} done, {}, {}",
                bytes(*read as f64),
                rate(*read, elapsed)
            ));
            line.tick();
        }
    }

    /// Lets something else write to the terminal.
    pub(super) fn aside(&self, write: impl FnOnce()) {
        match &self.bars {
            Some((all, ..)) => all.suspend(write),
            None => write(),
        }
    }

    /// Leaves nothing behind.
    pub(super) fn clear(&self) {
        if let Some((all, ..)) = &self.bars {
            // Nothing can be done about a terminal that is gone.
            let _ = all.clear();
        }
    }
}

/// The time left, where anything can be said of it: `, 3 min 20 s left`.
fn left(tally: &Tally, read: u64, elapsed: Duration) -> String {
    match tally.left(read, elapsed) {
        Some(left) if elapsed >= SURE => {
            format!(", {} left", whole_seconds(left.as_secs_f64().ceil() as u64))
        }
        _ => String::new(),
    }
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
