//! `apyfal map`: one accelerator over many files.

mod bars;
mod jobs;
mod tally;

use std::num::NonZeroUsize;

use apyfal::files::{Asked, FileMap, FileMapOptions, Plan};
use apyfal::{Accelerator, Error, ErrorKind, Need, Result};
use clap::Args;
use serde_json::Value;

use crate::arguments::{OnEngine, Set};
use crate::commands::calls::Given;
use crate::commands::host_settings::MadeHostArguments;
use crate::commands::run::{check_before_host, given_back, names_start_source, stop};
use crate::commands::troubles::Troubles;
use crate::commands::{Context, HostArguments, one_takes_stdin};
use bars::Bars;
use jobs::Map;
use tally::Tally;

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
    #[command(flatten)]
    on: OnEngine,
    /// Keep at most this many cores busy, 1024 at most.
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
    #[command(flatten)]
    made: MadeHostArguments,
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
    let mut configuration = context.configuration_with(config, arguments.host.clone()).await?;
    arguments.made.apply(&words.accelerator, &mut configuration, context)?;
    let is_start_configured = names_start_source(&configuration);
    let mut builder = context.builder(&words.accelerator, configuration);
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads);
    }
    let accelerator = context.build(builder)?;
    let mapped = map(&accelerator, words, arguments, is_start_configured, context).await;
    given_back(&accelerator, mapped, context).await
}

async fn map(
    accelerator: &Accelerator,
    words: Words,
    arguments: Arguments,
    is_start_configured: bool,
    context: &mut Context<'_>,
) -> Result<()> {
    let cancel = context.cancel.clone();
    let info = accelerator.learn(&cancel).await?.clone();
    let storage = accelerator.storage().clone();
    if info.src == Need::None {
        return Err(Error::new(ErrorKind::Usage, format!("{} reads nothing", info.name))
            .operation("map it over files"));
    }
    let mut troubles = Troubles::of(accelerator);
    troubles.tell(context.printer);
    let is_start_named = arguments.start_src.is_some() || is_start_configured;
    if info.start_src == Need::Required && !is_start_named {
        let why = format!("{} needs something to start with", info.name);
        return Err(Error::new(ErrorKind::Usage, why).hint("name it with --start-src"));
    }
    let plan = Plan::of(&words.src, &words.dst, arguments.suffix, &info, &storage);
    let mut plan = cancel.or_cancelled(plan).await?;

    let parameters = context.take_parameters().and(arguments.set).of(&info)?;
    let full = arguments.parameters.map(Value::from);
    let engine = arguments.on.engine;
    let given = Given { keywords: parameters.clone(), full, engine, ..Given::default() };
    let (start, process) = given.by_stage(&info, accelerator, context).await?;
    let (full, start_src) = (process.full.as_ref(), arguments.start_src.as_deref());
    let asked = Asked::of(accelerator, &parameters, full, start_src).await?;
    let journal = plan.journal(context.surroundings.home())?;
    let start = Given { src: arguments.start_src, ..start }.call(context);
    check_before_host(accelerator, process.clone().call(context)).await?;
    context.printer.warnings(&accelerator.start(start).await?);
    context.tell_of_host(accelerator);
    troubles.tell(context.printer);
    // What is wrong with all files is told before the first.
    let parameters = match cancel.or_cancelled(accelerator.check(process.call(context))).await {
        Ok(mut parameters) => {
            let unread = std::mem::take(&mut parameters.unread).note();
            unread.iter().for_each(|note| context.printer.unread(note));
            parameters
        }
        Err(error) => {
            stop(accelerator, false).await?;
            return Err(error);
        }
    };
    let tally = Tally::of(&plan.items, std::mem::take(&mut plan.failed));
    let options = FileMapOptions {
        journal,
        asked,
        parameters,
        again: arguments.again,
        cancel: cancel.clone(),
    };
    let files = FileMap::new(accelerator, plan.items, options).await?;
    let bars = Bars::new(context.printer, tally.total, accelerator.hosts().len().max(1));
    let fail_fast = arguments.fail_fast;
    let mut map =
        Map { accelerator: accelerator.clone(), tally, bars, troubles, context, fail_fast };
    map.run(files).await;
    let Map { mut tally, bars, mut troubles, .. } = map;
    bars.clear();
    troubles.tell(context.printer);
    let hosts = tally.by_host(accelerator, (0, 0, 0));
    let stopped = stop(accelerator, tally.is_well() && !cancel.is_cancelled()).await;
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
