//! `apyfal install`: make a package an accelerator of this machine.

use std::sync::Arc;

use apyfal::package::{self, Digest, InstallOptions, Installed, Outcome, Store, install_from};
use apyfal::{Configuration, Error, ErrorKind, Location, Machine, Progress, Result};
use clap::Args;
use serde_json::json;

use crate::commands::troubles::Troubles;
use crate::commands::{Context, host};
use crate::{here, progress};

/// Install a package, so that its accelerator can be used like the built-in ones.
///
/// Its self-test runs first. An upgrade keeps the version before, and changes nothing where the
/// self-test of the new one fails.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// The package: a path, or any URL that a source may have.
    #[arg(value_name = "PACKAGE", required_unless_present = "previous")]
    package: Option<String>,
    /// The accelerator that the package must be.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// The SHA-256 that the package must have, as 'apyfal pack' printed it.
    #[arg(long, value_name = "SHA256")]
    sha256: Option<Digest>,
    /// Refuse what this key of minisign did not sign: the key, or its file. May be given several
    /// times; the signature is PACKAGE.minisig.
    #[arg(long = "public_key", alias = "public-key", value_name = "KEY")]
    public_key: Vec<String>,
    /// Install it without its self-test.
    #[arg(long = "skip_test", alias = "skip-test")]
    skip_test: bool,
    /// Go back to the version before of this accelerator.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["package", "name", "sha256", "public_key", "skip_test"])]
    previous: Option<String>,
    /// The configuration file, which may declare storages and trusted keys.
    #[arg(long, short, value_name = "FILE")]
    config: Option<String>,
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let store = store(context)?;
    if let Some(name) = arguments.previous {
        let installed = store.roll_back(&name, &context.cancel)?;
        say(context, "back at", &installed)?;
        return take_up(&store, context).await;
    }
    let configuration = context.configuration(arguments.config.as_deref()).await?;
    let mut options = options(context, &configuration)?;
    options.name = arguments.name;
    options.sha256 = arguments.sha256;
    options.test = !arguments.skip_test;
    let home = context.surroundings.home();
    for key in &arguments.public_key {
        options.keys.push(package::read_key(key, home)?);
    }
    let url = arguments.package.unwrap_or_default();
    match install(&url, options, &store, &configuration, context).await? {
        Outcome::Installed(installed) => {
            say(context, "installed", &installed)?;
            take_up(&store, context).await
        }
        Outcome::Unchanged(installed) => say(context, "already installed:", &installed),
    }
}

/// Where this user installs packages: on a host root does so for the machine, all others for
/// themselves.
pub(crate) fn store(context: &Context<'_>) -> Result<Store> {
    let machine = Machine::default();
    if machine.is_marked() && rustix::process::geteuid().is_root() {
        host::for_all_users();
        return Ok(Store::new(machine.packages()));
    }
    context.surroundings.home().map(package::store).ok_or_else(|| {
        Error::new(ErrorKind::Configuration, "there is no home directory")
            .operation("find a place for packages")
            .hint("set the variable HOME")
    })
}

/// Has the host of this machine take up what changed for all its users.
pub(crate) async fn take_up(store: &Store, context: &Context<'_>) -> Result<()> {
    let machine = Machine::default();
    if store.root() != machine.packages() {
        return Ok(());
    }
    if !machine.has_systemd() {
        if here::find(&machine.data_dir()).is_ok() {
            context.printer.note("the host of this machine takes it up when it is started again");
        }
        return Ok(());
    }
    // It lets its jobs end first, for which nobody waits. One that was stopped stays so.
    host::systemctl(&["try-restart", "--no-block", "apyfal.service"]).await?;
    context.printer.note("the host of this machine takes it up once its jobs have ended");
    Ok(())
}

/// What the configuration and the surroundings say of installing.
pub(crate) fn options(
    context: &Context<'_>,
    configuration: &Configuration,
) -> Result<InstallOptions> {
    let path = context.variable("PATH").unwrap_or_default();
    let machine = package::MachineFacts::here(path, context.surroundings.devices().kinds());
    let mut options = InstallOptions::new(machine);
    options.keys = package::trusted_keys(configuration, context.surroundings.home())?;
    Ok(options)
}

/// Installs what a URL names, shown while it comes.
pub(crate) async fn install(
    url: &str,
    options: InstallOptions,
    store: &Store,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<Outcome> {
    let storage = context.surroundings.storage(configuration)?;
    let progress = Arc::new(Progress::default());
    let work = install_from(url, options, store, &storage, &context.cancel, &progress);
    let title = format!("install {}", Location::parse(url)?);
    progress::shown(context.printer, &title, &progress, &mut Troubles::default(), work).await
}

fn say(context: &Context<'_>, what: &str, installed: &Installed) -> Result<()> {
    let record = &installed.record;
    if context.printer.json() {
        let previous = installed.previous.as_ref().map(|previous| previous.version.to_string());
        let report = json!({
            "name": record.name,
            "version": record.version.to_string(),
            "sha256": record.digest.to_string(),
            "source": record.source,
            "previous": previous,
        });
        return context.printer.result(&format!("{report:#}"));
    }
    let version = match &installed.previous {
        Some(previous) => record.version_beside(previous),
        None => record.version.to_string(),
    };
    context.printer.note(&format!("{what} {} {version}", record.name));
    if installed.manifest.is_sudo() {
        context.printer.note("its program runs through sudo, with all rights");
    }
    if let Some(previous) = &installed.previous {
        context.printer.note(&format!(
            "{} stays: 'apyfal install --previous {}' goes to it",
            previous.version_beside(record),
            record.name
        ));
    }
    Ok(())
}
