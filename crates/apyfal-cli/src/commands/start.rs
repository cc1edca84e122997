//! `apyfal start`: configure the accelerator of a name.

use std::sync::Arc;

use apyfal::names::Record;
use apyfal::{Error, Progress, Result};
use clap::Args;
use serde_json::Value;

use crate::arguments::{OnEngine, Set};
use crate::commands::calls::Given;
use crate::commands::troubles::Troubles;
use crate::commands::{Context, Name, one_takes_stdin};
use crate::progress;

/// Start the accelerator of a name; once started it can process until it is stopped.
///
/// Every further `--key value` is a parameter of the accelerator.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// The accelerator, where the name was not created before.
    #[arg(long, short)]
    accelerator: Option<String>,
    /// What the accelerator is started with, such as the word list of hyperfire.
    #[arg(long, short = 'i', value_name = "URL", alias = "datafile")]
    src: Option<String>,
    /// Full parameters as JSON text, or the path or URL of a JSON file.
    #[arg(long, short = 'j', value_name = "JSON")]
    parameters: Option<String>,
    #[command(flatten)]
    set: Set,
    #[command(flatten)]
    on: OnEngine,
    /// Reset the accelerator's logic.
    #[arg(long)]
    reset: bool,
    /// Load the image of a device anew, also where it is there already.
    #[arg(long)]
    reload: bool,
    /// Print the full report.
    #[arg(long = "info_dict", alias = "info-dict")]
    info_dict: bool,
    /// What becomes of a host that is made for it, once it is stopped: term, stop or keep.
    #[arg(long = "stop_mode", alias = "stop-mode", value_name = "MODE")]
    stop_mode: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let from_stdin = [
        ("the parameters", arguments.parameters.as_deref()),
        ("the source", arguments.src.as_deref()),
    ];
    one_takes_stdin(&from_stdin)?;
    let name = arguments.name.name;
    let _lock = context.names.lock(&name, &context.cancel).await?;
    let earlier = match &arguments.accelerator {
        Some(_) => context.names.read(&name)?.unwrap_or_default(),
        None => context.record(&name)?,
    };
    let mut record = Record { session: None, ..earlier.clone() };
    if let Some(accelerator) = arguments.accelerator {
        record.accelerator = accelerator;
        if earlier == Record::default() {
            record.config = super::create::found_config(context)?;
        }
    }
    if let Some(mode) = arguments.stop_mode {
        record.host.insert("stop_mode".to_owned(), Value::String(mode));
    }
    let accelerator = context.accelerator(&name, &record).await?;
    if accelerator.has_host_of_its_own() && context.names.read(&name)?.is_none() {
        // Whoever is to end the host finds it by its name.
        context.names.write(&name, &record)?;
    }
    let parameters = context.take_parameters();
    let context = &*context;
    // Nothing of what a start that fails has made is in use.
    let undone = async |error: Error| {
        let undone = accelerator.undo_start(earlier.session.is_some()).await;
        context.tell_of_host(&accelerator);
        super::run::with_left(Err(error), undone)
    };
    let info = match accelerator.learn(&context.cancel).await {
        Err(error) => return undone(error).await,
        Ok(info) => info,
    };
    let keywords = match parameters.and(arguments.set).of(info) {
        Err(error) => return undone(error).await,
        Ok(keywords) => keywords,
    };
    record.accelerator = info.name.to_string();
    let progress = Arc::new(Progress::default());
    let given = Given {
        keywords,
        full: arguments.parameters.map(Value::from),
        engine: arguments.on.engine,
        src: arguments.src,
        dst: None,
    };
    let mut call = given.call(context).progress(progress.clone());
    if arguments.reset {
        call = call.reset(true);
    }
    if arguments.reload {
        call = call.reload(true);
    }
    let title = format!("start {}", info.name);
    let started = accelerator.start(call);
    let mut troubles = Troubles::of(&accelerator);
    let started = progress::shown(context.printer, &title, &progress, &mut troubles, started).await;
    context.tell_of_host(&accelerator);
    let report = match started {
        Err(error) => return undone(error).await,
        Ok(report) => report,
    };
    troubles.tell(context.printer);
    context.printer.warnings(&report);
    record.session = accelerator.session();
    context.names.write(&name, &record)?;
    // Only now: a start that fails, or is killed, leaves the earlier session as it was.
    super::stop::replace(context, &name, &earlier).await;
    if accelerator.hosts().is_empty() {
        super::host::serving::ensure(context).await?;
    }
    if arguments.info_dict || context.printer.json() {
        return context.printer.result(&format!("{:#}", report.to_json()));
    }
    match super::place(&accelerator) {
        Some(place) => {
            context.printer.note(&place);
            if let Some(login) = accelerator.host_login() {
                context.printer.note(&format!("SSH key pair: {}", login.key_pair));
            }
        }
        None => context.printer.note(&format!("{} is ready on this machine", report.accelerator)),
    }
    Ok(())
}
