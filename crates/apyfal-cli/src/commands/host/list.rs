//! `apyfal host list`: the hosts that are known.

use apyfal::{KnownHost, Result};
use clap::Args;
use serde_json::{Value, json};

use super::users;
use crate::commands::Context;
use crate::table::table;

/// List the hosts that are known, and the names of accelerators that are on them.
#[derive(Args, Debug)]
pub(crate) struct Arguments {}

pub(crate) fn run(_arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let mut hosts = Vec::new();
    for (_, host) in context.known_hosts()?.list()? {
        match host {
            Ok(host) => hosts.push((users(&host, context)?, host)),
            Err(error) => context.printer.warning(error),
        }
    }
    if context.printer.json() {
        let hosts: Vec<_> = hosts.iter().map(|(users, host)| as_json(users, host)).collect();
        return context.printer.result(&format!("{:#}", json!({"hosts": hosts})));
    }
    if hosts.is_empty() {
        context
            .printer
            .note("no host is known: 'apyfal serve' there prints the line to paste here");
        return Ok(());
    }
    let rows =
        hosts.into_iter().map(|(users, host)| vec![host.name, host.pairing.url, users.join(", ")]);
    context.printer.result(&table(&["HOST", "ADDRESS", "ACCELERATORS"], rows.collect()))
}

/// All that is known but the token.
fn as_json(users: &[String], host: &KnownHost) -> Value {
    let pairing = &host.pairing;
    json!({
        "name": host.name,
        "url": pairing.url,
        "has_token": pairing.token.is_some() || pairing.token_file.is_some(),
        "fingerprint": pairing.fingerprint.map(|fingerprint| fingerprint.to_string()),
        "accelerators": users,
    })
}
