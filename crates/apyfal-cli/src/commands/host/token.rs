//! `apyfal host token`: tokens of a host for others, by name.

use apyfal::{Error, ErrorKind, Remote, RemoteOptions, Result};
use apyfal_core::unix_time;
use apyfal_tls::Trust;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::status::target;
use crate::commands::{Context, HostArguments};
use crate::printer::seconds;
use crate::table::table;

/// Make, list and revoke tokens by which others use a host.
///
/// Each has a name, which says whose a job is: who has one shares the host fairly with the others,
/// however many sessions and connections that one has. It is for who has the host's own token, or
/// runs the host. Without a host that is named it is the one on this machine.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make a token, and print it this one time
    Add {
        /// What to call it: 1 to 64 letters, digits, '-', '_' and '.'
        name: String,
        #[command(flatten)]
        of: Of,
    },
    /// List the names of the tokens
    List {
        #[command(flatten)]
        of: Of,
    },
    /// Revoke a token: from now on the host serves nobody by it
    Remove {
        /// What it is called
        name: String,
        #[command(flatten)]
        of: Of,
    },
}

/// The host that is meant.
#[derive(Args, Debug)]
struct Of {
    /// The host, as --host_ip names it
    #[arg(value_name = "HOST", conflicts_with = "host_ip")]
    target: Option<String>,
    /// The configuration file
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
    #[command(flatten)]
    host: HostArguments,
}

impl Of {
    async fn options(self, context: &Context<'_>) -> Result<RemoteOptions> {
        let host = self.host.or_at(self.target);
        let mut hosts = target(self.config.as_deref(), host, context).await?;
        match (hosts.pop(), hosts.is_empty()) {
            (Some(host), true) => Ok(host),
            _ => Err(Error::new(ErrorKind::Usage, "several hosts are configured")
                .operation("manage the tokens of a host")
                .hint("each has tokens of its own: name one")),
        }
    }
}

pub(super) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    match arguments.command {
        Command::Add { name, of } => add(&name, of.options(context).await?, context).await,
        Command::List { of } => list(of.options(context).await?, context).await,
        Command::Remove { name, of } => remove(&name, of.options(context).await?, context).await,
    }
}

async fn add(name: &str, options: RemoteOptions, context: &Context<'_>) -> Result<()> {
    let pinned = match &options.trust {
        Some(Trust::Pinned(fingerprint)) => Some(fingerprint.to_string()),
        _ => None,
    };
    let host = Remote::new(options)?;
    let made = context.cancel.or_cancelled(host.add_token(name)).await?;
    if context.printer.json() {
        let mut told = json!(made);
        told["url"] = host.url().into();
        told["fingerprint"] = pinned.map_or(Value::Null, Value::String);
        return context.printer.result(&format!("{told:#}"));
    }
    let pinned = pinned.map(|pinned| format!(" --fingerprint {pinned}")).unwrap_or_default();
    context.printer.note(&format!(
        "this is the token '{name}', which is not shown again; with it: \
         apyfal host add HOST {} --token_file FILE{pinned}",
        host.url()
    ));
    context.printer.result(&made.token)
}

async fn list(options: RemoteOptions, context: &Context<'_>) -> Result<()> {
    let host = Remote::new(options)?;
    let tokens = context.cancel.or_cancelled(host.tokens()).await?;
    if context.printer.json() {
        let told = json!({"url": host.url(), "tokens": tokens});
        return context.printer.result(&format!("{told:#}"));
    }
    if tokens.is_empty() {
        let text =
            format!("{} has no token beside its own: apyfal host token add NAME", host.url());
        context.printer.note(&text);
        return Ok(());
    }
    let now = unix_time().as_secs_f64();
    let rows = tokens.into_iter().map(|token| {
        let age = (now - token.created).max(0.0);
        vec![token.name, format!("{} ago", seconds(age))]
    });
    context.printer.result(&table(&["TOKEN", "MADE"], rows.collect()))
}

async fn remove(name: &str, options: RemoteOptions, context: &Context<'_>) -> Result<()> {
    let host = Remote::new(options)?;
    let removed = context.cancel.or_cancelled(host.remove_token(name)).await?;
    if context.printer.json() {
        return context.printer.result(&format!("{:#}", json!(removed)));
    }
    context.printer.note(&format!("the token '{name}' of {} serves nobody any more", host.url()));
    Ok(())
}
