//! `apyfal host status`: how a host is.

use apyfal::{Machine, Remote, RemoteOptions, Result};
use apyfal_api::v2::Lease;
use apyfal_server::FirstContact;
use clap::Args;
use serde_json::{Value, json};

use crate::commands::{Context, HostArguments};
use crate::here;
use crate::printer::seconds;

/// Show how a host is: its version, accelerators, and how long it lives on.
///
/// Without one that is named it is the one on this machine.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The host, as --host_ip names it.
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
    let is_here = !host.names_a_host();
    let machine = Machine::default();
    if is_here && !context.printer.json() {
        let is = if machine.is_marked() { "is" } else { "is not" };
        context.printer.note(&format!("this machine {is} made a host"));
    }
    if is_here && waits(arguments.config.as_deref(), context).await? {
        return context.printer.result("it waits for its first contact");
    }
    let hosts = target(arguments.config.as_deref(), host, context).await?;
    for options in hosts {
        let host = Remote::new(options)?;
        let about = context.cancel.or_cancelled(host.host()).await?;
        if context.printer.json() {
            let mut told = json!(about);
            told["url"] = Value::String(host.url().to_owned());
            context.printer.result(&format!("{told:#}"))?;
            continue;
        }
        let mut lines = vec![
            format!("{}: version {}, up for {}", host.url(), about.version, seconds(about.uptime)),
            format!("accelerators: {}", about.accelerators.join(", ")),
        ];
        if let Some(name) = &about.default_accelerator {
            lines.push(format!("default accelerator: {name}"));
        }
        lines.push(match &about.lease {
            None => "lease: it lives for ever".to_owned(),
            Some(lease) => describe(lease),
        });
        context.printer.result(&lines.join("\n"))?;
    }
    Ok(())
}

/// Whether the host of this machine serves, and nobody contacted it yet.
async fn waits(config: Option<&str>, context: &Context<'_>) -> Result<bool> {
    let configuration = context.configuration(config).await?;
    if !apyfal::configuration::hosts(&configuration, context.surroundings.home())?.is_empty() {
        return Ok(false);
    }
    let own = here::data_dir(None, &configuration, context.surroundings.home())?;
    Ok(FirstContact::is_awaited(&own)
        && here::find(&own).is_ok_and(|host| super::serving::answers(&host.url)))
}

/// The hosts that are meant: those that are named, else the one of this machine.
pub(super) async fn target(
    config: Option<&str>,
    host: HostArguments,
    context: &Context<'_>,
) -> Result<Vec<RemoteOptions>> {
    let configuration = context.configuration_with(config, host).await?;
    let home = context.surroundings.home();
    let hosts = apyfal::configuration::hosts(&configuration, home)?;
    if !hosts.is_empty() {
        return Ok(hosts);
    }
    let own = here::data_dir(None, &configuration, home)?;
    match here::find(&own) {
        // The service of this machine has its directory elsewhere.
        Err(error) => match here::find(&Machine::default().data_dir()) {
            Ok(options) => Ok(vec![options]),
            Err(_) => Err(error),
        },
        found => Ok(vec![found?]),
    }
}

fn describe(lease: &Lease) -> String {
    let mut parts = Vec::new();
    if let (Some(left), Some(limit)) = (lease.idle_left, lease.idle_timeout) {
        parts.push(format!(
            "ends in {} unless somebody uses it (idle_timeout {})",
            seconds(left),
            seconds(limit)
        ));
    }
    if let (Some(left), Some(limit)) = (lease.life_left, lease.max_lifetime) {
        parts.push(format!(
            "ends in {} in any case (max_lifetime {})",
            seconds(left),
            seconds(limit)
        ));
    }
    format!("lease: {}", parts.join("; "))
}
