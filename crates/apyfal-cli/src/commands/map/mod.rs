//! `apyfal map`: one accelerator over many files.

mod bars;
mod journal;
mod outputs;
mod pattern;
mod sources;
mod tally;
mod work;

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use apyfal::{Call, Error, ErrorKind, Location, Need, Progress, Result, Storage, full_parameters};
use clap::Args;
use serde_json::json;
use tokio::task::JoinSet;

use crate::arguments::Set;
use crate::commands::run::{by_stage, stop};
use crate::commands::{Context, HostArguments, one_takes_stdin};
use crate::printer::harmless;
use bars::{Bars, REDRAW};
use journal::{Journal, NAME, Stamp, fingerprint};
use outputs::{End, Item, Root};
use tally::Tally;
use work::{Outcome, Work};

/// Run an accelerator on many files, several at a time: on this machine, a host or several hosts.
///
/// A file that fails does not stop the others. Called again, it does only what is not done yet, or
/// not any more since a source changed: what is done is written down beside the results, or in
/// ~/.apyfal where those are in a store. Every further `--key value` is a parameter of the
/// accelerator.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator.
    #[arg(long, short)]
    accelerator: String,
    /// A directory, a pattern in quotes such as 'photos/**/*.bmp', a store's folder such as
    /// s3://bucket/photos/, or @FILE: a list with a path or URL on each line, and where wanted the
    /// name of its result behind a tab. '@-' reads the list from standard input.
    src: String,
    /// The directory, or the folder of a store, that the results go to. Each is called as its source.
    dst: String,
    /// What the names of results end with, such as .gz, instead of what is usual for the accelerator.
    #[arg(long, value_name = "END", allow_hyphen_values = true)]
    suffix: Option<String>,
    /// Do again what is done.
    #[arg(long)]
    again: bool,
    /// End at the first file that fails.
    #[arg(long = "fail-fast", alias = "fail_fast")]
    fail_fast: bool,
    /// What the accelerator is started with, such as the word list of hyperfire.
    #[arg(long, value_name = "URL", alias = "start_src")]
    start_src: Option<String>,
    /// Full parameters as JSON text, or the path or URL of a JSON file.
    #[arg(long, short = 'j', value_name = "JSON")]
    parameters: Option<String>,
    #[command(flatten)]
    set: Set,
    /// Keep at most this many cores busy.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let from_stdin = [
        ("the configuration", arguments.config.as_deref()),
        ("the list", arguments.src.strip_prefix('@')),
        ("the parameters", arguments.parameters.as_deref()),
    ];
    one_takes_stdin(&from_stdin)?;
    let config = arguments.config.as_deref();
    let configuration = context.configuration_with(config, arguments.host).await?;
    let mut builder = context.builder(&arguments.accelerator, configuration)?;
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads);
    }
    let cancel = context.cancel.clone();
    let accelerator = cancel.or_cancelled(builder.build()).await?;
    let (info, storage) = (accelerator.info().clone(), accelerator.storage().clone());
    if info.src == Need::None {
        return Err(Error::new(ErrorKind::Usage, format!("{} reads nothing", info.name))
            .operation("map it over files"));
    }
    let root = Root::parse(&arguments.dst)?;
    let found = sources::find(&arguments.src, &storage, root.folder());
    let found = cancel.or_cancelled(found).await?;
    let end = arguments.suffix.map_or_else(|| End::of(&info), End::Add);
    let items = outputs::plan(found, &root, &end)?;

    let parameters = context.take_parameters().and(arguments.set).of(&info);
    let full = match arguments.parameters {
        Some(given) => Some(cancel.or_cancelled(full_parameters(given, &storage)).await?),
        None => None,
    };
    let start_stamp = started_with(arguments.start_src.as_deref(), &storage).await?;
    let asked = json!([info.name, parameters, full, start_stamp]);
    let (start_keys, keywords) = by_stage(&info, parameters);
    let journal = Journal::open(journal_path(context, &root, &arguments.dst)?)?;
    let mut start = Call::new().set_all(start_keys).cancel(cancel.clone());
    if let Some(src) = arguments.start_src {
        start = start.src(src);
    }
    if let Some(parameters) = &full {
        start = start.parameters(parameters.clone());
    }
    accelerator.start(start).await?;
    let work = Arc::new(Work {
        accelerator: accelerator.clone(),
        parameters: full,
        keywords,
        cancel: cancel.clone(),
        journal,
        fingerprint: fingerprint(&asked.to_string()),
        again: arguments.again,
    });
    let mut bars = Bars::new(context.printer, items.len(), accelerator.hosts().len().max(1));
    let tally = map(&work, items, arguments.fail_fast, context, &mut bars).await;
    bars.clear();
    let hosts = tally.by_host(&accelerator, (0, 0, 0));
    let stopped = stop(&accelerator, tally.failed.is_empty() && !cancel.is_cancelled()).await;
    tally.show(context.printer, &hosts, bars.elapsed())?;
    if let Some((_, first)) = tally.failed.first() {
        let why = format!("{} of {} files failed", tally.failed.len(), tally.total);
        let error = Error::new(first.kind(), why).operation(format!("map '{}'", arguments.src));
        return Err(error.hint("the same command does what is not done yet"));
    }
    cancel.check()?;
    stopped
}

/// Runs the jobs of all files.
async fn map(
    work: &Arc<Work>,
    items: Vec<Item>,
    fail_fast: bool,
    context: &Context<'_>,
    bars: &mut Bars<'_>,
) -> Tally {
    let mut tally = Tally { total: items.len(), ..Tally::default() };
    let mut waiting = VecDeque::from(items);
    let mut running = JoinSet::new();
    let mut live: Vec<Arc<Progress>> = Vec::new();
    let mut tick = tokio::time::interval(REDRAW);
    loop {
        while let Some(item) = waiting.front()
            && running.len() < work.accelerator.width(&work.call(item, &Arc::default()))
            && let Some(item) = waiting.pop_front()
        {
            let (work, progress) = (work.clone(), Arc::new(Progress::default()));
            live.push(progress.clone());
            running.spawn(async move {
                let outcome = work.run(&item, &progress).await;
                (item, progress, outcome)
            });
        }
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            _ = tick.tick() => {
                bars.update(&tally, &tally.by_host(&work.accelerator, sum(&live)));
                continue;
            }
        };
        let Some(ended) = ended else { return tally };
        let (item, outcome) = match ended {
            Ok((item, progress, outcome)) => {
                live.retain(|one| !Arc::ptr_eq(one, &progress));
                (item.source.location.to_string(), outcome)
            }
            Err(error) => {
                let why = "the task of a file ended early";
                (String::new(), Err(Error::new(ErrorKind::Internal, why).source(error)))
            }
        };
        match outcome {
            Ok(Outcome::Skipped) => tally.skipped += 1,
            Ok(Outcome::Done(report)) => {
                tally.done += 1;
                tally.read += report.profiling.bytes_read;
                tally.written += report.profiling.bytes_written;
                if let Some(note) = report.destination_note() {
                    bars.aside(|| context.printer.note(&harmless(note)));
                }
            }
            // It is not done yet, and that is no failure of it.
            Err(_) if context.cancel.is_cancelled() => waiting.clear(),
            Err(error) => {
                bars.aside(|| context.printer.error(&error));
                tally.failed.push((item, error));
                if fail_fast {
                    waiting.clear();
                    running.abort_all();
                    while running.join_next().await.is_some() {}
                    return tally;
                }
            }
        }
        if context.cancel.is_cancelled() {
            waiting.clear();
        }
    }
}

/// What runs: jobs, and bytes read and written by them.
fn sum(live: &[Arc<Progress>]) -> (usize, u64, u64) {
    let read = live.iter().map(|one| one.read()).sum();
    (live.len(), read, live.iter().map(|one| one.written()).sum())
}

/// What the accelerator is started with, so that other content is other work.
async fn started_with(src: Option<&str>, storage: &Storage) -> Result<Option<String>> {
    let Some(src) = src else { return Ok(None) };
    let location = Location::parse(src)?;
    if location == Location::Standard {
        return Err(Error::new(ErrorKind::Usage, "what is read once cannot be compared next time")
            .operation("start with standard input")
            .hint("name a file"));
    }
    Ok(Some(format!("{location} {:?}", Stamp::of(&location, storage).await?)))
}

fn journal_path(context: &Context<'_>, root: &Root, dst: &str) -> Result<PathBuf> {
    match (root, &context.environment.home) {
        (Root::Folder(folder), _) => Ok(folder.join(NAME)),
        (Root::Store(_), Some(home)) => Ok(journal::far_away(home, dst)),
        (Root::Store(_), None) => {
            Err(Error::new(ErrorKind::Configuration, "there is no home directory")
                .operation("find a place for what is done"))
        }
    }
}
