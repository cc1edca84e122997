//! `apyfal copy`: move data between any two storages.

use std::sync::Arc;
use std::time::Instant;

use apyfal::{Location, Progress, Result};
use clap::Args;
use serde_json::json;

use crate::commands::troubles::Troubles;
use crate::commands::{Context, one_takes_stdin};
use crate::printer;
use crate::progress;

/// Copy between any two storages: files, '-', http(s)://, s3://, oss://, swift:// or a mount.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// What to read.
    source: String,
    /// Where to write.
    destination: String,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let from_stdin = [
        ("the configuration", arguments.config.as_deref()),
        ("the source", Some(&arguments.source)),
    ];
    one_takes_stdin(&from_stdin)?;
    let configuration = context.configuration(arguments.config.as_deref()).await?;
    let storage = context.surroundings.storage(&configuration)?;
    let source = Location::parse(&arguments.source)?;
    let destination = Location::parse(&arguments.destination)?;
    let progress = Arc::new(Progress::default());
    let begin = Instant::now();
    let work = storage.copy(&source, &destination, &context.cancel, &progress);
    let title = format!("copy {source}");
    let placed =
        progress::shown(context.printer, &title, &progress, &mut Troubles::default(), work).await?;
    let copied = progress.written();
    let seconds = begin.elapsed().as_secs_f64();
    if context.printer.json() {
        let mut report = json!({"bytes": copied, "seconds": seconds});
        if let Some(note) = placed.note() {
            report["destination-note"] = note.into();
        }
        return context.printer.result(&format!("{report:#}"));
    }
    let rate = printer::bytes(copied as f64 / seconds.max(1e-9));
    context
        .printer
        .note(&format!("copy: {} in {seconds:.2} s, {rate}/s", printer::bytes(copied as f64)));
    if let Some(note) = placed.note() {
        context.printer.note(&printer::harmless(&note));
    }
    Ok(())
}
