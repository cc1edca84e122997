//! `apyfal map`: one accelerator over many files.

mod bars;
mod jobs;
mod journal;
mod outputs;
mod pattern;
mod sources;
mod tally;
mod work;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use apyfal::{Call, Error, ErrorKind, Location, Need, Result, Storage, full_parameters};
use clap::Args;
use serde_json::json;

use crate::arguments::Set;
use crate::commands::run::{by_stage, stop};
use crate::commands::troubles::Troubles;
use crate::commands::{Context, HostArguments, one_takes_stdin};
use bars::Bars;
use jobs::Map;
use journal::{Journal, NAME, Stamp, fingerprint};
use outputs::{End, Root};
use sources::Found;
use tally::Tally;
use work::Work;

/// Run an accelerator on many files, several at a time: on this machine, a host or several hosts.
///
/// A file that fails does not stop the others. Called again, it does only what is not done yet, or
/// not any more since a source changed: what is done is written down beside the results, or in
/// ~/.apyfal where those are in a store. Every further `--key value` is a parameter of the
/// accelerator.
#[derive(Args, Debug)]
#[command(override_usage = "apyfal map [OPTIONS] ACCELERATOR SRC DST")]
pub(crate) struct Arguments {
    /// The accelerator.
    #[arg(value_name = "ACCELERATOR")]
    first: String,
    /// A directory, a pattern in quotes such as 'photos/**/*.bmp', a store's folder such as
    /// s3://bucket/photos/, or @FILE: a list with a path or URL on each line, and where wanted the
    /// name of its result behind a tab. '@-' reads the list from standard input.
    #[arg(value_name = "SRC")]
    second: String,
    /// The directory, or the folder of a store, that the results go to. Each is called as its source.
    #[arg(value_name = "DST")]
    third: Option<String>,
    /// The accelerator, where it is not the first word.
    #[arg(long, short, value_name = "NAME")]
    accelerator: Option<String>,
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

/// The words of the command line.
struct Words {
    accelerator: String,
    src: String,
    dst: String,
}

impl Words {
    /// The accelerator is the first one, unless an option names it.
    fn of(arguments: &Arguments) -> Result<Self> {
        let [first, second] = [&arguments.first, &arguments.second].map(String::clone);
        match (arguments.accelerator.clone(), arguments.third.clone()) {
            (None, Some(dst)) => Ok(Self { accelerator: first, src: second, dst }),
            (Some(accelerator), None) => Ok(Self { accelerator, src: first, dst: second }),
            (None, None) => Err(Error::new(ErrorKind::Usage, "the destination is missing")
                .operation(format!("map '{second}' with the accelerator '{first}'"))
                .hint("write 'apyfal map ACCELERATOR SRC DST'")),
            (Some(accelerator), Some(_)) => {
                let why = format!("'--accelerator {accelerator}' and '{first}' both name it");
                Err(Error::new(ErrorKind::Usage, why)
                    .operation("tell which accelerator is meant")
                    .hint("write 'apyfal map ACCELERATOR SRC DST'"))
            }
        }
    }
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let words = Words::of(&arguments)?;
    let from_stdin = [
        ("the configuration", arguments.config.as_deref()),
        ("the list", words.src.strip_prefix('@')),
        ("the parameters", arguments.parameters.as_deref()),
    ];
    one_takes_stdin(&from_stdin)?;
    let config = arguments.config.as_deref();
    let configuration = context.configuration_with(config, arguments.host).await?;
    let mut builder = context.builder(&words.accelerator, configuration)?;
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads);
    }
    let cancel = context.cancel.clone();
    let accelerator = context.build(builder)?;
    let info = cancel.or_cancelled(accelerator.info()).await?.clone();
    let storage = accelerator.storage().clone();
    if info.src == Need::None {
        return Err(Error::new(ErrorKind::Usage, format!("{} reads nothing", info.name))
            .operation("map it over files"));
    }
    let mut troubles = Troubles::of(&accelerator);
    troubles.tell(context.printer);
    if info.start_src == Need::Required && arguments.start_src.is_none() {
        let why = format!("{} needs something to start with", info.name);
        return Err(Error::new(ErrorKind::Usage, why).hint("name it with --start-src"));
    }
    let root = Root::parse(&words.dst)?;
    if info.dst == Need::None && root.folder().is_none() {
        return Err(Error::new(ErrorKind::Usage, "reports are written to a directory only")
            .operation(format!("write to '{}'", words.dst)));
    }
    let found = sources::find(&words.src, &storage, root.folder());
    let Found { sources, failed } = cancel.or_cancelled(found).await?;
    let end = arguments.suffix.map_or_else(|| End::of(&info), End::Add);
    let items = outputs::plan(sources, &root, &end)?;

    let parameters = context.take_parameters().and(arguments.set).of(&info);
    let full = match arguments.parameters {
        Some(given) => Some(cancel.or_cancelled(full_parameters(given, &storage)).await?),
        None => None,
    };
    let started_with = started_with(arguments.start_src.as_deref(), &storage).await?;
    let asked = |of: fn(&Stamp, &Location) -> Stamp| {
        let start = started_with
            .as_ref()
            .map(|(location, stamp)| format!("{location} {:?}", of(stamp, location)));
        fingerprint(&json!([info.name, parameters, full, start]).to_string())
    };
    let (now, before) = (asked(|stamp, _| stamp.clone()), asked(Stamp::before));
    let (start_keys, keywords) = by_stage(&info, parameters);
    let mut start = Call::new().set_all(start_keys).cancel(cancel.clone());
    let mut process = Call::new().set_all(keywords);
    if let Some(src) = arguments.start_src {
        start = start.src(src);
    }
    if let Some(parameters) = full {
        start = start.parameters(parameters.clone());
        process = process.parameters(parameters);
    }
    let journal = Journal::open(journal_path(context, &root, &words.dst)?)?;
    accelerator.start(start).await?;
    troubles.tell(context.printer);
    // What is wrong with all files is told before the first.
    let parameters = match cancel.or_cancelled(accelerator.check(process)).await {
        Ok(parameters) => parameters,
        Err(error) => {
            stop(&accelerator, false).await?;
            return Err(error);
        }
    };
    let work = Arc::new(Work {
        accelerator: accelerator.clone(),
        info: info.clone(),
        parameters,
        cancel: cancel.clone(),
        journal,
        fingerprint: now,
        fingerprint_before: before,
        again: arguments.again,
    });
    let tally = Tally::of(&items, failed);
    let bars = Bars::new(context.printer, tally.total, accelerator.hosts().len().max(1));
    let mut map = Map { work, tally, bars, troubles, context, fail_fast: arguments.fail_fast };
    map.run(items).await;
    let Map { mut tally, bars, mut troubles, .. } = map;
    bars.clear();
    troubles.tell(context.printer);
    let hosts = tally.by_host(&accelerator, (0, 0, 0));
    let stopped = stop(&accelerator, tally.is_well() && !cancel.is_cancelled()).await;
    tally.show(context.printer, &hosts, bars.elapsed())?;
    if let Some(reason) = tally.ended_by.take() {
        let not_done = tally.total - tally.ended();
        let told = format!("{not_done} of {} files are not done", tally.total);
        return Err(reason.hint(told).hint("the same command does what is not done yet"));
    }
    if let Some((_, first)) = tally.failed.first() {
        let why = format!("{} of {} files failed", tally.failed.len(), tally.total);
        let error = Error::new(first.kind(), why).operation(format!("map '{}'", words.src));
        return Err(error.hint("the same command does what is not done yet"));
    }
    cancel.check()?;
    stopped
}

/// What the accelerator is started with, so that other content is other work.
async fn started_with(src: Option<&str>, storage: &Storage) -> Result<Option<(Location, Stamp)>> {
    let Some(src) = src else { return Ok(None) };
    let location = Location::parse(src)?;
    if location == Location::Standard {
        return Err(Error::new(ErrorKind::Usage, "what is read once cannot be compared next time")
            .operation("start with standard input")
            .hint("name a file"));
    }
    let stamp = Stamp::of(&location, storage).await?;
    Ok(Some((location, stamp)))
}

fn journal_path(context: &Context<'_>, root: &Root, dst: &str) -> Result<PathBuf> {
    match (root, &context.surroundings.environment.home) {
        (Root::Folder(folder), _) => Ok(folder.join(NAME)),
        (Root::Store(_), Some(home)) => Ok(journal::far_away(home, dst)),
        (Root::Store(_), None) => {
            Err(Error::new(ErrorKind::Configuration, "there is no home directory")
                .operation("find a place for what is done"))
        }
    }
}
