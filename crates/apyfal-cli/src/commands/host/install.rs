//! `apyfal host install`: make a machine a host.

use std::fs;
use std::path::{Path, PathBuf};

use apyfal::{Configuration, Error, ErrorKind, Machine, Result};
use apyfal_tls::{Identity, token};
use clap::Args;

use super::changes::{Changes, failed};
use super::{Root, for_all_users, systemctl};
use crate::commands::Context;
use crate::listen::address;
use crate::quantity::duration_option;

const UNIT: &str = include_str!("../../../../../deploy/apyfal.service");
const EVERYWHERE: &str = "0.0.0.0:8000";
const MARKER: &str = "\
# This machine is a host of Apyfal: jobs run here by themselves. 'apyfal host install' wrote this
# file, and 'apyfal host uninstall' removes it.
";

/// Make this machine a host: directories, configuration, token, certificate and service.
///
/// Run again, it changes only what is not as it should be. A configuration that is there stays.
#[derive(Args, Debug)]
pub(crate) struct Arguments {
    /// Where to listen: address:port, or just the address or port; everywhere on port 8000 if unset.
    /// May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,
    /// The accelerator of clients that name none.
    #[arg(long, short, value_name = "NAME")]
    accelerator: Option<String>,
    /// End the machine after so long without jobs and clients: 30m.
    #[arg(long = "idle_timeout", alias = "idle-timeout", value_name = "TIME", value_parser = time)]
    idle_timeout: Option<String>,
    /// End the machine after so long: 12h.
    #[arg(long = "max_lifetime", alias = "max-lifetime", value_name = "TIME", value_parser = time)]
    max_lifetime: Option<String>,
    /// The host's configuration, instead of one made of these options.
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["listen", "accelerator", "idle_timeout", "max_lifetime"])]
    config: Option<PathBuf>,
    /// Do not start the service.
    #[arg(long = "no_start", alias = "no-start")]
    no_start: bool,
    #[command(flatten)]
    root: Root,
}

/// A duration, as it is written down.
fn time(text: &str) -> Result<String, String> {
    duration_option(text).map(|_| text.to_owned())
}

pub(crate) async fn run(arguments: Arguments, context: &Context<'_>) -> Result<()> {
    let machine = arguments.root.machine();
    let changes = set_up(&arguments, &machine, context);
    let mut changes = changes.map_err(|error| match error.kind() {
        ErrorKind::Security if arguments.root.is_here() => {
            error.hint("a machine is made a host by root: sudo apyfal host install")
        }
        _ => error,
    })?;
    let is_served = arguments.root.is_here() && machine.has_systemd();
    if is_served && !arguments.no_start {
        // An earlier run may have left this to this one.
        systemctl(&["daemon-reload"]).await?;
        systemctl(&["enable", "apyfal.service"]).await?;
        if changes.count > 0 {
            systemctl(&["restart", "apyfal.service"]).await?;
            changes.made("started the service");
        } else {
            systemctl(&["start", "apyfal.service"]).await?;
        }
    }
    if changes.count == 0 {
        context.printer.note("nothing to change: this machine is a host");
    }
    let configuration = shown(arguments.root.root.as_path(), &machine.configuration());
    let has_lease = arguments.idle_timeout.is_some() || arguments.max_lifetime.is_some();
    if has_lease && arguments.root.is_here() && !is_served {
        context.printer.warning(
            "without systemd nothing ends this machine when its lease runs out: set \
             shutdown_command in section [serve]",
        );
    }
    if !is_served {
        context.printer.note(&format!("to serve: apyfal serve --config {configuration}"));
    }
    context
        .printer
        .note(&format!("to pair a client: apyfal serve --pair --config {configuration}"));
    Ok(())
}

fn set_up<'a>(
    arguments: &Arguments,
    machine: &Machine,
    context: &'a Context<'a>,
) -> Result<Changes<'a>> {
    let root = &arguments.root.root;
    if !root.is_dir() {
        return Err(Error::new(ErrorKind::NotFound, "there is no such directory")
            .operation(format!("prepare the machine in '{}'", root.display()))
            .hint("--root names the root directory of a machine that is not running"));
    }
    for_all_users();
    let listen = arguments.listen.iter().map(|text| address(text)).collect::<Result<Vec<_>>>()?;
    let configuration = machine.configuration();
    let directory = configuration.parent().unwrap_or(Path::new("/"));
    let mut changes = Changes::begin(directory, context)?;
    for path in [machine.marker(), machine.unit(), machine.binary()] {
        changes.directory(path.parent().unwrap_or(Path::new("/")), 0o755)?;
    }
    changes.directory(&machine.packages(), 0o755)?;
    let data_dir = machine.data_dir();
    changes.directory(data_dir.parent().unwrap_or(Path::new("/")), 0o755)?;
    changes.directory(&data_dir, 0o700)?;
    // Once the service has run it is a link to where only root comes.
    let data_dir =
        fs::canonicalize(&data_dir).map_err(|error| failed(error, "look at", &data_dir))?;
    changes.mode(&data_dir, 0o700)?;
    changes.binary(&machine.binary())?;
    if let Some(given) = &arguments.config {
        let text = fs::read(given).map_err(|error| failed(error, "read", given))?;
        Configuration::parse(&text, &given.display().to_string())?;
        changes.file(&configuration, &text, 0o600)?;
    } else if !configuration.exists() {
        let text = configured(arguments, &listen).write()?;
        changes.file(&configuration, text.as_bytes(), 0o600)?;
    } else {
        changes.mode(&configuration, 0o600)?;
        let wanted = configured(arguments, &listen);
        let found =
            fs::read(&configuration).map_err(|error| failed(error, "read", &configuration))?;
        let found = Configuration::parse(&found, &configuration.display().to_string())?;
        // Nobody who runs it without options means them.
        let given = !arguments.listen.is_empty()
            || arguments.accelerator.is_some()
            || arguments.idle_timeout.is_some()
            || arguments.max_lifetime.is_some();
        if given && wanted.write()? != found.write()? {
            context.printer.note(&format!(
                "{} is there and stays as it is: change it by hand, or give another with --config",
                configuration.display()
            ));
        }
    }
    let is_new = !data_dir.join("token").exists() || !data_dir.join("host.crt").exists();
    token::load_or_generate(&data_dir.join("token"))?;
    Identity::load_or_generate(&data_dir.join("host.crt"), &data_dir.join("host.key"))?;
    if is_new {
        changes.made("made a token and a certificate");
    }
    for (name, mode) in [("token", 0o600), ("host.key", 0o600), ("host.crt", 0o644)] {
        changes.mode(&data_dir.join(name), mode)?;
        changes.owner_of(&data_dir, &data_dir.join(name))?;
    }
    changes.file(&machine.unit(), UNIT.as_bytes(), 0o644)?;
    // Last: what is marked is whole.
    changes.file(&machine.marker(), MARKER.as_bytes(), 0o644)?;
    Ok(changes)
}

fn configured(arguments: &Arguments, listen: &[std::net::SocketAddr]) -> Configuration {
    let mut configuration = Configuration::default();
    let listen: Vec<_> = listen.iter().map(ToString::to_string).collect();
    let listen = if listen.is_empty() { EVERYWHERE.to_owned() } else { listen.join("\n") };
    configuration.set("serve", "listen", Some(&listen));
    configuration.set("serve", "data_dir", Some("/var/lib/apyfal"));
    let Arguments { accelerator, idle_timeout, max_lifetime, .. } = arguments;
    for (key, value) in [
        ("accelerator", accelerator),
        ("idle_timeout", idle_timeout),
        ("max_lifetime", max_lifetime),
    ] {
        if let Some(value) = value {
            configuration.set("serve", key, Some(value));
        }
    }
    configuration
}

/// A path as it is called on the machine itself.
fn shown(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    Path::new("/").join(below).display().to_string()
}
