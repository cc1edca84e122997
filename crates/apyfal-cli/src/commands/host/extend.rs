//! `apyfal host extend`: let a host live longer.

use std::time::Duration;

use apyfal::{Remote, Result};
use clap::Args;
use serde_json::json;

use super::status::target;
use crate::commands::{Context, HostArguments};
use crate::printer::seconds;
use crate::quantity::duration_option;

/// Let a host live for so long from now, at least. A lease is never made shorter.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// How long: 2h.
    #[arg(value_name = "TIME", value_parser = duration_option)]
    time: Duration,
    /// The host, as --host_ip names it; the one on this machine where none is named.
    #[arg(value_name = "HOST", conflicts_with = "host_ip")]
    target: Option<String>,
    /// The configuration file.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let host = arguments.host.or_at(arguments.target);
    let hosts = target(arguments.config.as_deref(), host, context).await?;
    for options in hosts {
        let host = Remote::new(options)?;
        let lease = context.cancel.or_cancelled(host.extend_lease(arguments.time)).await?;
        if context.printer.json() {
            let told = json!({"url": host.url(), "lease": lease});
            context.printer.result(&format!("{told:#}"))?;
            continue;
        }
        let ends = lease.left().map(seconds).unwrap_or_default();
        context.printer.result(&format!("{} lives for {ends}", host.url()))?;
    }
    Ok(())
}
