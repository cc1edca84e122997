//! `apyfal run`: start, process and stop in one step.

mod several;

use std::io::{IsTerminal, stdin, stdout};
use std::num::NonZeroUsize;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use apyfal::{
    Accelerator, AcceleratorInfo, Call, Configuration, Error, ErrorKind, Need, Progress, Result,
};
use clap::Args;
use serde_json::{Map, Value};

use crate::arguments::{OnEngine, Set};
use crate::commands::calls::Given;
use crate::commands::host_settings::MadeHostArguments;
use crate::commands::troubles::Troubles;
use crate::commands::{Context, HostArguments, is_standard_output, one_takes_stdin, title};
use crate::progress;

/// How long a host may take to end the session of a job that failed.
const ENDING: Duration = Duration::from_secs(2);
/// The fact that tells what could not be ended.
const LEFT: &str = "left over";

/// Run an accelerator on a source: start, process and stop in one step.
///
/// Every further `--key value` is a parameter of the accelerator; `apyfal accelerators NAME` tells
/// which it has. A source or destination is a path, `-` for standard input or output, or a URL:
/// http(s)://, s3://, oss://, swift:// or a storage of the configuration.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The accelerator: gzip, gunzip, targz, sha3, jpegenc, trng, hyperfire or your own.
    pub(crate) accelerator: String,
    /// What to read. Standard input where it is missing and something is piped in.
    pub(crate) src: Option<String>,
    /// Where to write. Standard output where it is missing and goes to a file or pipe.
    pub(crate) dst: Option<String>,
    /// More sources, for an accelerator that has no destination, such as sha3: a line is printed for
    /// each of them.
    more: Vec<String>,
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
    /// Also do it with plain single-threaded software, and compare.
    #[arg(long, alias = "enable-sw-comparison")]
    compare: bool,
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

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let config = arguments.config.as_deref();
    let mut configuration = context.configuration_with(config, arguments.host.clone()).await?;
    arguments.made.apply(&arguments.accelerator, &mut configuration, context)?;
    let is_start_configured = names_start_source(&configuration);
    let mut builder = context.builder(&arguments.accelerator, configuration);
    if let Some(threads) = arguments.threads {
        builder = builder.threads(threads);
    }
    let accelerator = context.build(builder)?;
    let ran = with(&accelerator, arguments, is_start_configured, context).await;
    // Whatever happened, and though it was cancelled: what was made for it is given back.
    given_back(&accelerator, ran, context).await
}

/// What came of work on an accelerator, once the host that was made for it is given back.
pub(crate) async fn given_back(
    accelerator: &Accelerator,
    ran: Result<()>,
    context: &Context<'_>,
) -> Result<()> {
    // A machine that was named is its owner's, and was not touched before it was taken up.
    let is_other = accelerator.names_instance() && accelerator.host().is_none();
    let ended = match accelerator.has_host_of_its_own() && !is_other {
        true => accelerator.stop().await.map(drop),
        false => Ok(()),
    };
    context.tell_of_host(accelerator);
    with_left(ran, ended)
}

/// What came of work, and of giving back what was made for it.
pub(crate) fn with_left(ran: Result<()>, ended: Result<()>) -> Result<()> {
    match (ran, ended) {
        // It may say so already.
        (Err(error), Err(_)) if error.facts().iter().any(|(fact, _)| fact == LEFT) => Err(error),
        (Err(error), Err(left)) => Err(error.context(LEFT, left)),
        (ran, ended) => ran.and(ended),
    }
}

async fn with(
    accelerator: &Accelerator,
    arguments: Arguments,
    is_start_configured: bool,
    context: &mut Context<'_>,
) -> Result<()> {
    let info = accelerator.learn(&context.cancel).await?;
    let mut parameters = context.take_parameters().and(arguments.set).of(info)?;
    let start_src = end(&mut parameters, arguments.start_src, &["datafile"])?;
    let src = end(&mut parameters, arguments.src, &["src", "file_in"])?;
    let dst = end(&mut parameters, arguments.dst, &["dst", "file_out"])?;
    let sources = sources(info, &src, &dst, arguments.more)?;
    let mut from_stdin = vec![
        ("the configuration", arguments.config.as_deref()),
        ("the parameters", arguments.parameters.as_deref()),
        ("what it starts with", start_src.as_deref()),
    ];
    let is_free = from_stdin.iter().all(|(_, url)| *url != Some("-"));
    let Ends { src, dst, is_supposed } = match sources.is_empty() {
        true => ends(info, src, dst, context.printer.json(), is_free)?,
        false => Ends::default(),
    };
    from_stdin.push(("the source", src.as_deref()));
    from_stdin.extend(sources.iter().map(|src| ("a source", Some(src.as_str()))));
    one_takes_stdin(&from_stdin)?;
    if info.start_src == Need::Required && start_src.is_none() && !is_start_configured {
        return Err(Error::new(
            ErrorKind::Usage,
            format!("{} needs something to start with", info.name),
        )
        .hint("name it with --start-src"));
    }
    let full = arguments.parameters.map(Value::from);
    let engine = arguments.on.engine;
    let given = Given { keywords: parameters, full, engine, ..Given::default() };
    let (start, process) = given.by_stage(info, accelerator, context).await?;
    let start = Given { src: start_src, ..start }.call(context);
    let process = Given { src, dst, ..process };
    let call = || process.clone().call(context).compare(arguments.compare);
    check_before_host(accelerator, call()).await?;
    context.printer.warnings(&accelerator.start(start).await?);
    context.tell_of_host(accelerator);
    if !sources.is_empty() {
        let running = several::run(accelerator, info, &sources, call, arguments.compare, context);
        let ran = Box::pin(running).await;
        let stopped = stop(accelerator, ran.is_ok()).await;
        return ran.and(stopped);
    }
    let Given { src, dst, .. } = &process;
    let title = title(&info.name, src.as_deref().or(dst.as_deref()));
    let progress = Arc::new(Progress::default());
    let work = accelerator.process(call().progress(progress.clone()));
    let mut troubles = Troubles::of(accelerator);
    let processed = progress::shown(context.printer, &title, &progress, &mut troubles, work).await;
    troubles.tell(context.printer);
    let stopped = stop(accelerator, processed.is_ok()).await;
    let report = processed?;
    stopped?;
    // Some programs of one's own report and write nothing.
    let has_nothing = is_supposed && report.profiling.bytes_written == 0;
    context.printer.report(&report, is_standard_output(dst.as_deref()) && !has_nothing)
}

/// Checks the parameters of jobs before a host is made for them: one is not bought for what it would
/// refuse. Where no host is made, start and jobs tell by themselves.
pub(crate) async fn check_before_host(accelerator: &Accelerator, call: Call) -> Result<()> {
    match accelerator.has_host_of_its_own() {
        true => accelerator.check(call).await.map(drop),
        false => Ok(()),
    }
}

/// Whether a configuration may name what an accelerator is started with.
pub(crate) fn names_start_source(configuration: &Configuration) -> bool {
    let mut names = configuration.section_names().into_iter();
    names.any(|name| {
        let is_of_start = name.split('.').next() == Some("configuration");
        is_of_start && configuration.section(name).keys().contains(&"datafile")
    })
}

/// Ends the session. Where the job failed, a host need not be waited for: it may be the reason.
pub(crate) async fn stop(accelerator: &Accelerator, went_well: bool) -> Result<()> {
    // A host that was made for it is given back once all is done.
    let stopping = accelerator.stop_session();
    if went_well || accelerator.hosts().is_empty() {
        stopping.await?;
    } else {
        let _ = tokio::time::timeout(ENDING, stopping).await;
    }
    Ok(())
}

/// A source or destination, which may also be given as a parameter under one of these names.
fn end(
    parameters: &mut Map<String, Value>,
    given: Option<String>,
    names: &[&str],
) -> Result<Option<String>> {
    let mut given = given;
    for name in names {
        let Some(value) = parameters.remove(*name) else { continue };
        let Value::String(url) = value else {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("'--{name}' must be a path or URL, not {value}"),
            ));
        };
        if given.replace(url).is_some() {
            return Err(Error::new(
                ErrorKind::Usage,
                format!("'--{name}' names what was given already"),
            ));
        }
    }
    Ok(given)
}

/// The sources, where several were given: an accelerator without a destination takes all words for
/// sources.
fn sources(
    info: &AcceleratorInfo,
    src: &Option<String>,
    dst: &Option<String>,
    more: Vec<String>,
) -> Result<Vec<String>> {
    if info.dst == Need::None && info.src != Need::None {
        let (Some(src), Some(dst)) = (src, dst) else { return Ok(Vec::new()) };
        return Ok([src.clone(), dst.clone()].into_iter().chain(more).collect());
    }
    match more.first() {
        None => Ok(more),
        Some(word) => Err(Error::new(
            ErrorKind::Usage,
            format!("{} has one source and one destination", info.name),
        )
        .operation(format!("take '{word}'"))
        .hint(format!("for many files: apyfal map {} SOURCE DIRECTORY", info.name))),
    }
}

/// What a job reads and writes.
#[derive(Default)]
struct Ends {
    src: Option<String>,
    dst: Option<String>,
    /// Whether the destination is standard output because that seems to be meant, for an accelerator
    /// that can do without.
    is_supposed: bool,
}

/// The source and destination, with the standard streams where they are what is meant.
fn ends(
    info: &AcceleratorInfo,
    src: Option<String>,
    dst: Option<String>,
    wants_json: bool,
    may_read_stdin: bool,
) -> Result<Ends> {
    // An accelerator without a source has its destination first: `run trng random.bin`.
    let (src, dst) = match (info.src, dst) {
        (Need::None, None) => (None, src),
        (_, dst) => (src, dst),
    };
    let is_input = may_read_stdin
        && match info.src {
            Need::None => false,
            Need::Optional => is_piped(&stdin()),
            Need::Required => !stdin().is_terminal(),
        };
    let is_output = match info.dst {
        Need::None => false,
        // Its report is what is asked for.
        Need::Optional => is_piped(&stdout()) && !wants_json,
        Need::Required => !stdout().is_terminal(),
    };
    let is_supposed = dst.is_none() && info.dst == Need::Optional && is_output;
    let src = src.or_else(|| is_input.then(|| "-".to_owned()));
    let dst = dst.or_else(|| is_output.then(|| "-".to_owned()));
    if info.dst == Need::Required && dst.is_none() {
        return Err(Error::new(ErrorKind::Usage, format!("{} needs a destination", info.name))
            .hint("name a file or URL, or '-' for standard output"));
    }
    Ok(Ends { src, dst, is_supposed })
}

/// Whether a stream is a file or comes from another program: neither a terminal nor `/dev/null`.
fn is_piped(stream: &impl AsFd) -> bool {
    use rustix::fs::{FileType, fstat};
    let kind = fstat(stream).map(|found| FileType::from_raw_mode(found.st_mode));
    matches!(kind, Ok(FileType::RegularFile | FileType::Fifo | FileType::Socket))
}
