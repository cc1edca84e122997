//! `apyfal catalog`: keep a catalog and serve it.

mod account;
mod serve;
mod validate;

use std::path::PathBuf;

use apyfal::Result;
use clap::{Args, Subcommand};

use crate::commands::Context;

/// Keep a catalog: check it, serve it to others, say who they are.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Arguments),
    Validate(validate::Arguments),
    /// Who may ask a catalog server.
    #[command(subcommand)]
    Account(account::Command),
}

/// The file of accounts.
#[derive(Args, Debug)]
struct AccountsFile {
    /// The file of accounts.
    #[arg(long, default_value = "accounts", value_name = "FILE")]
    accounts: PathBuf,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    match arguments.command {
        Command::Serve(arguments) => serve::run(arguments, context).await,
        Command::Validate(arguments) => validate::run(&arguments, context),
        Command::Account(command) => account::run(command, context),
    }
}
