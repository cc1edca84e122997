//! Several sources of an accelerator that reports and writes nothing: a line for each.

use std::time::Instant;

use apyfal::{Accelerator, AcceleratorInfo, Call, Error, Location, Report, Result};
use serde_json::{Value, json};

use crate::commands::Context;
use crate::commands::troubles::Troubles;
use crate::printer::{bytes, error_json, no_comparison, plain, seconds};

/// What all sources took together.
#[derive(Default)]
struct Totals {
    read: u64,
    software: f64,
    accelerated: f64,
}

/// Runs a job for each source, and prints what it told in the order of the sources, as `sha3sum` does.
/// One that fails does not stop the others.
///
/// # Errors
/// A source failed: the error is of the kind of the first.
pub(super) async fn run(
    accelerator: &Accelerator,
    info: &AcceleratorInfo,
    sources: &[String],
    call: impl Fn() -> Call,
    compare: bool,
    context: &Context<'_>,
) -> Result<()> {
    let (begin, name) = (Instant::now(), &info.name);
    let calls = sources.iter().map(|src| call().src(src));
    // What is compared runs alone: jobs beside it would take its time.
    let mut together = (!compare).then(|| accelerator.process_map(calls.clone()));
    let (mut totals, mut failed, mut told, mut note) = (Totals::default(), None, Vec::new(), None);
    let (mut failures, mut troubles) = (0, Troubles::of(accelerator));
    for (src, call) in sources.iter().zip(calls) {
        let report = async {
            match &mut together {
                Some(together) => together.next().await,
                None => Some(accelerator.process(call).await),
            }
        };
        let report = troubles.told(context.printer, report).await;
        context.cancel.check()?;
        let shown = Location::parse(src).map_or_else(|_| src.clone(), |found| found.to_string());
        match report {
            None => break,
            Some(Ok(report)) => {
                totals.add(&report);
                context.printer.warnings(&report);
                note = note.or_else(|| no_comparison(&report).map(str::to_owned));
                match context.printer.json() {
                    true => told.push(with_source(&shown, report.to_json())),
                    false => context.printer.result(&line(&shown, &report))?,
                }
            }
            Some(Err(error)) => {
                failures += 1;
                match context.printer.json() {
                    true => told.push(with_source(&shown, error_json(&error))),
                    false => context.printer.error(&error),
                }
                failed.get_or_insert(error.kind());
            }
        }
    }
    if context.printer.json() {
        context.printer.result(&format!("{:#}", Value::from(told)))?;
    } else {
        let taken = seconds(begin.elapsed().as_secs_f64());
        let (count, read) = (sources.len() - failures, bytes(totals.read as f64));
        let factor = totals.factor();
        context.printer.note(&format!("{name}: {count} sources, {read} in {taken}{factor}"));
        if let Some(note) = note {
            context.printer.note(&note);
        }
    }
    match failed {
        None => Ok(()),
        Some(kind) => {
            Err(Error::new(kind, format!("{failures} of {} sources failed", sources.len()))
                .operation(format!("run {name} on all")))
        }
    }
}

impl Totals {
    fn add(&mut self, report: &Report) {
        self.read += report.profiling.bytes_read;
        if let Some(comparison) = &report.comparison {
            self.software += comparison.seconds;
            self.accelerated += comparison.seconds / comparison.factor.max(f64::MIN_POSITIVE);
        }
    }

    fn factor(&self) -> String {
        match self.accelerated > 0.0 {
            true => format!(", {:.2}x plain software", self.software / self.accelerated),
            false => String::new(),
        }
    }
}

/// `DIGEST  NAME`: the one thing that was told, or all of it as JSON.
///
/// As the tools for sums do, a name that has line ends or backslashes is written with escapes, and the
/// line then begins with a backslash.
fn line(name: &str, report: &Report) -> String {
    let mut values = report.specific.values();
    let result = match (values.next(), values.next()) {
        (Some(only), None) => plain(only),
        _ => Value::Object(report.specific.clone()).to_string(),
    };
    let escaped = name.replace('\\', r"\\").replace('\n', r"\n").replace('\r', r"\r");
    let mark = if escaped == name { "" } else { "\\" };
    format!("{mark}{result}  {escaped}")
}

/// An object that begins with its source.
fn with_source(source: &str, value: Value) -> Value {
    let mut all = json!({"source": source});
    if let (Value::Object(all), Value::Object(value)) = (&mut all, value) {
        all.extend(value);
    }
    all
}
