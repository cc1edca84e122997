//! `apyfal create`: remember an accelerator by a name.

use std::path::absolute;

use apyfal::{Error, ErrorKind, Location, Registry, Result};
use clap::Args;
use serde_json::Value;

use crate::commands::{Context, Name};
use crate::names::Record;

/// Remember an accelerator and its settings by a name, for start, process and stop.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(flatten)]
    name: Name,
    /// The accelerator.
    #[arg(long, short)]
    accelerator: String,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &mut Context<'_>) -> Result<()> {
    let name = arguments.name.name;
    let host = context.take_parameters().literal();
    if let Some(key) = ["host_ip", "host_type", "instance_id"]
        .iter()
        .find(|key| host.get(**key).is_some_and(|value| !value.is_null() && !is_localhost(value)))
    {
        return Err(Error::new(ErrorKind::Usage, "this version runs accelerators here only")
            .operation(format!("use '--{key}'"))
            .hint("leave it out to run on this machine"));
    }
    let config = arguments.config.map(|config| remembered(&config)).transpose()?;
    let configuration = context.configuration(config.as_deref()).await?;
    let registry: Registry = apyfal::configuration::registry(&configuration)?;
    let accelerator = registry.find(&arguments.accelerator)?.info().name.to_string();

    let _lock = context.names.lock(&name, &context.cancel).await?;
    // A name stands for one accelerator: an earlier one ends.
    match context.names.read(&name) {
        Ok(Some(earlier)) => super::stop::replace(context, &name, &earlier).await,
        Ok(None) => {}
        Err(error) => context.printer.note(&format!("apyfal: warning: {error}")),
    }
    context.names.forget(&name)?;
    context.names.write(&name, &Record { accelerator, config, host, session: None })
}

fn is_localhost(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.eq_ignore_ascii_case("localhost"))
}

/// A path that still means the same in another directory.
fn remembered(config: &str) -> Result<String> {
    if Location::parse(config)?.is_local() && !config.contains("://") {
        return Ok(absolute(config)?.to_string_lossy().into_owned());
    }
    Ok(config.to_owned())
}
