//! `apyfal list`: what is open.

use apyfal::Result;
use apyfal::hosts::Listed;
use apyfal::names::Record;
use apyfal_core::{one_line, unix_time};
use clap::Args;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::printer::seconds;
use crate::table::table;

/// List the names of accelerators that were created or started and not stopped yet, and the hosts
/// that were made and have not ended.
#[derive(Args, Debug)]
pub(crate) struct Arguments {}

/// A name, what is remembered of it, and the hosts that it is on.
struct Open {
    name: String,
    record: Record,
    hosts: Vec<String>,
}

pub(crate) async fn run(_arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let mut names = Vec::new();
    for (name, record) in context.names.list()? {
        match record {
            Ok(record) => {
                let hosts = hosts(&record, context).await;
                names.push(Open { name, record, hosts });
            }
            Err(error) => context.printer.warning(error),
        }
    }
    let hosts = made(context).await?;
    if context.printer.json() {
        let names: Vec<_> = names.iter().map(as_json).collect();
        let hosts: Vec<_> = hosts.iter().map(host_as_json).collect();
        let told = json!({"names": names, "hosts": hosts});
        return context.printer.result(&format!("{told:#}"));
    }
    if names.is_empty() && hosts.is_empty() {
        context.printer.note("nothing is open");
        return Ok(());
    }
    if !hosts.is_empty() {
        let heads = ["MADE HOST", "FOR", "STATE", "AGE", "ENDS IN", "ADDRESS"];
        context.printer.result(&table(&heads, hosts.iter().map(host_row).collect()))?;
    }
    if names.is_empty() {
        return Ok(());
    }
    let rows = names.into_iter().map(|Open { name, record, hosts }| {
        let hosts = if hosts.is_empty() { "-".to_owned() } else { hosts.join(", ") };
        vec![
            one_line(name, usize::MAX),
            record.accelerator.clone(),
            state(&record).to_owned(),
            hosts,
        ]
    });
    context.printer.result(&table(&["NAME", "ACCELERATOR", "STATE", "HOST"], rows.collect()))
}

/// The hosts that were made. What their providers do not tell is worth a warning.
async fn made(context: &Context<'_>) -> Result<Vec<Listed>> {
    let Some(hosts) = context.made_hosts(None).await? else { return Ok(Vec::new()) };
    let (listed, errors) = context.cancel.or_cancelled(hosts.list()).await?;
    errors.into_iter().for_each(|error| context.printer.warning(error));
    Ok(listed)
}

fn host_row(host: &Listed) -> Vec<String> {
    let state = match host.is_stray {
        true => format!("{}, not remembered", host.state),
        false => host.state.clone(),
    };
    vec![
        host.name.clone(),
        host.used_by.as_ref().map_or_else(|| "-".to_owned(), |name| one_line(name, usize::MAX)),
        state,
        seconds((unix_time().as_secs_f64() - host.asked).max(0.0)),
        host.left.map_or_else(|| "-".to_owned(), seconds),
        host.url.clone().unwrap_or_else(|| "-".to_owned()),
    ]
}

fn host_as_json(host: &Listed) -> Value {
    json!({
        "name": host.name,
        "accelerator": host.accelerator,
        "host_type": host.provider,
        "region": host.region,
        "used_by": host.used_by,
        "instance_id": host.instance,
        "instance_type": host.details.instance_type,
        "image_id": host.details.image,
        "security_group": host.details.security_group,
        "state": host.state,
        "url": host.url,
        "asked": host.asked,
        "ends_in": host.left,
        "stop_mode": host.stop_mode,
        "remembered": !host.is_stray,
    })
}

/// The hosts of a name as they were written: for `create`, else in the configuration.
async fn hosts(record: &Record, context: &Context<'_>) -> Vec<String> {
    let given: Vec<_> = record.hosts().map(str::to_owned).collect();
    if !given.is_empty() {
        return given;
    }
    // What is wrong with it is told by who uses it.
    let configuration =
        apyfal::configuration::load(record.config.as_deref(), &context.surroundings.environment);
    let Ok(configuration) = configuration.await else { return given };
    let hosts = apyfal::configuration::pairings(&configuration).unwrap_or_default();
    hosts.into_iter().map(|host| host.url).collect()
}

fn state(record: &Record) -> &'static str {
    if record.session.is_some() { "started" } else { "created" }
}

fn as_json(open: &Open) -> Value {
    json!({
        "name": open.name,
        "accelerator": open.record.accelerator,
        "state": state(&open.record),
        "hosts": open.hosts,
    })
}
