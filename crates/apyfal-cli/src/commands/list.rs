//! `apyfal list`: what is open.

use apyfal::Result;
use apyfal::names::Record;
use clap::Args;
use serde_json::{Value, json};

use crate::commands::Context;
use crate::table::table;

/// List the names of accelerators that were created or started and not stopped yet.
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
    if context.printer.json() {
        let names: Vec<_> = names.iter().map(as_json).collect();
        return context.printer.result(&format!("{:#}", json!({"names": names})));
    }
    if names.is_empty() {
        context.printer.note("nothing is open");
        return Ok(());
    }
    let rows = names.into_iter().map(|Open { name, record, hosts }| {
        let hosts = if hosts.is_empty() { "-".to_owned() } else { hosts.join(", ") };
        vec![name, record.accelerator.clone(), state(&record).to_owned(), hosts]
    });
    context.printer.result(&table(&["NAME", "ACCELERATOR", "STATE", "HOST"], rows.collect()))
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
