//! `apyfal process`: one job of the accelerator of a name.

use std::sync::Arc;

use apyfal::{Error, ErrorKind, Progress, Result};
use clap::Args;
use serde_json::Value;

use crate::arguments::{OnEngine, Set};
use crate::commands::calls::Given;
use crate::commands::troubles::Troubles;
use crate::commands::{Context, Name, is_standard_output, one_takes_stdin, title};
use crate::progress;

/// Run one job on the accelerator of a name that was started before.
///
/// Every further `--key value` is a parameter of the accelerator.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// What to read: a path, '-' or a URL.
    #[arg(long, short = 'i', value_name = "URL", alias = "file_in")]
    src: Option<String>,
    /// Where to write: a path, '-' or a URL.
    #[arg(long, short = 'o', value_name = "URL", alias = "file_out")]
    dst: Option<String>,
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
    /// Print the full report.
    #[arg(long = "info_dict", alias = "info-dict")]
    info_dict: bool,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let from_stdin = [
        ("the parameters", arguments.parameters.as_deref()),
        ("the source", arguments.src.as_deref()),
    ];
    one_takes_stdin(&from_stdin)?;
    let name = arguments.name.name;
    let _lock = context.names.lock_shared(&name, &context.cancel).await?;
    let record = context.record(&name)?;
    if record.session.is_none() {
        return Err(Error::new(ErrorKind::Conflict, format!("'{name}' is not started"))
            .hint(format!("apyfal start --name {name}")));
    }
    let accelerator = context.accelerator(&name, &record).await?;
    let info = context.cancel.or_cancelled(accelerator.info()).await?;
    let progress = Arc::new(Progress::default());
    let data_on_stdout = is_standard_output(arguments.dst.as_deref());
    let title = title(&record.accelerator, arguments.src.as_deref());
    let given = Given {
        keywords: context.take_parameters().and(arguments.set).of(info)?,
        full: arguments.parameters.map(Value::from),
        engine: arguments.on.engine,
        src: arguments.src,
        dst: arguments.dst,
    };
    let call = given.call(context).compare(arguments.compare).progress(progress.clone());
    let work = accelerator.process(call);
    let mut troubles = Troubles::of(&accelerator);
    let processed = progress::shown(context.printer, &title, &progress, &mut troubles, work).await;
    troubles.tell(context.printer);
    let report = processed?;
    if arguments.info_dict && !data_on_stdout {
        return context.printer.result(&format!("{:#}", report.to_json()));
    }
    context.printer.report(&report, data_on_stdout)
}
