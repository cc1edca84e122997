//! `apyfal host`: know hosts by a name, look at them, let them live longer, make this machine one.

mod add;
mod changes;
mod extend;
mod install;
mod list;
mod remove;
pub(crate) mod serving;
mod status;
mod token;
mod uninstall;

pub(crate) use add::kept;

use std::path::PathBuf;

use apyfal::{Error, KnownHost, Machine, Result};
use clap::{Args, Subcommand};

use crate::commands::Context;

/// Know hosts by a name, see how they are, let them live longer; make this machine one.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Add(add::Arguments),
    List(list::Arguments),
    Remove(remove::Arguments),
    Install(install::Arguments),
    Status(status::Arguments),
    Extend(extend::Arguments),
    Token(token::Arguments),
    Uninstall(uninstall::Arguments),
}

/// Which machine is meant.
#[derive(Args, Debug)]
struct Root {
    /// The root directory of the machine, to prepare one that is not running.
    #[arg(long, default_value = "/", value_name = "DIR")]
    root: PathBuf,
}

impl Root {
    fn machine(&self) -> Machine {
        Machine::at(&self.root)
    }

    /// Whether it is the machine that this runs on.
    fn is_here(&self) -> bool {
        self.root.as_os_str() == "/"
    }
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    match arguments.command {
        Command::Add(arguments) => add::run(arguments, context).await,
        Command::List(arguments) => list::run(arguments, context),
        Command::Remove(arguments) => remove::run(&arguments, context),
        Command::Install(arguments) => install::run(arguments, context).await,
        Command::Status(arguments) => status::run(arguments, context).await,
        Command::Extend(arguments) => extend::run(arguments, context).await,
        Command::Token(arguments) => token::run(arguments, context).await,
        Command::Uninstall(arguments) => uninstall::run(&arguments, context).await,
    }
}

/// The names of the accelerators that are on a host.
fn users(host: &KnownHost, context: &Context<'_>) -> Result<Vec<String>> {
    let known = context.known_hosts()?;
    let is_it = |text: &str| {
        known.find(text).is_ok_and(|found| found.is_some_and(|found| found.name == host.name))
    };
    let names = context
        .names
        .list()?
        .into_iter()
        .filter(|(_, record)| record.as_ref().is_ok_and(|record| record.hosts().any(is_it)));
    Ok(names.map(|(name, _)| name).collect())
}

/// Has what this process makes be readable for all, whatever the umask that it was started with: the
/// service is another user. What is private says so itself.
pub(crate) fn for_all_users() {
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
}

/// Runs systemctl, which must succeed.
pub(crate) async fn systemctl(words: &[&str]) -> Result<()> {
    let doing = || format!("run 'systemctl {}'", words.join(" "));
    let output = tokio::process::Command::new("systemctl").args(words).output().await;
    let output = output.map_err(|error| {
        apyfal_machine::not_started("systemctl".as_ref(), error).operation(doing())
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().last().unwrap_or("it failed").to_owned();
    Err(Error::new(apyfal::ErrorKind::Engine, why)
        .operation(doing())
        .hint("'journalctl -u apyfal' tells more"))
}
