//! What an accelerator needs before it can be used on this machine: its package, which the catalog
//! knows.

use apyfal::catalog::{self, Artifact};
use apyfal::package::{Outcome, PublicKey};
use apyfal::{Configuration, Error, ErrorKind, Location, Machine, Result};

use crate::commands::{Context, install, requirements};

/// Installs the package of an accelerator that is not here, where the catalog has one.
///
/// # Errors
/// The catalog cannot be read or does not know the accelerator, or its package cannot be installed.
pub(crate) async fn provide(
    accelerator: &str,
    configuration: &Configuration,
    context: &Context<'_>,
) -> Result<()> {
    let registry = context.surroundings.registry(configuration)?;
    if !registry.find(accelerator).is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        return Ok(());
    }
    let found = catalog::find(None, configuration, &context.surroundings.environment);
    let found = context.cancel.or_cancelled(found).await?;
    if found.is_built_in() {
        // It has nothing that is not here.
        return Ok(());
    }
    requirements::tell_age(context, &found);
    let (name, entry) = found.catalog.accelerator(accelerator)?;
    let Some(package) = &entry.package else {
        return Err(Error::new(ErrorKind::NotFound, "the catalog names no package of it")
            .operation(format!("use '{name}' on this machine"))
            .context("catalog", found.origin));
    };
    let mut options = install::options(context, configuration)?;
    if Machine::default().is_marked() && !rustix::process::geteuid().is_root() {
        return as_root(name, package, &options.keys).await;
    }
    options.name = Some(name.to_owned());
    options.sha256 = Some(package.sha256.parse()?);
    let store = install::store(context)?;
    let installed = install::install(&package.url, options, &store, configuration, context).await?;
    if let Outcome::Installed(installed) = installed {
        let record = &installed.record;
        context.printer.note(&format!("installed {} {}", record.name, record.version));
        install::take_up(&store, context).await?;
    }
    Ok(())
}

/// Has root install a package for all of this host: without a password, as on machines in clouds.
async fn as_root(name: &str, package: &Artifact, keys: &[PublicKey]) -> Result<()> {
    let location = Location::parse(&package.url)?;
    let doing = || format!("install '{location}' for all of this host");
    let by_hand = format!("as root: apyfal install --sha256 {} '{location}'", package.sha256);
    if location.has_secret() {
        let why = "only root may, and its address holds a secret that all would see in a command";
        return Err(Error::new(ErrorKind::Security, why).operation(doing()).hint(by_hand));
    }
    let own = std::env::current_exe().map_err(|error| Error::from(error).operation(doing()))?;
    let output = tokio::process::Command::new("sudo")
        .arg("-n")
        .arg(own)
        .args(["install", "--name", name, "--sha256", &package.sha256])
        // Root has a configuration of its own.
        .args(keys.iter().map(|key| format!("--public_key={key}")))
        .args(["--", &package.url])
        .output()
        .await
        .map_err(|error| {
            apyfal_machine::not_started("sudo".as_ref(), error)
                .operation(doing())
                .hint(by_hand.clone())
        })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let why = said.lines().next().unwrap_or("sudo failed").to_owned();
    Err(Error::new(ErrorKind::Security, why).operation(doing()).hint(by_hand))
}
