//! `apyfal catalog account`: who may ask a catalog server.

use std::io::Read;
use std::time::{Duration, UNIX_EPOCH};

use apyfal::{Error, ErrorKind, Result};
use apyfal_catalog::server::Accounts;
use apyfal_core::Secret;
use clap::{Args, Subcommand};
use serde_json::json;

use super::AccountsFile;
use crate::commands::Context;
use crate::table::table;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    Add(Add),
    List(List),
    Remove(Remove),
}

/// Add an account. Its secret is made, and shown once, unless one is given on standard input.
#[derive(Args, Debug)]
pub(super) struct Add {
    /// Its name: the client_id of its clients.
    client_id: String,
    /// Read the secret from standard input, as for an account of an earlier server.
    #[arg(long = "secret_stdin", alias = "secret-stdin")]
    secret_stdin: bool,
    #[command(flatten)]
    file: AccountsFile,
}

/// List the accounts.
#[derive(Args, Debug)]
pub(super) struct List {
    #[command(flatten)]
    file: AccountsFile,
}

/// Remove an account. What it was given ends at once.
#[derive(Args, Debug)]
pub(super) struct Remove {
    /// Its name.
    client_id: String,
    #[command(flatten)]
    file: AccountsFile,
}

pub(super) fn run(command: Command, context: &Context<'_>) -> Result<()> {
    match command {
        Command::Add(Add { client_id, secret_stdin, file }) => {
            let given = secret_stdin.then(from_stdin).transpose()?;
            let secret = match &given {
                Some(secret) => secret.clone(),
                None => apyfal_tls::token::generate()?,
            };
            Accounts::add(&file.accounts, &client_id, &secret)?;
            if given.is_some() {
                context.printer.note(&format!("added '{client_id}'"));
                return Ok(());
            }
            // The section to paste on the client. It is shown here and nowhere else.
            let text = format!("client_id = {client_id}\nsecret_id = {}", secret.expose());
            context.printer.note("for section [accelize] of its accelerator.conf:");
            context.printer.result(&text)
        }
        Command::List(List { file }) => {
            let accounts = Accounts::load(&file.accounts)?;
            if context.printer.json() {
                let list: Vec<_> = accounts
                    .iter()
                    .map(|account| json!({"client_id": account.client_id, "created": account.created}))
                    .collect();
                return context.printer.result(&format!("{:#}", json!(list)));
            }
            let rows = accounts.iter().map(|account| {
                let made = UNIX_EPOCH + Duration::from_secs(account.created);
                let age = match made.elapsed().unwrap_or_default().as_secs() / 86_400 {
                    0 => "today".to_owned(),
                    days => format!("{days} days ago"),
                };
                vec![account.client_id.clone(), age]
            });
            context.printer.result(&table(&["CLIENT_ID", "MADE"], rows.collect()))
        }
        Command::Remove(Remove { client_id, file }) => Accounts::remove(&file.accounts, &client_id),
    }
}

fn from_stdin() -> Result<Secret> {
    let mut text = String::new();
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| Error::from(error).operation("read the secret"))?;
    // Some shells put a mark before what they pipe.
    let text = text.trim_start_matches('\u{feff}').trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        return Err(
            Error::new(ErrorKind::Usage, "standard input is empty").operation("read the secret")
        );
    }
    Ok(Secret::new(text))
}
